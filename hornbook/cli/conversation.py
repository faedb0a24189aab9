"""A conversation with a model in the terminal."""

import sys
from collections.abc import Iterator

from hornbook.console import console
from hornbook.errors import HornbookError
from hornbook.inference.generate import GenerationSettings
from hornbook.pipeline.bundle import Bundle
from hornbook.tokenizing.templates import Message

HELP = "Type a request and press Enter. /reset forgets the conversation, /quit (or Ctrl-D) leaves."

FORGETFUL = "Each request is answered on its own: the model was trained on single questions."


def converse(bundle: Bundle, settings: GenerationSettings, question: str | None) -> None:
    """Answer one question, or read requests until the user leaves."""
    if question is not None:
        _answer(bundle, settings, [Message("user", question)])
        return
    remembers = bundle.facts.get("turns") != 1
    if sys.stdin.isatty():
        console.print(HELP if remembers else f"{HELP} {FORGETFUL}", style="dim")
    history: list[Message] = []
    for request in _requests():
        if request == "/reset":
            history = []
            console.print("The conversation starts anew.", style="dim")
        elif request in ("/help", "/?"):
            console.print(HELP, style="dim")
        elif request:
            history = _turn(bundle, settings, history if remembers else [], request)


def _requests() -> Iterator[str]:
    """What the user types, until they leave."""
    while True:
        try:
            line = console.input("[bold cyan]> [/]" if sys.stdin.isatty() else "").strip()
        except EOFError:
            return
        if line == "/quit":
            return
        yield line


def _turn(
    bundle: Bundle, settings: GenerationSettings, history: list[Message], request: str
) -> list[Message]:
    """Answer a request; returns the conversation with both sides' words added."""
    asked = [*history, Message("user", request)]
    try:
        return [*asked, Message("assistant", _answer(bundle, settings, asked))]
    except HornbookError as error:
        if not history:
            console.print(f"{error}", style="red", markup=False)
            return history
        # Together with what was said before, it is more than the model can read.
        console.print("The conversation is full; it starts anew with this request.", style="dim")
        return _turn(bundle, settings, [], request)


def _answer(bundle: Bundle, settings: GenerationSettings, messages: list[Message]) -> str:
    """Print the answer as it is written; Ctrl-C stops it, and what was written stays."""
    answer = ""
    try:
        for piece in bundle.answer(messages, settings):
            answer += piece
            sys.stdout.write(piece)
            sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stdout.write(" …")
    sys.stdout.write("\n")
    return answer.strip()
