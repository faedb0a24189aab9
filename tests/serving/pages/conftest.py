"""One tiny run for all tests of this folder, with a pretrained model, a follower and a classifier."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the run `tiny` is in."""
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    from tests.serving.pages.page_server import train

    folder = tmp_path_factory.mktemp("runs")
    train(folder)
    return folder
