"""HumanEval's puzzles: read, written, tried out."""

import json
from pathlib import Path

import pytest

from hornbook.errors import HornbookError
from hornbook.evaluation.code_puzzles import read_puzzles, try_out
from hornbook.evaluation.stopping import cut_at

PUZZLE = {
    "task_id": "T/0",
    "prompt": 'def double(x):\n    """Twice x."""\n',
    "test": "def check(f):\n    assert f(2) == 4\n    assert f(0) == 0\n",
    "entry_point": "double",
}


def test_right_and_wrong_functions(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps(PUZZLE) + "\n", "utf-8")
    [puzzle] = read_puzzles(path)
    written = ["    return 2 * x\n", "    return x + 2\n", "    return\n  oops"]
    runs = try_out([puzzle] * 3, written)
    assert [run.outcome for run in runs] == ["passed", "failed", "failed"]
    assert "IndentationError" in runs[2].reason


def test_bad_puzzles(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps({**PUZZLE, "entry_point": "x); evil("}), "utf-8")
    with pytest.raises(HornbookError, match="is no function's name"):
        read_puzzles(path)
    path.write_text(json.dumps({"prompt": "x"}), "utf-8")
    with pytest.raises(HornbookError, match="no field 'test'"):
        read_puzzles(path)


def test_a_text_is_cut_at_the_first_stop() -> None:
    assert cut_at("    return 1\n\nprint(2)\nclass X", ["\nclass", "\nprint"]) == "    return 1\n"
    assert cut_at("no stop", ["\n"]) == "no stop"
