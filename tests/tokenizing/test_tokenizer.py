"""Training, artifacts, special tokens, errors and round trips of the Tokenizer."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizer_examples import ALGORITHMS, STORIES, foreign, trained

from hornbook.config import validate
from hornbook.errors import HornbookError
from hornbook.tokenizing.special import SPECIAL, UNK
from hornbook.tokenizing.tokenizer import Tokenizer, TokenizerSettings

any_text = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_special_tokens_come_first(algorithm: str) -> None:
    tokenizer = trained(algorithm)
    assert tokenizer.special_tokens == {name: i for i, name in enumerate(SPECIAL)}
    assert tokenizer.control_tokens == tokenizer.special_tokens
    ids = (tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id, tokenizer.unk_id)
    assert ids == (0, 1, 2, 3)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_saved_and_loaded_is_the_same(algorithm: str, tmp_path: Path) -> None:
    tokenizer = trained(algorithm)
    tokenizer.save(tmp_path / "tokenizer")
    loaded = Tokenizer.open(tmp_path / "tokenizer")
    assert loaded.fingerprint == tokenizer.fingerprint
    assert loaded.settings == tokenizer.settings
    assert (loaded.bos_id, loaded.unk_id) == (0, 3)
    for text in STORIES:
        assert loaded.encode(text) == tokenizer.encode(text)
        assert loaded.decode(loaded.encode(text)) == tokenizer.decode(tokenizer.encode(text))
    lines = (tmp_path / "tokenizer" / "vocab.txt").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "0\t[BOS]"
    assert len(lines) == tokenizer.vocab_size


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_saved_tokenizer_json_alone_is_the_same(algorithm: str, tmp_path: Path) -> None:
    tokenizer = trained(algorithm)
    tokenizer.save(tmp_path)
    alone = Tokenizer.from_tokenizer_json(tmp_path / "tokenizer.json")
    assert alone.fingerprint == tokenizer.fingerprint
    assert alone.decode(alone.encode(STORIES[0])) == tokenizer.decode(tokenizer.encode(STORIES[0]))


def test_a_loaded_foreign_tokenizer_keeps_its_roles(tmp_path: Path) -> None:
    tokenizer = foreign("sentencepiece")
    tokenizer.save(tmp_path / "saved")
    loaded = Tokenizer.load(tmp_path / "saved")
    assert loaded.fingerprint == tokenizer.fingerprint
    assert (loaded.bos_id, loaded.eos_id, loaded.pad_id, loaded.unk_id) == (None, 1, 0, 2)


def test_damaged_artifact_is_refused(tmp_path: Path) -> None:
    trained("word").save(tmp_path / "tokenizer")
    path = tmp_path / "tokenizer" / "tokenizer.json"
    path.write_text(path.read_text(encoding="utf-8").replace("Anna", "Enna"), encoding="utf-8")
    with pytest.raises(HornbookError, match=r"tokenizer\.json is damaged"):
        Tokenizer.load(tmp_path / "tokenizer")


IN_ANOTHER_PROCESS = """
import sys
from tokenizer_examples import ALGORITHMS, trained
print(*(trained(algorithm, 400).fingerprint for algorithm in ALGORITHMS))
"""


def test_training_is_deterministic() -> None:
    """Hash maps change their order from process to process, so other processes train too."""
    here = [trained(algorithm, 400).fingerprint for algorithm in ALGORITHMS]
    root, folder = Path(__file__).parents[2], Path(__file__).parent
    command = [sys.executable, "-c", IN_ANOTHER_PROCESS]
    for threads in ("1", "2", "2"):
        environment = {"PYTHONPATH": f"{root}:{folder}", "RAYON_NUM_THREADS": threads}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True, timeout=60
        )
        assert done.stdout.split()[-len(here) :] == here


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_settings_change_the_fingerprint(algorithm: str) -> None:
    settings = trained(algorithm).settings
    smaller = settings.model_copy(update={"vocab_size": 90 if algorithm != "bpe" else 300})
    if algorithm == "wordpiece":
        smaller = settings.model_copy(update={"lowercase": True})
    assert Tokenizer.train(STORIES, smaller).fingerprint != trained(algorithm).fingerprint
    assert Tokenizer.train(STORIES[:-1], settings).vocab_size <= settings.vocab_size


@given(any_text)
def test_bpe_restores_any_text(text: str) -> None:
    tokenizer = trained("bpe")
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(st.text(sorted(set("".join(STORIES)))))
def test_unigram_restores_text_of_known_characters(text: str) -> None:
    tokenizer = trained("unigram")
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(any_text)
def test_every_algorithm_takes_any_text(text: str) -> None:
    for algorithm in ALGORITHMS:
        tokenizer = trained(algorithm)
        ids = tokenizer.encode(text)
        assert isinstance(tokenizer.decode(ids, skip_special=True), str)


@pytest.mark.parametrize("algorithm", ["word", "wordpiece"])
@pytest.mark.parametrize("text", sorted(set(STORIES)))
def test_words_get_their_spaces_back(algorithm: str, text: str) -> None:
    tokenizer = trained(algorithm)
    if "[ ]" not in text and "###" not in text:  # not printed English
        assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("algorithm", ["word", "wordpiece", "unigram"])
def test_unknown_text_is_unk(algorithm: str) -> None:
    tokenizer = trained(algorithm)
    assert tokenizer.unk_id in tokenizer.encode("the 漢字 dog")
    assert UNK in tokenizer.decode(tokenizer.encode("漢"))
    assert tokenizer.decode(tokenizer.encode("漢"), skip_special=True) == ""


def test_lowercase() -> None:
    settings = TokenizerSettings(algorithm="word", lowercase=True)
    tokenizer = Tokenizer.train(["The DOG"], settings)
    assert tokenizer.decode(tokenizer.encode("THE dog")) == "the dog"
    with pytest.raises(HornbookError, match=r"lowercase = true does not go with algorithm 'bpe'"):
        validate(TokenizerSettings, {"lowercase": True}, "settings")


def test_rare_characters_can_be_left_out() -> None:
    texts = ["the dog and the cat " * 50 + "ß"]
    for algorithm in ("wordpiece", "unigram"):
        tree = {"algorithm": algorithm, "vocab_size": 40, "character_coverage": 0.99}
        tokenizer = Tokenizer.train(texts, validate(TokenizerSettings, tree, "settings"))
        assert tokenizer.unk_id in tokenizer.encode("ß")
        assert tokenizer.unk_id not in tokenizer.encode("the dog")


def test_token_text() -> None:
    tokenizer = trained("bpe")
    shown = [tokenizer.token_text(i) for i in tokenizer.encode(" the\n\té\x00")]
    assert shown == ["·the", "⏎", "⇥", "\\xc3", "\\xa9", "\\x00"]
    assert tokenizer.token_text(1) == "[EOS]"
    assert foreign("sentencepiece").token_text(4) == "·the"
    piece = trained("wordpiece").token_id("##s")
    assert piece is not None
    assert trained("wordpiece").token_text(piece) == "##s"


def test_encode_batch_is_encode_of_each() -> None:
    tokenizer = trained("bpe")
    texts = [*STORIES, "", " ", "a" * 3000] * 100
    assert tokenizer.encode_batch(texts) == [tokenizer.encode(text) for text in texts]
    assert tokenizer.encode_batch([]) == []
    assert tokenizer.encode("") == []


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("text", [" ", "a", "1", "\n", "'s", "é"])
def test_long_runs(algorithm: str, text: str) -> None:
    tokenizer = trained(algorithm)
    ids = tokenizer.encode(text * 200_000)
    assert len(ids) <= 400_000
    if algorithm == "bpe":
        assert tokenizer.decode(ids) == text * 200_000


@pytest.mark.parametrize(
    ("algorithm", "size", "message"),
    [
        (
            "bpe",
            263,
            "vocab_size 263 is too small: the 256 bytes and the 8 special tokens need 264",
        ),
        ("word", 8, "vocab_size 8 is too small: one word and the 8 special tokens need 9"),
        ("wordpiece", 20, "vocab_size 20 is too small: the text's .* different characters"),
        ("unigram", 20, "vocab_size 20 is too small: the text's .* different characters"),
    ],
)
def test_vocab_size_too_small(algorithm: str, size: int, message: str) -> None:
    with pytest.raises(HornbookError, match=message):
        trained(algorithm, size)


@pytest.mark.parametrize("algorithm", ["wordpiece", "unigram"])
def test_least_vocab_size_named_is_enough(algorithm: str) -> None:
    with pytest.raises(HornbookError) as caught:
        trained(algorithm, 20)
    least = int(str(caught.value).split("special tokens need ")[1].split(";")[0])
    assert trained(algorithm, least).vocab_size == least
    with pytest.raises(HornbookError):
        trained(algorithm, least - 1)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("texts", [[], [""], ["  \n", " "]])
def test_empty_training_text(algorithm: str, texts: list[str]) -> None:
    settings = validate(TokenizerSettings, {"algorithm": algorithm}, "settings")
    with pytest.raises(HornbookError, match="training text is empty"):
        Tokenizer.train(texts, settings)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_small_text_gives_fewer_tokens(algorithm: str) -> None:
    settings = validate(TokenizerSettings, {"algorithm": algorithm}, "settings")
    tokenizer = Tokenizer.train(iter(["the cat sat"]), settings, total=1)
    assert tokenizer.vocab_size < 2048
    assert tokenizer.decode(tokenizer.encode("the cat")) == "the cat"


def test_nothing_frequent_enough() -> None:
    with pytest.raises(HornbookError, match=r"tokenizer\.min_frequency 5 leaves no token"):
        Tokenizer.train(["a b c"], TokenizerSettings(algorithm="word", min_frequency=5))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_lone_surrogates(algorithm: str) -> None:
    tokenizer = trained(algorithm)
    match = r"lone surrogate, U\+D800, at character 3"
    with pytest.raises(HornbookError, match=match):
        tokenizer.encode("ab\ud800")
    with pytest.raises(HornbookError, match=match):
        tokenizer.encode_batch(["fine", "ab\ud800"])
    with pytest.raises(HornbookError, match=match):
        Tokenizer.train(["ab\ud800"], tokenizer.settings)


def test_errors_of_the_text_source_pass_through() -> None:
    def texts() -> object:
        yield "fine"
        raise HornbookError("line 2 is bad")

    with pytest.raises(HornbookError, match="line 2 is bad"):
        Tokenizer.train(texts(), TokenizerSettings(vocab_size=300))  # type: ignore[arg-type]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("token_id", [-1, 10**6, 2**40])
def test_ids_out_of_range(algorithm: str, token_id: int) -> None:
    tokenizer = trained(algorithm)
    for use in (lambda: tokenizer.decode([1, token_id]), lambda: tokenizer.token_text(token_id)):
        with pytest.raises(HornbookError, match=f"id {token_id} is not in the vocabulary"):
            use()


def test_id_in_a_hole_of_the_vocabulary() -> None:
    tree = json.loads(json.dumps(_word_tree({"[UNK]": 0, "a": 3})))
    tokenizer = Tokenizer(tree, "test")
    assert tokenizer.vocab_size == 4
    with pytest.raises(HornbookError, match="id 2 is not in the vocabulary"):
        tokenizer.decode([2])


def test_make_loads_or_trains(tmp_path: Path) -> None:
    trained("word").save(tmp_path / "saved")
    loaded = Tokenizer.make([], TokenizerSettings(load=str(tmp_path / "saved")))
    assert loaded.fingerprint == trained("word").fingerprint
    again = Tokenizer.make(STORIES, TokenizerSettings(algorithm="word", vocab_size=500))
    assert again.fingerprint == trained("word").fingerprint


def test_open_says_what_it_looked_for(tmp_path: Path) -> None:
    with pytest.raises(HornbookError, match=r"tokenizer\.load: no tokenizer at"):
        Tokenizer.open(tmp_path)


FORK = """
import os, sys
from tokenizer_examples import STORIES, trained
tokenizer = trained("word")
ids = tokenizer.encode_batch(STORIES * 50)
child = os.fork()
if child == 0:
    os._exit(0 if tokenizer.encode_batch(STORIES * 50) == ids else 1)
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="no fork on this system")
def test_a_forked_process_encodes_without_a_warning() -> None:
    environment = {"PYTHONPATH": f"{Path(__file__).parents[2]}:{Path(__file__).parent}"}
    done = subprocess.run(
        [sys.executable, "-c", FORK], env=environment, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def _word_tree(vocab: dict[str, int]) -> dict[str, object]:
    tree: dict[str, object] = dict.fromkeys(
        ("truncation", "padding", "normalizer", "pre_tokenizer", "post_processor", "decoder")
    )
    model = {"type": "WordLevel", "vocab": vocab, "unk_token": "[UNK]"}
    return tree | {"version": "1.0", "added_tokens": [], "model": model}
