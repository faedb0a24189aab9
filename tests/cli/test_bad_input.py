"""Whatever is wrong with the input: one clear sentence, exit code 2, nothing lost, no traceback."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch

from hornbook import artifact
from hornbook.cli import _run
from tests.cli.tiny import TINY

Capture = pytest.CaptureFixture[str]
STORY = "The cat sat by the fire. It was warm, and the rain fell on the roof.\n" * 200


def refused(capfd: Capture, *arguments: str) -> str:
    """Run a command that must be refused; returns its one sentence."""
    capfd.readouterr()
    assert _run(list(arguments)) == 2
    printed = capfd.readouterr().err
    assert "Traceback" not in printed
    assert len(printed.strip().splitlines()) == 1, printed
    return printed


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "story.txt"
    path.write_text(STORY, encoding="utf-8")
    return path


def own(tmp_path: Path, corpus: Path, *more: str) -> list[str]:
    return [*TINY, f"corpus.source={corpus}", f"run.directory={tmp_path / 'run'}", *more]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such file"),
        (b"", "empty"),
        (b"\x00\x01\x02", "is not text: it has a NUL byte"),
        ("naïve".encode("latin-1"), "UTF-8"),
        (b"   \n \n", "is empty"),
        (b"too short", "lower sampling.max_length"),
    ],
)
def test_bad_corpus(tmp_path: Path, capfd: Capture, content: bytes | None, said: str) -> None:
    path = tmp_path / "corpus.txt"
    if content is not None:
        path.write_bytes(content)
    sentence = refused(capfd, "pretrain", *own(tmp_path, path))
    assert said in sentence


def test_a_folder_without_texts(tmp_path: Path, capfd: Capture) -> None:
    (tmp_path / "folder").mkdir()
    sentence = refused(capfd, "tokenize", *own(tmp_path, tmp_path / "folder"))
    assert "has no readable files" in sentence


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("training.lrr=1", "did you mean training.lr"),
        ("trainin.lr=1", "did you mean training"),
        ("training.lr=fast", "training.lr"),
        ("training.lr=-1", "training.lr"),
        ("model.preset=minni", "did you mean mini"),
        ("model.n_heads=5", "n_heads 5 does not divide embed_dim 32"),
        ("runtime.device=tpu", "runtime.device"),
        ("tokenizer.vocab_size=20", "vocab_size"),
        ("tokenizer.load=nowhere", "no tokenizer at nowhere"),
        ("sampling.max_length=999", "context_length"),
        ("corpus.validation_share=0.9 corpus.test_share=0.2", "nothing to train on"),
        ("lora", "no such recipe"),
    ],
)
def test_bad_settings(
    tmp_path: Path, corpus: Path, capfd: Capture, override: str, said: str
) -> None:
    assert said in refused(capfd, "run", *own(tmp_path, corpus, *override.split()))


def test_bad_recipes(tmp_path: Path, capfd: Capture) -> None:
    recipe = tmp_path / "recipe.toml"
    assert "no such recipe" in refused(capfd, "run", str(recipe))
    assert "is a directory" in refused(capfd, "run", str(tmp_path))
    recipe.write_text("[training\nlr = 1", encoding="utf-8")
    assert "not valid TOML" in refused(capfd, "run", str(recipe))
    recipe.write_text("[training]\nsteps = 3\ntokens = 9\n", encoding="utf-8")
    assert "a run has one length" in refused(capfd, "run", str(recipe))
    assert "expected one recipe" in refused(capfd, "run", "a.toml", "b.toml")


def test_a_table_without_the_column(tmp_path: Path, corpus: Path, capfd: Capture) -> None:
    table = tmp_path / "t.csv"
    table.write_text("message,kind\nhello,ham\n", encoding="utf-8")
    arguments = own(tmp_path, corpus, f"classification.path={table}")
    sentence = refused(capfd, "finetune", "classify", *arguments)
    assert "no column 'text'; its columns are: message, kind" in sentence


def test_one_class_only(tmp_path: Path, corpus: Path, capfd: Capture) -> None:
    table = tmp_path / "t.csv"
    table.write_text("text,label\nhello,ham\nbye,ham\n", encoding="utf-8")
    arguments = own(tmp_path, corpus, f"classification.path={table}")
    assert "ham" in refused(capfd, "finetune", "classify", *arguments)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("i.json", '[{"instruction": "a", "output": "b"},\n{"instruction": }]', "line 2"),
        ("i.jsonl", '{"instruction": "a", "output": "b"}\nnonsense\n', "line 2"),
        ("i.json", '[{"instruction": "a"}]', "output"),
        ("i.json", "[]", "i.json"),
    ],
)
def test_malformed_instructions(
    tmp_path: Path, corpus: Path, capfd: Capture, name: str, content: str, said: str
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    arguments = own(tmp_path, corpus, f"instruction.path={tmp_path / name}")
    assert said in refused(capfd, "finetune", "instruct", *arguments)


def test_no_examples_are_named(tmp_path: Path, corpus: Path, capfd: Capture) -> None:
    sentence = refused(capfd, "finetune", "instruct", *own(tmp_path, corpus))
    assert "instruction.path is not set" in sentence


@pytest.fixture
def model(run_directory: Path, tmp_path: Path) -> Path:
    """A copy of a trained model, to be damaged."""
    return Path(shutil.copytree(run_directory / "pretrain", tmp_path / "pretrain"))


def damage(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize("file", ["model/model.safetensors", "tokenizer/tokenizer.json"])
@pytest.mark.parametrize(
    "change", [lambda b: b[: len(b) // 2], lambda b: b[:-9] + bytes([b[-9] ^ 1]) + b[-8:]]
)
def test_a_damaged_model(
    model: Path, capfd: Capture, file: str, change: Callable[[bytes], bytes]
) -> None:
    damage(model / file, change)
    sentence = refused(capfd, "generate", str(model), "One day")
    assert Path(file).name in sentence
    assert "damaged" in sentence


def test_a_model_of_another_tokenizer(model: Path, tmp_path: Path, capfd: Capture) -> None:
    from hornbook.tokenizing.tokenizer import Tokenizer, TokenizerSettings

    other = Tokenizer.train([STORY], TokenizerSettings(vocab_size=300))
    shutil.rmtree(model / "tokenizer")
    other.save(model / "tokenizer")
    assert "another tokenizer" in refused(capfd, "generate", str(model), "One day")


def test_a_pickle_is_not_opened(model: Path, capfd: Capture) -> None:
    for file in (model / "model").iterdir():
        file.unlink()
    (model / "model" / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    assert "pickle" in refused(capfd, "generate", str(model), "One day")


def test_models_that_are_not_there(run_directory: Path, tmp_path: Path, capfd: Capture) -> None:
    nowhere = str(tmp_path / "nowhere")
    assert "no such model" in refused(capfd, "generate", nowhere)
    assert "no such model" in refused(capfd, "inspect", nowhere)
    assert "no such model" in refused(capfd, "export", "peft", nowhere, str(tmp_path / "out"))
    sentence = refused(capfd, "generate", str(run_directory), "x")
    assert "there are" in sentence
    assert "instruct-full" in sentence
    assert "no preset" in refused(capfd, "inspect", "gpt9")


def test_models_asked_for_what_they_cannot(run_directory: Path, capfd: Capture) -> None:
    assert "cannot hold a conversation" in refused(capfd, "chat", f"{run_directory}/pretrain")
    assert "cannot classify" in refused(capfd, "classify", f"{run_directory}/pretrain", "x")
    assert "cannot write text" in refused(capfd, "generate", f"{run_directory}/classify-full", "x")
    classifier = f"{run_directory}/classify-full"
    assert "no such file" in refused(capfd, "classify", classifier, "nowhere/new.jsonl")
    literally = "echo 'mails.csv' | hornbook classify MODEL -"
    assert literally in refused(capfd, "classify", classifier, "mails.csv")
    folder = refused(capfd, "classify", classifier, f"{run_directory}/")
    assert "is a folder; give a file of texts" in folder
    other = refused(capfd, "classify", classifier, f"{run_directory}/report.html")
    assert "is a file of another kind" in other
    table = run_directory.parent / "mails.csv"
    table.write_text("body,kind\nHello there,x\n")
    assert "--text-column" in refused(capfd, "classify", classifier, str(table))
    assert "results of a file" in refused(capfd, "classify", classifier, "x", "--output", "o.jsonl")


def test_a_prompt_beyond_the_context(run_directory: Path, capfd: Capture) -> None:
    sentence = refused(capfd, "generate", f"{run_directory}/pretrain", "cat " * 500)
    assert "context_length" in sentence


def test_a_full_disk_loses_nothing(
    tmp_path: Path, run_directory: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copytree(run_directory, tmp_path / "copy"))
    before = artifact.hash_file(copy / "pretrain/model/model.safetensors")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    monkeypatch.setattr("hornbook.checkpoints.store.save_file", full)
    arguments = [*TINY, f"run.directory={copy}", "training.lr=1e-4"]
    sentence = refused(capfd, "pretrain", *arguments)
    assert "No space left" in sentence
    kept = copy / "previous/pretrain/model/model.safetensors"
    assert artifact.hash_file(kept) == before
    assert not list(copy.rglob("*.tmp"))


@pytest.mark.parametrize(
    "wrong",
    [
        ("training.batch_size=100000",),
        ("sampling.max_length=100000",),
        ('sampling.packing="documents"', "sampling.stride=3"),
        ("training.fp8=true",),
    ],
)
def test_what_is_refused_late_leaves_a_finished_run_as_it_was(
    tmp_path: Path, run_directory: Path, capfd: Capture, wrong: tuple[str, ...]
) -> None:
    copy = Path(shutil.copytree(run_directory, tmp_path / "copy"))
    files = {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()}
    refused(capfd, "pretrain", *TINY, f"run.directory={copy}", *wrong)
    assert {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()} == files


def test_a_directory_that_is_a_file(tmp_path: Path, corpus: Path, capfd: Capture) -> None:
    arguments = [*TINY, f"corpus.source={corpus}", f"run.directory={corpus}"]
    assert "is a file" in refused(capfd, "pretrain", *arguments)


def test_usage_errors_are_short(capfd: Capture) -> None:
    capfd.readouterr()
    assert _run(["fly"]) == 2
    printed = capfd.readouterr().err
    assert "No such command" in printed
    assert "Traceback" not in printed


def test_a_damaged_stage_is_made_again(tmp_path: Path, run_directory: Path) -> None:
    copy = Path(shutil.copytree(run_directory, tmp_path / "copy"))
    damage(copy / "tokens" / "train.bin", lambda b: b[:-2])
    assert _run(["sample", *TINY, f"run.directory={copy}"]) == 0
    manifest = json.loads((copy / "tokens" / "manifest.json").read_text())
    assert artifact.hash_file(copy / "tokens" / "train.bin") == manifest["files"]["train.bin"]


def test_a_misspelt_filter(capfd: pytest.CaptureFixture[str]) -> None:
    sentence = refused(capfd, "prepare", 'quality.filters=["c4", "gopher-qualty"]')
    assert (
        "quality.filters.1: 'gopher-qualty' is unknown; did you mean 'gopher-quality'." in sentence
    )
    assert len(sentence) < 200


def test_the_beginning_of_several_filters_names_them_all(
    capfd: pytest.CaptureFixture[str],
) -> None:
    sentence = refused(capfd, "prepare", 'quality.filters=["fineweb-", "c4-b"]')
    assert (
        "quality.filters.0: 'fineweb-' is unknown; did you mean one of fineweb-punctuation, "
        "fineweb-short-lines, fineweb-duplicate-lines;" in sentence
    )
    assert "'c4-b' is unknown; did you mean 'c4-braces' or 'c4-bad-words'." in sentence
    sentence = refused(capfd, "prepare", 'quality.filters=["gopher"]')
    assert "did you mean one of gopher-words, " in sentence
    assert "gopher-quality, gopher-repetition." in sentence
