"""Much text at once: the same ids as the references', and control tokens stay text."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st
from tiktoken.load import data_gym_to_mergeable_bpe_ranks
from tokenizer_examples import (
    ALGORITHMS,
    DATA,
    FOREIGN,
    STORIES,
    foreign,
    gpt2,
    needs_data,
    trained,
)

from hornbook.errors import HornbookError
from hornbook.tokenizing import encoder
from hornbook.tokenizing.encoder import Encoder, Packed, awkward_texts
from hornbook.tokenizing.tokenizer import Tokenizer
from hornbook.tokenizing.trainers import GPT2_PATTERN

EVERY = [(trained, name) for name in ALGORITHMS] + [(foreign, name) for name in FOREIGN]
each = pytest.mark.parametrize(("make", "name"), EVERY, ids=[name for _, name in EVERY])
FAST = ("bpe", "byte-bpe", "byte-sequence", "llama")
MUCH = ["word " * (encoder.WORTH_IT // 5 + 1)]


def warmed(tokenizer: Tokenizer) -> Tokenizer:
    """After enough text to make the fast encoder."""
    tokenizer.encode_packed(MUCH)
    return tokenizer


def lists(packed: Packed) -> list[list[int]]:
    pieces = np.split(packed.ids, packed.starts[1:-1]) if len(packed.starts) > 1 else []
    return [piece.tolist() for piece in pieces]


@each
def test_the_same_as_encode_batch(make, name: str) -> None:  # type: ignore[no-untyped-def]
    tokenizer = warmed(make(name))
    assert (tokenizer.slow_reason == "") == (name in FAST), tokenizer.slow_reason
    texts = [*STORIES, *awkward_texts(500, tokenizer.control_tokens, seed=7), "", " " * 5000]
    packed = tokenizer.encode_packed(texts)
    assert lists(packed) == tokenizer.encode_batch(texts)
    assert (packed.ids.dtype, packed.starts.dtype) == (np.uint32, np.int64)
    assert lists(tokenizer.encode_packed([])) == []
    assert lists(tokenizer.encode_packed([""])) == [[]]
    end = [] if tokenizer.eos_id is None else [tokenizer.eos_id]
    ended = [[*ids, *end] for ids in lists(packed)]
    assert lists(tokenizer.encode_packed(texts, end=True)) == ended
    assert lists(tokenizer.encode_packed([], end=True)) == []


@pytest.mark.parametrize("together", [1, 50, 2**16])
@pytest.mark.parametrize("name", ["bpe", "byte-bpe"])
def test_texts_joined_have_the_ids_of_texts_apart(
    monkeypatch: pytest.MonkeyPatch, name: str, together: int
) -> None:
    tokenizer = warmed(trained(name) if name in ALGORITHMS else foreign(name))
    fast = tokenizer._encoder._fast
    assert fast is not None
    assert fast.mark is not None
    texts = ["", *awkward_texts(300, tokenizer.control_tokens, seed=9), "", "", "last "]
    monkeypatch.setattr(encoder, "TOGETHER", together)
    joined = fast.encode(texts, end=True)
    monkeypatch.setattr(fast, "mark", None)
    apart = fast.encode(texts, end=True)
    assert np.array_equal(joined.ids, apart.ids)
    assert np.array_equal(joined.starts, apart.starts)
    ends = [[*ids, tokenizer.eos_id] for ids in tokenizer.encode_batch(texts)]
    assert lists(joined) == ends


def test_a_text_that_has_the_mark_is_not_parted_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = warmed(trained("bpe"))
    fast = tokenizer._encoder._fast
    assert fast is not None
    texts = ["one", f"a{fast.mark}b", "two"]
    packed = fast.encode(texts, end=True)
    assert len(packed.starts) == 4
    assert tokenizer.decode(packed.ids[packed.starts[2] : -1]) == "two"


@each
def test_control_tokens_stay_text(make, name: str) -> None:  # type: ignore[no-untyped-def]
    tokenizer = warmed(make(name))
    forbidden = set(tokenizer.control_tokens.values()) - {tokenizer.unk_id}
    texts = awkward_texts(300, tokenizer.control_tokens, seed=3)
    texts += [f"a {spelling}{spelling} b" for spelling in tokenizer.control_tokens]
    assert not forbidden & set(tokenizer.encode_packed(texts).ids.tolist())


@pytest.fixture(scope="module")
def reference() -> tiktoken.Encoding:
    ranks = data_gym_to_mergeable_bpe_ranks(
        vocab_bpe_file=str(DATA / "gpt2-vocab.bpe"),
        encoder_json_file=str(DATA / "gpt2-encoder.json"),
    )
    return tiktoken.Encoding(
        "gpt2", pat_str=GPT2_PATTERN, mergeable_ranks=ranks, special_tokens={"<|endoftext|>": 50256}
    )


runs = st.builds(
    lambda text, times: text * times, st.sampled_from("aZé漢 \n1.'🙂\u0301"), st.integers(1, 300)
)
texts_of_any_kind = st.lists(st.text(st.characters(exclude_categories=["Cs"])) | runs, max_size=6)


@needs_data
@given(parts=texts_of_any_kind)
def test_any_text_as_tiktoken(reference: tiktoken.Encoding, parts: list[str]) -> None:
    tokenizer = warmed(gpt2())
    assert tokenizer.slow_reason == ""
    texts = [*parts, "".join(parts)]
    assert lists(tokenizer.encode_packed(texts)) == reference.encode_ordinary_batch(texts)


@needs_data
def test_awkward_texts_as_tiktoken(reference: tiktoken.Encoding) -> None:
    texts = awkward_texts(5_000, ["<|endoftext|>"], seed=11)
    assert lists(warmed(gpt2()).encode_packed(texts)) == reference.encode_ordinary_batch(texts)


@needs_data
@pytest.mark.parametrize("unit", [" ", "a", "\n", "é"])
def test_a_million_of_one_character(unit: str) -> None:
    tokenizer = warmed(gpt2())
    assert tokenizer.decode(tokenizer.encode_packed([unit * 10**6]).ids) == unit * 10**6


@pytest.mark.parametrize("name", ["bpe", "word"])
def test_a_lone_surrogate_is_refused_by_its_place(name: str) -> None:
    with pytest.raises(HornbookError, match=r"lone surrogate, U\+D800, at character 3"):
        warmed(trained(name)).encode_packed(["fine", "ab\ud800"])


def test_other_ids_are_noticed_and_the_reference_used(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = trained("bpe")
    other = Tokenizer.train(STORIES[:2], tokenizer.settings)
    fooled = Encoder(other._encoder._tree or _tree_of(other), tokenizer._encoder.library, {})
    packed = fooled.encode([*STORIES, *MUCH])
    assert fooled.reason == "fastokens gives other ids than the tokenizers library"
    assert lists(packed) == tokenizer.encode_batch([*STORIES, *MUCH])


def test_without_fastokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastokens", None)
    tokenizer = Tokenizer.train(STORIES, trained("bpe").settings)
    assert lists(tokenizer.encode_packed(MUCH)) == tokenizer.encode_batch(MUCH)
    assert tokenizer.slow_reason == "fastokens is not installed (pip install fastokens)"


def _tree_of(tokenizer: Tokenizer) -> dict[str, object]:
    import json

    tree: dict[str, object] = json.loads(tokenizer._json)
    return tree


SCRIPT = """
import os, hashlib
from tokenizer_examples import STORIES, trained
tokenizer = trained("bpe")
texts = [text + str(i) for i in range(200) for text in STORIES]
ids = tokenizer.encode_packed(texts).ids.tobytes()
assert tokenizer.slow_reason == ""
child = os.fork()
if child == 0:
    os._exit(0 if tokenizer.encode_packed(texts).ids.tobytes() == ids else 1)
assert os.waitpid(child, 0)[1] == 0
print(hashlib.sha256(ids).hexdigest())
"""


def test_the_same_for_any_number_of_threads_and_in_a_forked_process() -> None:
    seen = set()
    for threads in ("1", "4"):
        environment = {
            "PYTHONPATH": f"{Path(__file__).parents[2]}:{Path(__file__).parent}",
            "RAYON_NUM_THREADS": threads,
        }
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", SCRIPT],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        seen.add(done.stdout)
    assert len(seen) == 1
