"""One tiny run for all tests of this folder, with a pretrained model, a follower and a classifier; and a
browser on its pages."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
PHONE = {"width": 390, "height": 780}


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the run `tiny` is in."""
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    from tests.serving.pages.page_server import train

    folder = tmp_path_factory.mktemp("runs")
    train(folder)
    return folder


@pytest.fixture(scope="module")
def url(runs: Path) -> Iterator[str]:
    from tests.serving.pages.page_server import make_app, serving

    with serving(make_app(runs)) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no browser is installed")
    with playwright.sync_playwright() as found:
        opened = found.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any, url: str) -> Iterator[Any]:
    """A page in which every error, and every request to elsewhere, fails the test."""
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    opened, wrong = context.new_page(), []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
    opened.on("request", lambda r: None if r.url.startswith(url) else wrong.append(r.url))
    opened.set_default_timeout(15_000)
    yield opened
    context.close()
    assert wrong == []


def set_slider(page: Any, name: str, value: float) -> None:
    page.eval_on_selector(
        f"#{name}", f"e => {{ e.value = {value}; e.dispatchEvent(new Event('input')); }}"
    )
