"""The pages on the server that serves the model: a conversation in a browser, and its guards."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sse_starlette")
pytest.importorskip("prometheus_client")
pytest.importorskip("httpx")
pytest.importorskip("playwright")

import httpx
from playwright.sync_api import sync_playwright

from hornbook.pipeline.bundle import default_runtime, load_bundle
from hornbook.serving.app import create_app
from hornbook.serving.served import serve_bundle
from hornbook.serving.settings import ServerSettings
from tests.serving.pages.page_server import serving
from tests.serving.pages.test_browser import CHROMIUM


@pytest.fixture
def app(runs: Path) -> Any:
    settings = ServerSettings()
    bundle = load_bundle(runs / "tiny" / "instruct-full", default_runtime())
    served = serve_bundle(bundle, settings, "tiny", default_runtime())
    served.engine.start()
    yield create_app(served, settings, "a-secret-key", runs)
    served.engine.stop()


def test_data_need_the_key_and_pages_do_not(app: Any) -> None:
    with serving(app) as url:
        for path in ("/", "/explorer", "/runs", "/assets/chat.js"):
            assert httpx.get(url + path).status_code == 200
        for path in ("/api/explore/about", "/api/runs/list", "/v1/models"):
            assert httpx.get(url + path).status_code == 401
            answer = httpx.get(url + path, headers={"Authorization": "Bearer a-secret-key"})
            assert answer.status_code == 200
        foreign = httpx.get(url + "/api/explore/about", headers={"Host": "evil.example"})
        assert foreign.status_code == 403
        other = {"Authorization": "Bearer a-secret-key"}
        asked = httpx.get(url + "/api/explore/about?model=other", headers=other)
        assert asked.status_code == 400
        assert "no model 'other'" in asked.json()["error"]["message"]


@pytest.mark.skipif(CHROMIUM is None, reason="no browser is installed")
def test_a_conversation_with_the_served_model(app: Any) -> None:
    with serving(app) as url, sync_playwright() as found:
        browser = found.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(20_000)
        page.goto(url)
        page.wait_for_selector(".failed:has-text('key')")
        page.click("summary:has-text('Key')")
        page.fill("#key", "a-secret-key")
        page.press("#key", "Enter")
        page.wait_for_selector("#model")
        assert page.input_value("#model") == "tiny"
        page.fill("#input", "Where is Ella?")
        page.press("#input", "Enter")
        page.wait_for_selector(".speed:has-text('tokens/s')")
        assert page.locator(".message.error").count() == 0
        page.goto(f"{url}/explorer#attention")
        page.wait_for_selector(".steps canvas >> nth=5")
        browser.close()
