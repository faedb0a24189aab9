"""What is promised of a training that is interrupted, or that meets a batch that it cannot learn."""

import contextlib
import json
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hornbook.checkpoints.folder import CheckpointFolder
from hornbook.checkpoints.store import load_model
from hornbook.errors import HornbookError, Terminated
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.pipeline.pretraining import fit as fit_module
from hornbook.pipeline.pretraining.fit import fit
from hornbook.pipeline.pretraining.task import Task
from hornbook.runtime import Runtime
from hornbook.sampling.loader import Loader
from hornbook.sampling.windows import Windows
from hornbook.training.evaluation import Score
from hornbook.training.metrics import read_metrics
from hornbook.training.settings import TrainingSettings

CPU = Runtime(torch.device("cpu"), torch.float32, seed=1, reason="a test")
VOCAB, ROWS, LENGTH, BATCHES = 23, 4, 8, 60
BROKEN = 45
"""`Batch.position` of a batch that holds noise among batches easy to learn."""
SETTINGS: dict[str, Any] = {
    "steps": 56,
    "batch_size": ROWS,
    "eval_every": 0,
    "save_every": 12,
    "spike_guard": 6.0,
    "spike_window": 20,
    "spike_snapshot_every": 10,
    "schedule": "constant",
}


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing the curves costs a second each time."""
    monkeypatch.setattr("hornbook.pipeline.pretraining.recorder.draw", lambda *_: None)


class CrashError(Exception):
    """The process dies: nothing is done any more."""


class Data(Windows):
    """Windows that do something when they are asked for the nth time."""

    calls = 0
    at: int = -1

    def happen(self) -> None:
        """Die."""
        raise CrashError

    def collate(self, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        self.calls += 1
        if self.calls == self.at:
            self.happen()
        return super().collate(indices)


def tokens() -> np.ndarray[Any, np.dtype[np.int64]]:
    """A sequence that repeats itself, but for one batch of noise."""
    stream = np.arange(BATCHES * ROWS * LENGTH + 1) % 11
    start = (BROKEN - 1) * ROWS * LENGTH
    stream[start : start + ROWS * LENGTH] = np.random.default_rng(1).integers(
        11, VOCAB, ROWS * LENGTH
    )
    return stream


def task(data: Data | None = None, **changes: Any) -> Task:
    torch.manual_seed(0)
    sizes = {"vocab_size": VOCAB, "context_length": 8, "embed_dim": 16, "n_layers": 2, "n_heads": 2}
    config = ModelConfig.model_validate({**sizes, "dropout": 0.1, "tied_embeddings": False})
    return Task(
        name="tiny",
        model=Transformer(config),
        train=Loader(data or Data(tokens(), LENGTH), ROWS, seed=1, shuffle=False),
        validation=None,
        settings=TrainingSettings.model_validate({**SETTINGS, **changes}),
        tokenizer_fingerprint="t",
        tokens_per_batch=ROWS * LENGTH,
        facts={},
        recipe={"training": {"lr": 0.5}},
    )


def curve(folder: Path) -> list[tuple[Any, ...]]:
    records = read_metrics(folder / "metrics.jsonl", "train")
    return [(r["step"], r["loss"], r["lr"], r["grad_norm"]) for r in records]


def incidents(folder: Path) -> dict[str, dict[str, Any]]:
    files = sorted((folder / "incidents").glob("*"))
    return {file.name: json.loads(file.read_text()) for file in files}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Transformer]:
    """A run never interrupted, which meets the batch of noise."""
    folder = tmp_path_factory.mktemp("whole")
    own = task()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hornbook.pipeline.pretraining.recorder.draw", lambda *_: None)
        fit(own, folder, CPU)
    return folder, own.model


def test_a_spike_is_undone_and_its_batch_left_out(whole: tuple[Path, Transformer]) -> None:
    folder, _ = whole
    found = incidents(folder)
    assert list(found) == ["step-000045.json"]
    incident = found["step-000045.json"]
    assert (incident["step"], incident["batch"], incident["back_to_step"]) == (45, BROKEN, 40)
    assert incident["incident"] == "loss spike"
    assert incident["documents"] == [f"training sample {number}" for number in range(177, 181)]
    assert incident["z_score"] > 6
    assert incident["loss"] > 2 * incident["mean_of_recent"]
    steps = curve(folder)
    assert [step for step, *_ in steps] == list(range(1, 57))
    assert max(loss for _, loss, *_ in steps[40:]) < incident["loss"] / 2


def test_without_the_guard_the_batch_is_trained(tmp_path: Path) -> None:
    fit(task(spike_guard=None), tmp_path, CPU)
    assert incidents(tmp_path) == {}
    losses = [loss for _, loss, *_ in curve(tmp_path)]
    assert losses.index(max(losses[30:])) == BROKEN - 1


@pytest.mark.parametrize(
    "at",
    [
        30,  # goes on from 24, and meets the noise later
        44,  # goes on from 36; the state to go back to is made after the resume
        47,  # goes on from 40, to which it had gone back
        57,  # goes on from 48, with the incident behind it
    ],
)
def test_a_crash_changes_nothing(tmp_path: Path, whole: tuple[Path, Transformer], at: int) -> None:
    data = Data(tokens(), LENGTH)
    data.at = at
    with pytest.raises(CrashError):
        fit(task(data), tmp_path, CPU)
    again = task()
    fit(again, tmp_path, CPU)
    assert_same(tmp_path, again.model, whole)


def assert_same(folder: Path, model: Transformer, whole: tuple[Path, Transformer]) -> None:
    assert curve(folder) == curve(whole[0])
    assert incidents(folder) == incidents(whole[0])
    for ours, theirs in zip(model.parameters(), whole[1].parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    ("number", "raised", "at", "kept"),
    [
        (signal.SIGINT, KeyboardInterrupt, 17, [12, 17]),
        (signal.SIGTERM, Terminated, 17, [12, 17]),
        (signal.SIGTERM, Terminated, 43, [36, 43]),  # the noise makes it go back to step 40
        (signal.SIGTERM, Terminated, 44, [36, 44]),  # as the first thing that it does
    ],
)
def test_a_signal_saves_and_the_run_goes_on_exactly(
    tmp_path: Path,
    whole: tuple[Path, Transformer],
    number: int,
    raised: type[BaseException],
    at: int,
    kept: list[int],
) -> None:
    class Signalled(Data):
        def happen(self) -> None:
            os.kill(os.getpid(), number)

    data = Signalled(tokens(), LENGTH)
    data.at = at
    with pytest.raises(raised):
        fit(task(data), tmp_path, CPU)
    assert list(CheckpointFolder(tmp_path / "checkpoints").steps()) == kept
    again = task()
    fit(again, tmp_path, CPU)
    assert_same(tmp_path, again.model, whole)


def broken_off(folder: Path, at: int = 30, **changes: Any) -> None:
    data = Data(tokens(), LENGTH)
    data.at = at
    with contextlib.suppress(CrashError):
        fit(task(data, **changes), folder, CPU)


def test_a_damaged_newest_checkpoint_is_named_and_the_one_before_used(
    tmp_path: Path, whole: tuple[Path, Transformer], capsys: pytest.CaptureFixture[str]
) -> None:
    broken_off(tmp_path)
    file = tmp_path / "checkpoints" / "step-000024" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    again = task()
    fit(again, tmp_path, CPU)
    printed = capsys.readouterr().out
    assert "warning: " in printed
    assert "step-000024/model.safetensors is damaged" in printed
    assert "going on from step 12" in printed
    assert_same(tmp_path, again.model, whole)


def test_a_checkpoint_holds_what_the_run_is(tmp_path: Path) -> None:
    broken_off(tmp_path)
    newest = tmp_path / "checkpoints" / "step-000024"
    state = json.loads((newest / "state.json").read_text())
    assert (state["step"], state["position"]) == (24, 24)
    assert state["recipe"] == {"training": {"lr": 0.5}}
    assert state["run"]["tokenizer"] == "t"
    assert state["run"]["total_steps"] == 56
    assert len(state["guard"]["losses"]) == 20
    manifest = json.loads((newest / "manifest.json").read_text())
    assert manifest["inputs"]["tokenizer"] == "t"
    assert set(manifest["files"]) == {path.name for path in newest.iterdir()} - {"manifest.json"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"steps": 57}, "whose total_steps is 56, here it is 57"),
        ({"warmup_share": 0.5}, "whose warmup_steps is 3, here it is 28"),
        ({"schedule": "cosine"}, "whose schedule is constant, here it is cosine"),
    ],
)
def test_another_runs_checkpoint_is_not_gone_on_with(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    broken_off(tmp_path)
    with pytest.raises(HornbookError, match=said + ".*another run.directory"):
        fit(task(**changes), tmp_path, CPU)


def with_a_token_that_has_no_number(**changes: Any) -> Task:
    """The first noise token's embedding is NaN, so the loss of its batch is."""
    own = task(spike_guard=None, **changes)
    token = int(tokens()[(BROKEN - 1) * ROWS * LENGTH])
    with torch.no_grad():
        own.model.embedding.token.weight[token] = torch.nan
    return own


def test_the_last_checkpoint_holds_no_optimizer_and_ends_the_run(tmp_path: Path) -> None:
    first = fit(task(steps=14), tmp_path, CPU)
    kept = CheckpointFolder(tmp_path / "checkpoints").steps()
    assert (kept[12] / "optimizer.safetensors").exists()
    assert not (kept[14] / "optimizer.safetensors").exists()
    assert first.checkpoint == kept[14]
    again = fit(task(steps=14), tmp_path, CPU)
    assert again.seconds == pytest.approx(first.seconds)
    for one, other in zip(first.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(HornbookError, match=r"step 45 \(batch 45\): the loss is nan.*of step 44"):
        fit(with_a_token_that_has_no_number(), tmp_path, CPU)
    assert CheckpointFolder(tmp_path / "checkpoints").latest() is not None


def test_a_loss_that_is_no_number_is_passed_over_on_demand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(with_a_token_that_has_no_number(on_nonfinite="skip"), tmp_path, CPU)
    incident = incidents(tmp_path)["step-000045.json"]
    assert (incident["incident"], incident["loss"], incident["batch"]) == (
        "no finite number",
        "nan",
        BROKEN,
    )
    assert incident["documents"][0] == "training sample 177"
    records = curve(tmp_path)
    assert records[44][1] is None
    assert all(loss is not None for step, loss, *_ in records if step != 45)
    assert "step 45: the loss is no finite number" in capsys.readouterr().out


def test_the_loop_hands_checkpoints_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run does not write its checkpoints itself: the loop would have to wait."""
    savers = []

    class Kept(fit_module.Saver):
        def __init__(self, folder: CheckpointFolder) -> None:
            super().__init__(folder)
            savers.append(self)

    monkeypatch.setattr(fit_module, "Saver", Kept)
    fit(task(), tmp_path, CPU)
    assert savers[0].seconds_saving > 0


def _scripted(monkeypatch: pytest.MonkeyPatch, losses: list[float]) -> None:
    """Have the evaluations of a training come out so."""
    script = iter(losses)
    monkeypatch.setattr(fit_module, "evaluate", lambda *_: Score(next(script), 10))


EARLY: dict[str, Any] = {
    "steps": 40,
    "eval_every": 4,
    "save_every": 0,
    "patience": 2,
    "spike_guard": None,
    "warmup_share": 0.0,
}


def test_training_ends_when_the_validation_loss_has_stopped_falling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = replace(task(**EARLY), validation=task().train)
    _scripted(monkeypatch, [3.0, 2.0, 2.5, 2.0, 2.0])
    fitted = fit(own, tmp_path, CPU)
    assert fitted.steps == 16
    folder = CheckpointFolder(tmp_path / "checkpoints")
    assert folder.best() == folder.place(8)
    short = task(**{**EARLY, "steps": 8, "eval_every": 0, "patience": None})
    fit(short, tmp_path / "short", CPU)
    for mine, kept in zip(short.model.parameters(), fitted.model.parameters(), strict=True):
        assert torch.equal(mine, kept)


def test_what_ended_early_does_not_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = replace(task(**EARLY), validation=task().train)
    _scripted(monkeypatch, [2.0, 2.5, 3.0, 2.0])
    assert fit(own, tmp_path, CPU).steps == 12
    again = replace(task(**EARLY), validation=task().train)
    _scripted(monkeypatch, [2.0])
    assert fit(again, tmp_path, CPU).steps == 12


def test_patience_needs_validation(tmp_path: Path) -> None:
    with pytest.raises(HornbookError, match="patience 2 needs data held out"):
        fit(task(**EARLY), tmp_path, CPU)


def test_what_is_done_at_the_end_is_in_the_weights_kept_and_done_once(tmp_path: Path) -> None:
    asked = []

    def double(model: Transformer) -> None:
        asked.append(model)
        model.head.weight.data.mul_(2)

    plain = fit(task(spike_guard=None), tmp_path / "plain", CPU).model
    own = replace(task(spike_guard=None), at_end=double)
    fitted = fit(own, tmp_path / "own", CPU)
    assert torch.equal(fitted.model.head.weight, 2 * plain.head.weight)
    assert fitted.checkpoint is not None  # whose file the model can share
    stored = load_model(fitted.checkpoint).model
    assert torch.equal(stored.head.weight, fitted.model.head.weight)
    again = fit(replace(task(spike_guard=None), at_end=double), tmp_path / "own", CPU)
    assert torch.equal(again.model.head.weight, fitted.model.head.weight)
    assert len(asked) == 1
