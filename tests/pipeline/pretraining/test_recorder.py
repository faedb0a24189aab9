"""Every step is written down, and a device is not waited for more often than said."""

import json
from pathlib import Path

import pytest

from hornbook.console import Meter
from hornbook.pipeline.pretraining.history import METRICS, PICTURE
from hornbook.pipeline.pretraining.recorder import Recorder
from hornbook.training.evaluation import Score
from hornbook.training.flops import Cost, Peak
from hornbook.training.schedule import Plan, plan_training
from hornbook.training.settings import TrainingSettings
from hornbook.training.trackers import Trackers

COST = Cost(flops_per_token=1e6, peak=Peak(1e9, "by hand"))


class LazyStep:
    """Stands for a step on a GPU: puts its number into `reads` when its loss is asked for."""

    lr, seconds, grad_norm = 1e-3, 0.1, 0.5

    def __init__(self, index: int, reads: list[int]) -> None:
        self.index, self._reads = index, reads

    @property
    def loss(self) -> float:
        self._reads.append(self.index)
        return 1.0 / self.index


def plan(**every: int) -> Plan:
    settings = TrainingSettings(
        steps=25, **{"eval_every": 0, "sample_every": 0, "save_every": 0, **every}
    )
    return plan_training(settings, batches_per_epoch=10, tokens_per_batch=100)


def recorder(folder: Path, at_once: int, start: int = 0, **every: int) -> Recorder:
    return Recorder(folder, plan(**every), start, COST, Trackers([], folder, {}), at_once)


def feed(made: Recorder, steps: range) -> list[list[int]]:
    """Which steps' losses were read in each step's own round."""
    reads: list[int] = []
    rounds, meter = [], Meter("test", 25, "step")
    for index in steps:
        made.step(LazyStep(index, reads), meter, None)  # type: ignore[arg-type]
        rounds.append(sorted(set(reads)))
        reads.clear()
    return rounds


def written(folder: Path, kind: str = "train") -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]
    return [line for line in lines if line["kind"] == kind]


def test_each_step_at_once_on_a_cpu(tmp_path: Path) -> None:
    assert feed(recorder(tmp_path, 1), range(1, 26)) == [[step] for step in range(1, 26)]
    records = written(tmp_path)
    assert [record["step"] for record in records] == list(range(1, 26))
    assert records[3]["loss"] == 0.25
    assert records[3]["tokens_per_second"] == 1000
    assert records[3]["mfu"] == pytest.approx(1.0)  # 1,000 tokens/s of 1e6 FLOP, of 1e9 FLOP/s
    assert records[3]["seconds"] == 0.1


def test_ten_steps_at_once_on_a_gpu(tmp_path: Path) -> None:
    rounds = feed(recorder(tmp_path, 10), range(1, 26))
    read = {index: found for index, found in enumerate(rounds, start=1) if found}
    assert read == {10: list(range(1, 11)), 20: list(range(11, 21)), 25: list(range(21, 26))}
    assert [record["loss"] for record in written(tmp_path)] == [1 / s for s in range(1, 26)]


def test_nothing_waits_over_an_evaluation_or_a_checkpoint(tmp_path: Path) -> None:
    rounds = feed(recorder(tmp_path, 10, eval_every=4, save_every=7), range(1, 26))
    assert [index for index, found in enumerate(rounds, start=1) if found] == [
        *(4, 7, 8, 12, 14, 16, 20, 21, 24, 25),
    ]


def test_flushing_writes_what_waits(tmp_path: Path) -> None:
    made = recorder(tmp_path, 10)
    feed(made, range(1, 4))
    assert written(tmp_path) == []
    made.flush(Meter("test", 25, "step"), None)
    made.flush(Meter("test", 25, "step"), None)
    assert [record["step"] for record in written(tmp_path)] == [1, 2, 3]


def test_going_on_drops_later_steps(tmp_path: Path) -> None:
    feed(recorder(tmp_path, 1), range(1, 9))
    feed(recorder(tmp_path, 1, start=5), range(6, 8))
    assert [record["step"] for record in written(tmp_path)] == [1, 2, 3, 4, 5, 6, 7]


def test_closing_draws_the_curves(tmp_path: Path) -> None:
    made = recorder(tmp_path, 1)
    feed(made, range(1, 4))
    made.evaluation(LazyStep(3, []), Score(0.4, 10))  # type: ignore[arg-type]
    made.close()
    assert written(tmp_path, "evaluation")[0]["loss"] == 0.4
    assert (tmp_path / PICTURE).read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == [PICTURE, METRICS]


def test_a_sample_cannot_command_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made = recorder(tmp_path, 1)
    made.sample(LazyStep(1, []), "red \x1b[31m\x07 \u202eover\nnext line")  # type: ignore[arg-type]
    printed = capfd.readouterr().out
    assert "red \\x1b[31m\\x07 \\u202eover\nnext line" in printed
    assert written(tmp_path, "sample")[0]["text"].startswith("red \x1b[31m")  # type: ignore[attr-defined]
