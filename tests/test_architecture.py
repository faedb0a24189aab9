"""The arrows between folders point one way, and importing the package costs next to nothing."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "hornbook"
ORDER = (
    "corpus",
    "tokenizing",
    "sampling",
    "model",
    "training",
    "checkpoints",
    "finetuning",
    "inference",
    "evaluation",
    "report",
    "pipeline",
    "serving",
    "run",
    "cli",
    "__main__",
)
WITHIN_PIPELINE = ("models", "corpora", "pretraining", "measuring", "tuning")
LEAVES = {"errors", "config", "artifact", "console", "processes", "runtime", "divided"}
FORBIDDEN = {
    ("checkpoints", "training"),
    ("checkpoints", "tokenizing"),
    ("model", "tokenizing"),
    ("model", "sampling"),
    ("model", "corpus"),
    ("training", "corpus"),
    ("training", "tokenizing"),
}
"""Arrows that would point downhill and are unwanted all the same."""


def rooms() -> list[str]:
    return [
        path.stem
        for path in sorted(PACKAGE.iterdir())
        if (path.is_dir() and (path / "__init__.py").exists())
        or (path.suffix == ".py" and path.stem != "__init__")
    ]


def imports_of(room: str) -> set[str]:
    """The rooms that a room imports, at any depth of its code."""
    path = PACKAGE / room
    files = path.rglob("*.py") if path.is_dir() else [path.with_suffix(".py")]
    found: set[str] = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.ImportFrom):
                base = node.module or ""
                names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            for name in names:
                parts = name.split(".")
                if parts[0] == "hornbook" and len(parts) > 1 and parts[1] in rooms():
                    found.add(parts[1])
    return found - {room}


def test_every_room_has_its_place() -> None:
    assert set(rooms()) == {*ORDER, *LEAVES}


@pytest.mark.parametrize("room", ORDER)
def test_a_stage_imports_only_from_above(room: str) -> None:
    allowed = LEAVES | set(ORDER[: ORDER.index(room)])
    allowed -= {target for source, target in FORBIDDEN if source == room}
    assert imports_of(room) <= allowed


@pytest.mark.parametrize("room", WITHIN_PIPELINE)
def test_a_part_of_the_pipeline_imports_only_from_above(room: str) -> None:
    allowed = WITHIN_PIPELINE[: WITHIN_PIPELINE.index(room) + 1]
    for file in (PACKAGE / "pipeline" / room).glob("*.py"):
        code = file.read_text(encoding="utf-8")
        imported = set(re.findall(r"hornbook\.pipeline\.(\w+)\.", code))
        assert imported <= set(allowed), file.name


@pytest.mark.parametrize("leaf", sorted(LEAVES))
def test_leaves_know_no_stage(leaf: str) -> None:
    assert imports_of(leaf) <= LEAVES


def test_files_can_be_held_in_mind() -> None:
    long = {
        str(path.relative_to(PACKAGE)): count
        for path in PACKAGE.rglob("*.py")
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > 420
    }
    assert not long


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, hornbook; print([m for m in ('torch', 'numpy', 'pydantic', 'rich') if m in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert printed.stdout.strip() == "[]"


def test_help_does_not_import_torch() -> None:
    code = (
        "import sys; sys.argv = ['hornbook', '--help']\n"
        "from hornbook.cli import main\n"
        "try: main()\n"
        "finally: print('torch' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert printed.stdout.strip().endswith("False")


def test_public_names_are_there() -> None:
    import hornbook

    for name in hornbook.__all__:
        assert getattr(hornbook, name) is not None
