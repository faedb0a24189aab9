"""Beam search and guessing ahead on the command line, and what they refuse."""

import io
import json
import sys
from pathlib import Path

import pytest

from hornbook.cli import _run
from hornbook.inference.beams import beam_search
from hornbook.model.presets import ModelSettings, resolve
from hornbook.model.transformer import Transformer
from hornbook.pipeline.models.bundle import default_runtime, load_bundle, save_bundle
from hornbook.tokenizing.settings import TokenizerSettings
from hornbook.tokenizing.tokenizer import Tokenizer

Capture = pytest.CaptureFixture[str]
EXACT = ["--weights", "float32", "max_new_tokens=12"]


def written(capfd: Capture, *arguments: str) -> str:
    capfd.readouterr()
    assert _run(["generate", *arguments]) == 0
    return capfd.readouterr().out


def test_beams_find_the_likeliest_text(run_directory: Path, capfd: Capture) -> None:
    model = f"{run_directory}/pretrain"
    bundle = load_bundle(Path(model), default_runtime())
    ids = bundle.prompt_ids("One day")
    best = beam_search(bundle.model, ids, 3, 12, bundle.ends)[0]
    whole = bundle.tokenizer.decode([*ids, *best.ids])
    assert written(capfd, model, "One day", "--beams", "3", *EXACT) == f"{whole}\n"
    # The length that is the default is more than the model reads: the text ends with the context.
    assert written(capfd, model, "One day", "--beams", "2").startswith("One day")


def test_guessing_ahead_writes_the_greedy_text(
    run_directory: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = f"{run_directory}/pretrain"
    greedy = written(capfd, model, "One day", "temperature=0", *EXACT)
    assert written(capfd, model, "One day", "--look-up", *EXACT) == greedy
    draft = f"{run_directory}/instruct-full"
    assert written(capfd, model, "One day", "--draft", draft, *EXACT) == greedy
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"One day\n\nOne day\n")))
    lines = written(capfd, model, "--jsonl", "--look-up", *EXACT).splitlines()
    assert [json.loads(line)["completion"] for line in lines] == [greedy[len("One day") : -1]] * 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--beams", "2", "temperature=0.5"],
            "beam search takes the likeliest text and has no temp",
        ),
        (["--beams", "2", "--look-up"], "are different ways: give one of them"),
        (["--look-up", "temperature=1"], "greedy texts only: use temperature=0"),
        (["--draft", "nowhere"], "nowhere: no such model"),
        (["--beams", "0"], "for '--beams'"),
        (["--weights", "int3"], "int3"),
        (["--adapter", "nowhere"], "nowhere: no such adapter"),
    ],
)
def test_what_makes_no_sense_is_refused(
    run_directory: Path, capfd: Capture, arguments: list[str], said: str
) -> None:
    assert _run(["generate", f"{run_directory}/pretrain", "One day", *arguments]) == 2
    assert said in " ".join(capfd.readouterr().err.split())


def test_a_draft_must_have_the_same_tokens(run_directory: Path, capfd: Capture) -> None:
    tokenizer = Tokenizer.train(["another one"], TokenizerSettings(vocab_size=300))
    other = Transformer(resolve(ModelSettings(preset="nano"), tokenizer.vocab_size))
    folder = run_directory.parent / "other"
    save_bundle(folder, other, tokenizer, {"task": "pretrain"})
    model = f"{run_directory}/pretrain"
    assert _run(["generate", model, "One day", "--draft", str(folder)]) == 2
    assert "its tokenizer is another than that of" in capfd.readouterr().err


def test_an_empty_prompt_begins_a_text(run_directory: Path, capfd: Capture) -> None:
    model = f"{run_directory}/pretrain"
    assert len(written(capfd, model, "", "seed=3", *EXACT)) > 1
    assert written(capfd, model, "seed=3", *EXACT) == written(capfd, model, "", "seed=3", *EXACT)


def test_a_refused_line_of_a_pipe_is_no_success(
    run_directory: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = b"Where is Ella?\n" + b"word " * 400 + b"\n/quit\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed)))
    assert _run(["chat", f"{run_directory}/instruct-full", "max_new_tokens=4"]) == 2
    err = capfd.readouterr().err
    assert "this model reads at most 128" in err
    assert "could not be done: 1" in err
    assert _run(["chat", f"{run_directory}/instruct-full", "--question", ""]) == 2
    assert "the question is empty" in capfd.readouterr().err
