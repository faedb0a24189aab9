"""The pages in a real browser, on a really trained model: what a person would do with them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright.sync_api")
pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from tests.serving.pages.conftest import PHONE, set_slider


def open_view(page: Any, name: str) -> None:
    page.click(f"#tab-{name}")
    page.wait_for_selector(f"#panel:not([aria-busy])[aria-labelledby=tab-{name}] > div")


def test_a_conversation(page: Any, url: str) -> None:
    page.goto(url)
    page.wait_for_selector("#model")
    hostile = "Who is <img src=x onerror=alert(1)> <script>alert(2)</script>?"
    page.fill("#input", hostile)
    page.press("#input", "Enter")
    page.wait_for_selector("text=tokens/s")
    assert page.inner_text(".message.user .text") == hostile
    assert page.query_selector(".messages img, .messages script") is None
    first = page.inner_text(".message.assistant .text")
    assert first.strip()
    # Edit what was asked: what followed it is written anew.
    page.click("text=Edit")
    page.fill(".message textarea", "Where is Ella?")
    page.click("text=Send again")
    page.wait_for_selector("text=tokens/s")
    assert page.inner_text(".message.user .text") == "Where is Ella?"
    page.click("text=Regenerate")
    page.wait_for_selector("text=tokens/s")
    assert page.locator(".message").count() == 2
    # A second conversation, and both are there after a reload.
    page.click("#new")
    assert page.locator(".message").count() == 0
    page.reload()
    page.wait_for_selector("#model")
    page.click(".side li button:has-text('Where is Ella?')")
    assert page.locator(".message").count() == 2
    page.click("[aria-label^='Delete “Where is Ella']")
    page.wait_for_selector(".side li button:has-text('Where is Ella?')", state="detached")


def begin_a_long_answer(page: Any, url: str) -> None:
    page.goto(url)
    page.wait_for_selector("#model")
    page.select_option("#model", "pretrain")  # which does not end soon
    page.click("summary:has-text('Sampling')")
    set_slider(page, "max_tokens", 2048)
    page.fill("#input", "Ella woke up early")
    page.press("#input", "Enter")
    page.wait_for_selector(".message.assistant .text:not(:empty)")


def test_an_answer_is_stopped_with_escape(page: Any, url: str) -> None:
    begin_a_long_answer(page, url)
    assert page.inner_text("#send") == "Stop"
    page.keyboard.press("Escape")
    page.wait_for_selector("#send:has-text('Send')")
    stopped = page.inner_text(".message.assistant .text")
    page.wait_for_timeout(150)
    assert page.inner_text(".message.assistant .text") == stopped


def test_an_answer_written_anew_in_mid_answer_can_be_stopped(page: Any, url: str) -> None:
    begin_a_long_answer(page, url)
    page.click("button:has-text('Regenerate')")
    page.wait_for_selector(".message.assistant .text:not(:empty)")
    assert page.inner_text("#send") == "Stop"
    page.click("#send")
    page.wait_for_selector("#send:has-text('Send')")


def test_an_answer_names_the_model_that_wrote_it(page: Any, url: str) -> None:
    begin_a_long_answer(page, url)
    page.select_option("#model", "instruct-full")
    page.wait_for_selector(".speed:has-text('tokens/s')")
    assert page.inner_text(".speed").startswith("pretrain, ")


def test_a_refusal_is_told(page: Any, url: str) -> None:
    page.route(
        "**/v1/chat/completions",
        lambda route: route.fulfill(
            status=200, body='data: {"error": {"message": "The queue is full <b>."}}\n\n'
        ),
    )
    page.goto(url)
    page.wait_for_selector("#model")
    page.fill("#input", "Hello")
    page.click("#send")
    page.wait_for_selector(".message.error:has-text('The queue is full <b>.')")


def test_what_has_failed_is_told_above_all_else(browser: Any, url: str) -> None:
    page = browser.new_page(viewport={"width": 1200, "height": 800})
    refusal = json.dumps({"error": {"message": "a key is needed.", "code": "key"}})
    page.route("**/v1/models", lambda route: route.fulfill(status=401, body=refusal))
    page.goto(url)
    alert, main = page.wait_for_selector("[role=alert]").bounding_box(), page.locator("#main")
    beneath = [
        part.bounding_box() for part in main.locator("> :not([role=alert], .sr):visible").all()
    ]
    page.close()
    assert alert["width"] > 900
    assert alert["height"] < 120
    assert all(part["y"] >= alert["y"] + alert["height"] for part in beneath)


def test_every_view_of_the_explorer(page: Any, url: str) -> None:
    page.goto(f"{url}/explorer")
    page.wait_for_selector("#model")
    page.select_option("#model", "pretrain")
    page.fill("#text", "Ella found a <b>red</b> hat.")
    page.wait_for_selector(".card[data-algorithm='WordPiece'] .token >> text=hat")
    assert page.locator(".columns > .card").count() == 5
    assert page.query_selector("main b b, .tokens b") is None
    open_view(page, "windows")
    set_slider(page, "stride", 2)
    page.wait_for_selector("text=they overlap")
    open_view(page, "embedding")
    page.click("#panel button.token >> nth=3")
    page.wait_for_selector("#neighbours tr >> nth=9")
    assert page.locator(".plot circle.near").count() == 10
    open_view(page, "attention")
    assert page.locator(".heads canvas").count() == 4
    page.click(".heads button >> nth=2")
    page.wait_for_selector("h2:has-text('Layer 1, head 3')")
    page.select_option("#layer", label="3")
    page.wait_for_selector("h2:has-text('Layer 3, head 3')")
    assert page.locator(".steps canvas").count() == 6
    open_view(page, "lens")
    page.click(".lens tbody tr:first-child td:nth-child(4) button")
    page.wait_for_selector("h2:has-text('layer 3, after')")
    open_view(page, "next")
    set_slider(page, "top_k", 5)
    page.wait_for_selector("#left:has-text('5 tokens may be drawn')")
    before = page.input_value("#text")
    page.click(".bars button.token >> nth=0")
    assert len(page.input_value("#text")) > len(before)
    page.select_option("#model", "classify-lora")
    open_view(page, "classes")
    page.wait_for_selector(".chart path >> nth=5")
    assert page.locator(".lens tbody tr").count() == 12
    open_view(page, "adapter")
    assert page.locator("#adapter tbody tr").count() == 18
    assert page.url.endswith("#adapter")


def test_tabs_are_walked_with_arrows(page: Any, url: str) -> None:
    page.goto(f"{url}/explorer")
    page.wait_for_selector("#tab-tokens")
    page.focus("#tab-tokens")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#tab-windows[aria-selected='true']")
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.getAttribute('aria-selected')") == "true"
    page.keyboard.press("Home")
    page.wait_for_selector("#panel[aria-labelledby='tab-tokens']")
    assert page.locator("[role=tab][tabindex='0']").count() == 1


def test_the_way_back_leads_to_the_views_before(page: Any, url: str) -> None:
    page.goto(f"{url}/explorer")
    open_view(page, "windows")
    open_view(page, "embedding")
    for before in ("windows", "tokens"):  # the first, whose address names no view
        page.go_back()
        page.wait_for_selector(f"#panel:not([aria-busy])[aria-labelledby=tab-{before}] > div")
        assert page.get_attribute(f"#tab-{before}", "aria-selected") == "true"
    page.go_forward()
    page.wait_for_selector("#panel:not([aria-busy])[aria-labelledby=tab-windows] > div")


def test_runs_are_compared_and_followed(page: Any, url: str, runs: Path) -> None:
    live = runs / "live" / "pretrain"
    live.mkdir(parents=True)
    try:
        write(live, range(1, 6))
        page.goto(f"{url}/runs")
        page.wait_for_selector(".chart path")
        assert page.is_checked("[id='run-live/pretrain']")  # the newest
        page.check("[id='run-tiny/pretrain']")
        page.wait_for_selector("th:has-text('tiny/pretrain')")
        page.wait_for_selector(".legend :text('tiny/pretrain validation')")
        write(live, range(6, 9))
        page.wait_for_selector("tr:has(th:text-is('step')) td:text-is('8')")
        page.wait_for_selector(".sample:has-text('<i>sample</i>')")
        page.select_option("#figure", "lr")
        page.wait_for_selector("[aria-label='learning rate against the step']")
    finally:
        shutil.rmtree(runs / "live")


def write(stage: Path, steps: range) -> None:
    with (stage / "metrics.jsonl").open("a") as file:
        for step in steps:
            file.write(
                json.dumps({"kind": "train", "step": step, "loss": 3 / step, "lr": 0.1}) + "\n"
            )
        file.write(
            json.dumps({"kind": "sample", "step": steps[-1], "text": "<i>sample</i>"}) + "\n"
        )


@pytest.mark.parametrize(
    "place", ["/", "/explorer", "/explorer#attention", "/explorer#lens", "/runs"]
)
def test_a_phone_shows_all_of_it(page: Any, url: str, place: str) -> None:
    page.set_viewport_size(PHONE)
    page.goto(url + place)
    page.wait_for_selector("#theme")
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_colours_are_chosen_and_kept(page: Any, url: str) -> None:
    page.emulate_media(color_scheme="light")
    page.goto(f"{url}/runs")
    paper = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(paper)
    page.click("#theme")
    page.click("#theme")
    dark = page.evaluate(paper)
    assert dark != light
    page.goto(f"{url}/explorer")
    page.wait_for_selector("#theme")
    assert page.evaluate(paper) == dark
    page.click("#theme")  # as the system has it
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(paper) == dark
