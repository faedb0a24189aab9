"""One tiny run of the whole pipeline, made once and shared."""

from pathlib import Path

import pytest

from hornbook.cli import _run
from tests.cli.tiny import TINY


@pytest.fixture(scope="session")
def run_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("runs") / "tiny"
    assert _run(["quickstart", *TINY, f"run.directory={directory}"]) == 0
    return directory
