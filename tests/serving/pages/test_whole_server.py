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

from hornbook.pipeline.models.bundle import default_runtime, load_bundle
from hornbook.serving.app import create_app
from hornbook.serving.models import serve_bundle
from hornbook.serving.settings import ServerSettings
from hornbook.tokenizing.tokenizer import Tokenizer
from tests.serving.pages.conftest import CHROMIUM
from tests.serving.pages.page_server import serving


@pytest.fixture
def app(runs: Path) -> Any:
    settings = ServerSettings()
    bundle = load_bundle(runs / "tiny" / "instruct-full", default_runtime())
    models = serve_bundle(bundle, settings, "tiny", default_runtime())
    models.engine.start()
    yield create_app(models, settings, "a-secret-key", runs)
    models.engine.stop()


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
        assert "the model 'other' does not exist" in asked.json()["error"]["message"]


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
        assert page.inner_text("#model") == "tiny"  # nothing to choose
        page.fill("#input", "Where is Ella?")
        page.press("#input", "Enter")
        page.wait_for_selector(".speed:has-text('tokens/s')")
        assert page.locator(".message.error").count() == 0
        page.goto(f"{url}/explorer#attention")
        page.wait_for_selector(".steps canvas >> nth=5")
        browser.close()


@pytest.fixture
def with_adapters(runs: Path) -> Any:
    """A pre-trained model, and on it an adapter that was trained to answer."""
    runtime, settings = default_runtime(), ServerSettings(weights="float32")
    bundle = load_bundle(runs / "tiny" / "pretrain", runtime)
    adapters = {"follower": runs / "tiny" / "instruct-lora"}
    models = serve_bundle(bundle, settings, "reader", runtime, adapters)
    models.engine.start()
    yield create_app(models, settings, None, runs)
    models.engine.stop()


@pytest.mark.skipif(CHROMIUM is None, reason="no browser is installed")
def test_each_conversation_keeps_its_adapter(with_adapters: Any, runs: Path) -> None:
    tokenizer = Tokenizer.load(runs / "tiny" / "pretrain" / "tokenizer")
    long = tokenizer.decode(tokenizer.encode("Ella and Tom went to the barn. " * 40)[:124])
    assert len(tokenizer.encode(long)) < 128
    with serving(with_adapters) as url, sync_playwright() as found:
        browser = found.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(20_000)
        page.goto(url)
        page.wait_for_selector("select#model")
        assert page.locator("#model option").all_inner_texts() == [
            "reader", "follower (on reader)",
        ]  # fmt: skip
        page.select_option("#model", "follower")
        page.fill("#input", "Where is Ella?")
        page.press("#input", "Enter")
        page.wait_for_selector(".speed:has-text('follower, '):has-text('full')")
        page.click("#new")
        page.select_option("#model", "reader")
        page.click("summary:has-text('Sampling')")
        page.eval_on_selector(
            "#temperature", "e => { e.value = 0; e.dispatchEvent(new Event('input')); }"
        )
        page.fill("#input", long)
        page.press("#input", "Enter")
        page.wait_for_selector(".speed:has-text('reader, ')")
        page.wait_for_selector(
            ".notice:has-text('The context is full: the model reads 128 tokens')"
        )
        page.click(".side li button:has-text('Where is Ella?')")
        assert page.input_value("#model") == "follower"
        page.reload()
        page.wait_for_selector("select#model")
        assert page.input_value("#model") == "reader"  # as last chosen, for what comes next
        page.click(".side li button:has-text('Where is Ella?')")
        assert page.input_value("#model") == "follower"
        page.fill("#input", "Ella and Tom went to the barn. " * 30)
        page.press("#input", "Enter")
        page.wait_for_selector(".message.error:has-text('The context is full')")
        page.goto(f"{url}/explorer")
        page.select_option("#model", "follower")
        page.click("#tab-adapter")
        page.wait_for_selector("#adapter tbody tr")
        browser.close()
