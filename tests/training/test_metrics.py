import json
from pathlib import Path

import pytest

from hornbook.errors import HornbookError
from hornbook.training.metrics import MetricsLog, read_metrics


def test_records_come_back_in_order_and_by_kind(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "run" / "metrics.jsonl")
    log.write("train", 1, {"loss": 3.5})
    log.write("sample", 1, {"text": "line\nof Ünïcode"})
    log.write("train", 2, {"loss": 3.25})
    assert [r["loss"] for r in read_metrics(log.path, "train")] == [3.5, 3.25]
    assert read_metrics(log.path)[1] == {"kind": "sample", "step": 1, "text": "line\nof Ünïcode"}


def test_resuming_drops_what_was_written_after_the_step(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path)
    for step in range(1, 6):
        log.write("train", step, {"loss": float(step)})
    resumed = MetricsLog(path, resume_step=3)
    resumed.write("train", 4, {"loss": 44.0})
    assert [(r["step"], r["loss"]) for r in read_metrics(path)] == [(1, 1), (2, 2), (3, 3), (4, 44)]


def test_starting_afresh_forgets(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    MetricsLog(path).write("train", 1, {})
    MetricsLog(path)
    assert read_metrics(path) == []


def test_a_line_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    MetricsLog(path).write("train", 1, {})
    with path.open("a", encoding="utf-8") as file:
        file.write('{"kind": "train", "st')
    assert [r["step"] for r in read_metrics(path)] == [1]


def test_numbers_that_are_none_are_null(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.write("evaluation", 1, {"perplexity": float("inf")})
    assert json.loads(log.path.read_text())["perplexity"] is None


@pytest.mark.parametrize("line", ["not json", "[1]", '{"step": 1}'])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"kind": "train", "step": 1}\n' + line + "\n")
    with pytest.raises(HornbookError, match=r"metrics\.jsonl, line 2"):
        read_metrics(path)


def test_no_file_is_no_records(tmp_path: Path) -> None:
    assert read_metrics(tmp_path / "none.jsonl") == []
