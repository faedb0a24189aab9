"""From files to tokens with everything accounted for, and every change since then noticed."""

import io
import json
import re
from pathlib import Path

import pytest

from hornbook.artifact import hash_file
from hornbook.cli import _run
from hornbook.errors import HornbookError
from hornbook.pipeline.corpora.corpus import open_corpus
from hornbook.sampling.token_store import TokenStore

Capture = pytest.CaptureFixture[str]


def arguments(source: Path | str, directory: Path, *more: str) -> list[str]:
    name = f"corpus.source={json.dumps(str(source))}"
    sizes = ["tokenizer.vocab_size=300", "corpus.licence=CC0", "deduplication.exact=true"]
    return ["prepare", name, f"run.directory={directory}", *sizes, *more]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "my tales.jsonl"
    tales = [f"Tale {number % 90}: the cat sat by the fire | `quiet`." for number in range(100)]
    lines = [json.dumps({"text": tale, "url": f"u{n}"}) for n, tale in enumerate(tales)]
    path.write_text("\n".join([*lines[:50], "nonsense", *lines[50:]]) + "\n")
    return path


@pytest.fixture
def prepared(tmp_path: Path, source: Path, capfd: Capture) -> Path:
    directory = tmp_path / "run"
    assert _run(arguments(source, directory, 'corpus.metadata_fields=["url"]')) == 0
    return directory


def test_the_table_adds_up(prepared: Path, capfd: Capture, source: Path) -> None:
    assert _run(arguments(source, prepared, 'corpus.metadata_fields=["url"]')) == 0
    printed = capfd.readouterr().out
    rows = {
        found[1]: [int(number.replace(",", "")) for number in found[2].split()]
        for found in re.finditer(r"^ *(\w+) +((?:-?[\d,]+ *)+)$", printed, re.MULTILINE)
    }
    assert rows["read"][0] == 100
    assert rows["exact"][0] == -10
    assert rows["kept"][0] == 90
    assert rows["read"][1] + rows["exact"][-1] == rows["kept"][1]
    for column in range(3):
        splits = sum(rows[split][column] for split in ("train", "validation", "test"))
        assert splits == rows["kept"][column]
    assert rows["kept"][2] == sum(TokenStore.open(prepared / "tokens").token_counts.values())
    assert "1 could not be read" in printed


def test_the_corpus_keeps_metadata_and_what_was_bad(prepared: Path) -> None:
    corpus = open_corpus(prepared / "corpus")
    first = json.loads((prepared / "corpus" / "train.jsonl").read_text().splitlines()[0])
    assert first["metadata"]["url"].startswith("u")
    [bad] = (prepared / "corpus" / "quarantine.jsonl").read_text().splitlines()
    assert json.loads(bad)["line"] == 51
    assert corpus.bad == 1
    assert corpus.cleaning["read"]["documents"] == 100
    assert corpus.cleaning["steps"][0]["tallies"][0]["removed"] == 10


def test_the_data_card_says_where_from_and_what_was_done(prepared: Path, source: Path) -> None:
    card = (prepared / "datacard.md").read_text()
    assert "- Licence: CC0" in card
    assert f"| `my tales.jsonl` | {source.stat().st_size:,} | `{hash_file(source)}` |" in card
    assert "| ExactDuplicates | exact | 100 | 10 | 0 |" in card
    assert '"exact": true' in card
    assert card.count("(the same text as") == 5
    assert "fire ¦ 'quiet'." in card  # as text of a document, not as Markdown


def verified(directory: Path, capfd: Capture) -> tuple[int, list[str]]:
    capfd.readouterr()
    code = _run(["verify", str(directory)])
    lines = capfd.readouterr().out.splitlines()
    return code, [line for line in lines if line.startswith("changed")]


def test_verify_finds_what_has_changed(prepared: Path, source: Path, capfd: Capture) -> None:
    assert verified(prepared, capfd) == (0, [])
    source.write_text(source.read_text().replace("cat", "dog"))
    code, [line] = verified(prepared, capfd)
    assert code == 2
    assert f"{source} has changed since it was read" in line
    store = prepared / "tokens" / "train.bin"
    store.write_bytes(bytes([store.read_bytes()[0] ^ 1]) + store.read_bytes()[1:])
    (prepared / "corpus" / "test.jsonl").unlink()
    code, lines = verified(prepared, capfd)
    assert [re.search(r"run/(\S+) is", line)[1] for line in lines if "run/" in line] == [  # type: ignore[index]
        "corpus/test.jsonl",
        "tokens/train.bin",
    ]


def test_verify_finds_tokens_of_another_corpus(
    prepared: Path, source: Path, capfd: Capture
) -> None:
    source.write_text(source.read_text().replace("cat", "dog"))
    assert _run(["tokenize", *arguments(source, prepared)[1:]]) == 0
    code, lines = verified(prepared, capfd)
    assert code == 2
    assert lines == [
        "changed tokens: the corpus is not the one that it was made from",
        "changed tokens: the tokenizer is not the one that it was made from",
    ]


def test_verify_wants_an_artifact(tmp_path: Path, capfd: Capture) -> None:
    (file := tmp_path / "story.txt").write_text("One day.")
    for directory, said in (
        (tmp_path, "has no manifest.json"),
        (tmp_path / "x", "no such dir"),
        (file, "story.txt: is a file; give a run's directory"),
    ):
        assert _run(["verify", str(directory)]) == 2
        assert said in capfd.readouterr().err
    (tmp_path / "manifest.json").write_text('{"kind": "corpus"')
    code, [line] = verified(tmp_path, capfd)
    assert "manifest.json is damaged" in line
    assert code == 2


def test_changed_data_are_refused_by_name(prepared: Path) -> None:
    for path, opens in (
        (prepared / "corpus" / "train.jsonl", open_corpus),
        (prepared / "tokens" / "train.bin", TokenStore.open),
    ):
        data = bytearray(path.read_bytes())
        data[20] ^= 1
        path.write_bytes(data)
        with pytest.raises(HornbookError, match=rf"{path.name} is damaged"):
            opens(path.parent)


def test_a_changed_stage_is_named_and_made_again(
    prepared: Path, source: Path, capfd: Capture
) -> None:
    path = prepared / "corpus" / "train.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"cat", b"dog"))
    assert _run(arguments(source, prepared, 'corpus.metadata_fields=["url"]')) == 0
    assert "train.jsonl is damaged" in capfd.readouterr().out
    assert path.read_bytes() == whole


def test_too_many_bad_lines_leave_the_reasons(tmp_path: Path, source: Path, capfd: Capture) -> None:
    with source.open("a") as file:
        file.write("nonsense\n" * 4)
    assert _run(arguments(source, tmp_path / "run")) == 2
    sentence = capfd.readouterr().err
    assert "my tales.jsonl, line 51: not valid JSON" in sentence
    assert "5 bad of 105" in sentence
    kept = tmp_path / "run" / "quarantine.jsonl"
    assert str(kept) in sentence
    assert len(kept.read_text().splitlines()) == 5
    assert not (tmp_path / "run" / "corpus").exists()


def test_standard_input_is_kept_and_named(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    class Pipe:
        buffer = io.BytesIO(source.read_bytes())
        isatty = staticmethod(lambda: False)

    monkeypatch.setattr("sys.stdin", Pipe)
    assert _run(arguments("-.jsonl", tmp_path / "run")) == 0
    assert hash_file(tmp_path / "run" / "stdin.jsonl") == hash_file(source)
    capfd.readouterr()
    assert _run(arguments("-.jsonl", tmp_path / "run")) == 0  # the pipe is empty now
    assert capfd.readouterr().out.count("unchanged") == 3


@pytest.mark.filterwarnings("ignore")
def test_a_dataset_in_a_folder_is_verified_too(
    tmp_path: Path, source: Path, capfd: Capture
) -> None:
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_dict({"text": [f"Tale {n}: the cat sat." for n in range(60)]})
    rows.save_to_disk(tmp_path / "saved")
    directory = tmp_path / "run"
    assert _run(arguments(f"hf:{tmp_path / 'saved'}", directory)) == 0
    assert "state.json" in (directory / "datacard.md").read_text()
    assert verified(directory, capfd) == (0, [])
    (tmp_path / "saved" / "state.json").write_text("{}")
    code, [line] = verified(directory, capfd)
    assert code == 2
    assert "state.json has changed" in line
