"""The chat page's controls: what they ask for, what is kept, and what is seen of it."""

import json
from typing import Any

import pytest

pytest.importorskip("playwright.sync_api")
pytest.importorskip("fastapi")

from tests.serving.pages.conftest import PHONE, set_slider

NEUTRAL = {"temperature": 0.8, "max_tokens": 128}


def asked_for(page: Any, text: str) -> dict[str, Any]:
    """Send a message; the fields of the request that it becomes, but those that all have."""
    with page.expect_request("**/v1/chat/completions") as sent:
        page.fill("#input", text)
        page.press("#input", "Enter")
    page.wait_for_selector("#send:has-text('Send')")
    body = json.loads(sent.value.post_data)
    return {
        name: value
        for name, value in body.items()
        if name not in ("model", "messages", "stream", "stream_options")
    }


def open_controls(page: Any, url: str) -> None:
    page.goto(url)
    page.wait_for_selector("#model")
    page.click("summary:has-text('Sampling')")
    page.click("summary:text-is('More')")


def test_every_control_is_a_field_of_the_request(page: Any, url: str) -> None:
    open_controls(page, url)
    assert asked_for(page, "Who?") == NEUTRAL
    chosen = {
        "temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.05, "repetition_penalty": 1.2,
        "presence_penalty": 0.5, "frequency_penalty": -0.5, "max_tokens": 64,
    }  # fmt: skip
    for name, value in chosen.items():
        set_slider(page, name, value)
    page.fill("#stop", "\\n\\n\nElla")
    page.fill("#seed", "7")
    expected = {**chosen, "stop": ["\n\n", "Ella"], "seed": 7}
    page.click("#new")  # which begins with the same
    assert asked_for(page, "Who?") == expected
    page.click("#new")
    page.check("#greedy")
    assert page.is_disabled("#top_k")
    greedy = {
        name: value
        for name, value in expected.items()
        if name not in ("top_p", "top_k", "min_p", "seed")
    }
    assert asked_for(page, "Who?") == {**greedy, "temperature": 0}
    page.click("#new")
    page.click("#as-at-first")
    assert not page.is_checked("#greedy")
    assert not page.is_disabled("#top_k")
    assert asked_for(page, "Who?") == NEUTRAL


def test_each_conversation_keeps_its_own(page: Any, url: str) -> None:
    open_controls(page, url)
    set_slider(page, "top_k", 7)
    page.fill("#system", "Be brief.")
    assert asked_for(page, "The first?")["top_k"] == 7
    page.click("#new")
    assert page.input_value("#top_k") == "7"  # a new one begins as the last was
    set_slider(page, "top_k", 9)
    page.fill("#system", "")
    assert asked_for(page, "The second?")["top_k"] == 9
    page.reload()
    page.wait_for_selector("#model")
    for title, count, system in (("The first?", "7", "Be brief."), ("The second?", "9", "")):
        page.click(f".side li button:has-text('{title}')")
        assert (page.input_value("#top_k"), page.input_value("#system")) == (count, system)


def test_the_controls_are_reached_with_the_keyboard(page: Any, url: str) -> None:
    page.goto(url)
    page.wait_for_selector("#model")
    page.focus(".settings > summary")
    page.keyboard.press("Enter")
    names = ("temperature", "top_p", "max_tokens", "seed", "greedy")
    reached = []
    for _ in names:
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
    assert tuple(reached) == names
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # More
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "top_k"
    assert page.input_value("#top_k") == "1"
    assert page.get_attribute("#top_k", "aria-valuetext") == "1"


@pytest.mark.parametrize("size", [PHONE, {"width": 1280, "height": 700}], ids=["phone", "wide"])
def test_a_long_conversation_leaves_room_to_write(page: Any, url: str, size: Any) -> None:
    page.set_viewport_size(size)
    page.goto(url)
    page.wait_for_selector("#model")
    turn = [
        {"role": "user", "content": "Who? " * 200},
        {"role": "assistant", "content": "I. " * 900},
    ]
    talk = {"id": "long", "messages": turn * 3}
    page.evaluate("one => localStorage.setItem('conversations', JSON.stringify([one]))", talk)
    page.reload()
    page.wait_for_selector("#model")
    page.click(".side li button:has-text('Who?')")
    page.click("summary:has-text('Sampling')")
    page.click("summary:text-is('More')")
    for name in ("#input", "#send"):
        box = page.locator(name).bounding_box()
        assert box["y"] + box["height"] <= size["height"]
    assert page.evaluate("document.documentElement.scrollHeight") <= size["height"]
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    page.locator("#stop").scroll_into_view_if_needed()
    assert page.locator("#stop").bounding_box()["width"] > 200


def test_what_is_read_stays_where_it_is_when_an_answer_ends(page: Any, url: str) -> None:
    page.set_viewport_size({"width": 900, "height": 420})
    page.goto(url)
    page.wait_for_selector("#model")
    long = {"role": "assistant", "content": "I.\n" * 60, "failed": True}  # which is not read again
    turn = [{"role": "user", "content": "Who?"}, long]
    talk = {"id": "long", "messages": turn * 2}
    page.evaluate("one => localStorage.setItem('conversations', JSON.stringify([one]))", talk)
    page.reload()
    page.wait_for_selector("#model")
    page.click(".side li button:has-text('Who?')")
    page.select_option("#model", "pretrain")
    page.fill("#input", "Ella woke up early")
    page.press("#input", "Enter")
    page.wait_for_selector(".message:last-child .text:not(:empty)")
    page.eval_on_selector("#messages", "e => { e.scrollTop = 10; }")
    page.wait_for_selector(".message:last-child .speed:has-text('tokens/s')")
    assert page.eval_on_selector("#messages", "e => e.scrollTop") == 10


def test_text_from_right_to_left_and_code(page: Any, url: str) -> None:
    page.goto(url)
    page.wait_for_selector("#model")
    answer = "Look:\n```python\nprint('<b>')\n```\nDone."
    said = [
        {"role": "user", "content": "\u0645\u0631\u062d\u0628\u0627"},
        {"role": "assistant", "content": "\u0645\u0631\u062d\u0628\u0627."},
        {"role": "assistant", "content": answer},
    ]
    page.evaluate(
        "one => localStorage.setItem('conversations', JSON.stringify([one]))",
        {"id": "a", "messages": said},
    )
    page.reload()
    page.wait_for_selector("#model")
    page.click(".side li button >> nth=2")
    direction = "e => getComputedStyle(e).direction"
    texts = page.locator(".message .text")
    assert [texts.nth(i).evaluate(direction) for i in range(3)] == ["rtl", "rtl", "ltr"]
    assert page.inner_text(".message pre code") == "print('<b>')\n"
    assert page.locator(".message pre b").count() == 0
