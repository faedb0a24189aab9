"""Talking to a model in the terminal, and many prompts through a pipe."""

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hornbook.cli import _run
from hornbook.cli.conversation import converse
from hornbook.errors import HornbookError
from hornbook.inference.generate import GenerationSettings

Capture = pytest.CaptureFixture[str]


class Bundle:
    """A model that says what it was asked."""

    def __init__(self, turns: int | None = None) -> None:
        self.facts = {"turns": turns}
        self.asked: list[list[tuple[str, str]]] = []

    def answer(self, messages: Any, settings: Any) -> Iterator[str]:
        said = [(message.role, message.content) for message in messages]
        if len(said) > 6:
            raise HornbookError("too long")
        self.asked.append(said)
        yield "well, "
        if said[-1][1] == "stop":
            raise KeyboardInterrupt
        yield said[-1][1]


class Echo:
    """The same, as an adapter makes it."""

    def __init__(self, name: str, bundle: Bundle) -> None:
        self.facts: dict[str, Any] = {}
        self._name, self._bundle = name, bundle

    def answer(self, messages: Any, settings: Any) -> Iterator[str]:
        yield f"{self._name}: "
        yield from self._bundle.answer(messages, settings)


def talk(monkeypatch: pytest.MonkeyPatch, text: str, turns: int | None = None) -> Bundle:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    bundle = Bundle(turns)

    def open_with(folder: Path | None) -> Any:
        if folder is not None and folder.name == "none":
            raise HornbookError("no such adapter")
        return Bundle() if folder is None else Echo(folder.name, bundle)

    converse(bundle, GenerationSettings(), None, open_with)  # type: ignore[arg-type]
    return bundle


def test_what_was_said_is_remembered_until_it_is_reset(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    bundle = talk(monkeypatch, "one\ntwo\n/reset\nthree\n/quit\nfour\n")
    one = [("user", "one"), ("assistant", "well, one")]
    assert bundle.asked == [one[:1], [*one, ("user", "two")], [("user", "three")]]
    assert "well, one\nwell, two\n" in capsys.readouterr().out


def test_a_model_of_single_questions_is_asked_singly(monkeypatch: pytest.MonkeyPatch) -> None:
    assert talk(monkeypatch, "one\ntwo\n", turns=1).asked == [[("user", "one")], [("user", "two")]]


def test_the_system_message_comes_first_and_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = talk(monkeypatch, "/system Be brief.\none\n/reset\ntwo\n/system\n/reset\nthree\n")
    told = ("system", "Be brief.")
    assert bundle.asked == [[told, ("user", "one")], [told, ("user", "two")], [("user", "three")]]


def test_a_request_of_several_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    assert talk(monkeypatch, "one\\\ntwo\\\n three\n").asked == [[("user", "one\ntwo\n three")]]


def test_ctrl_c_stops_the_answer_and_not_the_program(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    bundle = talk(monkeypatch, "stop\nmore\n")
    assert "well,  …\nwell, more\n" in capsys.readouterr().out
    assert bundle.asked[1] == [("user", "stop"), ("assistant", "well,"), ("user", "more")]


def test_a_full_conversation_starts_anew(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    bundle = talk(monkeypatch, "a\nb\nc\nd\n")
    assert bundle.asked[-1] == [("user", "d")]
    assert "starts anew" in capsys.readouterr().out


def test_a_conversation_is_saved_and_nothing_overwritten(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "talk.jsonl"
    commands = f"/save {path}\n/save {path}\n/save {path}/x/y\n/save {tmp_path}\n/save\n/nonsense\n"
    with pytest.raises(HornbookError, match="could not be done: 6"):
        talk(monkeypatch, f"/save x\n/system Be brief.\nGrüß dich\n{commands}")
    saved = json.loads(path.read_text(encoding="utf-8"))["messages"]
    assert [message["role"] for message in saved] == ["system", "user", "assistant"]
    assert saved[2]["content"] == "well, Grüß dich"
    out, err = capsys.readouterr()
    assert f"3 messages in {path}; the folder {tmp_path}/new is new." in out
    for part in (
        "Nothing has been said", "is there already", f"{path} is a file", "is a folder",
        "name a file;", "no command /nonsense",
    ):  # fmt: skip
        assert part in err
    assert err.count("hornbook: ") == 6
    assert "is there already" not in out


def test_an_adapter_is_chosen_and_what_was_said_stays(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    typed = "one\n/adapter my/poems\ntwo\n/adapter none\nthree\n"
    with pytest.raises(HornbookError, match="could not be done: 1"):
        talk(monkeypatch, typed)
    out, err = capsys.readouterr()
    assert "well, one\n" in out
    assert "poems: well, two\n" in out
    assert "poems: well, three\n" in out
    assert "no such adapter" in err


def test_a_refused_question_of_a_pipe_is_no_success(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def refuse(self: Bundle, messages: Any, settings: Any) -> Iterator[str]:
        raise HornbookError("too long")

    monkeypatch.setattr(Bundle, "answer", refuse)
    with pytest.raises(HornbookError, match="could not be done: 2"):
        talk(monkeypatch, "one\ntwo\n")
    said = "hornbook: standard input, line {}: too long\n"
    assert capsys.readouterr().err == said.format(1) + said.format(2)


def test_an_empty_question_is_refused() -> None:
    with pytest.raises(HornbookError, match="the question is empty"):
        converse(Bundle(), GenerationSettings(), " ", lambda _: None)  # type: ignore[arg-type, return-value]


def test_many_prompts_through_a_pipe(
    run_directory: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    lines = b'One day\r\n{"prompt": "The cat \\u00fc"}\n\n \t\nOne day\n'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    exact = ["--weights", "float32", "temperature=0"]
    command = ["generate", f"{run_directory}/pretrain", "--jsonl", "max_new_tokens=5", *exact]
    capfd.readouterr()
    assert _run(command) == 0
    found = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [line["prompt"] for line in found] == ["One day", "The cat ü", "One day"]
    assert found[0] == found[2]
    assert _run([*command[:2], "One day", *command[3:]]) == 0
    assert capfd.readouterr().out == f"One day{found[0]['completion']}\n"


@pytest.mark.parametrize("line", ["{", '{"text": "x"}', '{"prompt": 3}'])
def test_lines_that_are_no_prompt_are_named(
    line: str, run_directory: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"\n{line}\n".encode())))
    assert _run(["generate", f"{run_directory}/pretrain", "--jsonl"]) == 2
    assert "standard input, line 2" in capfd.readouterr().err


def test_one_stop_string_needs_no_list(
    run_directory: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    command = [
        "generate",
        f"{run_directory}/pretrain",
        "One day",
        "temperature=0",
        "max_new_tokens=20",
    ]
    capfd.readouterr()
    assert _run(command) == 0
    free = capfd.readouterr().out.removeprefix("One day").removesuffix("\n")
    stop = free[6]
    for setting in (f"stop={stop}", f'stop="{stop}"', f'stop=["{stop}"]'):
        assert _run([*command, setting]) == 0
        assert capfd.readouterr().out == f"One day{free.partition(stop)[0]}\n"
    assert _run([*command, "stop="]) == 2
    assert "an empty text stands everywhere" in capfd.readouterr().err
