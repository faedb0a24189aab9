"""Filters in a run: in the table, on the data card, in the manifest; other filters, another corpus."""

import json
from pathlib import Path

import pytest

from hornbook.artifact import hash_file
from hornbook.cli import _run
from hornbook.pipeline.corpora.corpus import open_corpus

Capture = pytest.CaptureFixture[str]

STORY = (
    "The fox ran over hill {n} and the hare ran home. It was late. So they slept, and it rained."
)


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    texts = [STORY.format(n=n) for n in range(60)] + ["Home"] * 9 + ["{ } code. Code. Code it is."]
    (tmp_path / "pages.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    (tmp_path / "bad.txt").write_text("hill 7\n")
    return [
        "prepare",
        f"corpus.source={tmp_path / 'pages.jsonl'}",
        f"run.directory={tmp_path / 'run'}",
        "tokenizer.vocab_size=300",
        'quality.filters=["c4", "fineweb-short-lines"]',
        f"quality.c4.bad_words={tmp_path / 'bad.txt'}",
    ]


def test_prepare_shows_and_keeps_what_filters_did(
    tmp_path: Path, arguments: list[str], capfd: Capture
) -> None:
    assert _run(arguments) == 0
    printed = capfd.readouterr().out
    for row in ("Filters", "c4-bad-words", "c4-terminal-punctuation"):
        assert row in printed
    corpus = open_corpus(tmp_path / "run" / "corpus")
    (step,) = corpus.cleaning["steps"]
    removed = {t["name"]: t["removed"] for t in step["tallies"] if t["removed"]}
    assert removed == {"c4-braces": 1, "c4-bad-words": 1, "c4-terminal-punctuation": 9}
    assert step["documents"] == 59
    digest = hash_file(tmp_path / "bad.txt")
    assert corpus.manifest.inputs[f"bad words: {tmp_path / 'bad.txt'}"] == digest
    card = (tmp_path / "run" / "datacard.md").read_text()
    assert "| Filters | c4-braces | 70 | 1 | 0 |" in card
    assert "there is 'hill 7' in it" in card


def test_other_words_make_another_corpus(
    tmp_path: Path, arguments: list[str], capfd: Capture
) -> None:
    assert _run(arguments) == 0
    (tmp_path / "bad.txt").write_text("hill 8\nhill 9\n")
    assert _run(["verify", str(tmp_path / "run")]) != 0
    assert _run(arguments) == 0
    assert open_corpus(tmp_path / "run" / "corpus").cleaning["steps"][0]["documents"] == 58


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ('quality.filters=["c5"]', "quality.filters"),
        ('quality.languages=["klingon"]', "none of the languages"),
        ("quality.c4.bad_words=nowhere.txt", "nowhere.txt"),
        ('quality.filters=["c4-bad-words"]', "a word a line"),
        ("quality.gopher.max_bullets=2", "quality.gopher.max_bullets"),
    ],
)
def test_bad_settings_are_one_sentence(
    tmp_path: Path, arguments: list[str], capfd: Capture, override: str, sentence: str
) -> None:
    kept = arguments[:4] if "c4-bad" in override else arguments
    assert _run([*kept, override]) == 2
    error = capfd.readouterr().err
    assert sentence in error
    assert "Traceback" not in error
