"""A run's directory: what older settings made is set aside."""

from pathlib import Path

import pytest

from hornbook.errors import HornbookError
from hornbook.pipeline.workspace import Workspace


def contents(directory: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def command(workspace: Workspace, error: BaseException, metrics: str = "") -> None:
    """One with other settings, which fails once its training has written these metrics."""
    with workspace.as_it_was():
        (workspace.directory / "recipe.toml").write_text("steps = 2\n")
        folder = workspace.resumable("pretrain", {"steps": 2}, {})
        (folder / "metrics.jsonl").write_text(metrics)
        raise error


def test_settings_that_came_to_nothing_do_not_replace_an_older_result(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    (workspace.resumable("pretrain", {"steps": 1}, {}) / "results.json").write_text("{}")
    for steps in (2, 3, 4):  # as if each were killed before its first step
        folder = workspace.resumable("pretrain", {"steps": steps}, {})
        (folder / "metrics.jsonl").touch()
    assert workspace.resumable("pretrain", {"steps": 1}, {}).joinpath("results.json").exists()
    assert not (tmp_path / "previous").exists()

    (workspace.resumable("pretrain", {"steps": 4}, {}) / "results.json").write_text("[]")
    workspace.resumable("pretrain", {"steps": 5}, {})
    assert (tmp_path / "previous" / "pretrain" / "results.json").read_text() == "{}"
    with workspace.as_it_was():
        (workspace.resumable("pretrain", {"steps": 5}, {}) / "results.json").write_text("()")
    assert (tmp_path / "previous" / "pretrain" / "results.json").read_text() == "[]"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["pretrain", "previous"]


@pytest.mark.parametrize("error", [HornbookError("refused"), KeyboardInterrupt()])
def test_what_ends_before_its_first_step_leaves_the_run_as_it_was(
    tmp_path: Path, error: BaseException
) -> None:
    workspace = Workspace(tmp_path)
    (workspace.resumable("pretrain", {"steps": 1}, {}) / "results.json").write_text("{}")
    (tmp_path / "recipe.toml").write_text("steps = 1\n")
    before = contents(tmp_path)
    with pytest.raises(type(error)):
        command(workspace, error)
    if isinstance(error, HornbookError):
        assert contents(tmp_path) == before
    assert (tmp_path / "pretrain" / "results.json").read_text() == "{}"


def test_what_fails_after_a_step_stands_and_its_recipe_with_it(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    (workspace.resumable("pretrain", {"steps": 1}, {}) / "results.json").write_text("{}")
    (tmp_path / "recipe.toml").write_text("steps = 1\n")
    with pytest.raises(HornbookError):
        command(workspace, HornbookError("the loss is nan"), metrics="{}\n")
    assert (tmp_path / "recipe.toml").read_text() == "steps = 2\n"
    assert (tmp_path / "pretrain" / "metrics.jsonl").exists()
    assert (tmp_path / "previous" / "pretrain" / "results.json").exists()
