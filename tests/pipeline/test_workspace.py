"""A run's directory: what older settings made is set aside."""

from pathlib import Path

from hornbook.pipeline.workspace import Workspace


def test_settings_that_came_to_nothing_do_not_replace_an_older_result(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    (workspace.resumable("pretrain", {"steps": 1}, {}) / "results.json").write_text("{}")
    for steps in (2, 3, 4):  # as if each were refused before its first step
        workspace.resumable("pretrain", {"steps": steps}, {})
    assert (tmp_path / "previous" / "pretrain" / "results.json").exists()

    (workspace.resumable("pretrain", {"steps": 4}, {}) / "results.json").write_text("[]")
    workspace.resumable("pretrain", {"steps": 5}, {})
    assert (tmp_path / "previous" / "pretrain" / "results.json").read_text() == "[]"
