"""A conversation with a model in the terminal."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from hornbook.artifact import write_text
from hornbook.console import console, counted
from hornbook.errors import HornbookError
from hornbook.inference.generate import GenerationSettings
from hornbook.pipeline.models.bundle import Bundle
from hornbook.tokenizing.templates import Message

HELP = """Type a request and press Enter; Alt-Enter, or \\ at the end of a line, begins another line.
/system TEXT     say how the model shall answer (without TEXT: nothing)
/adapter FOLDER  answer with this LoRA adapter of the model (without FOLDER: with none)
/reset           forget the conversation
/save FILE       write it as JSON
/help, /quit     or Ctrl-D to leave; Ctrl-C stops an answer"""

Open = Callable[[Path | None], Bundle]
"""Opens the model again, with the adapter in a folder, or without one."""

FORGETFUL = "Each request is answered on its own: the model was trained on single questions."


def converse(
    bundle: Bundle, settings: GenerationSettings, question: str | None, open_with: Open
) -> None:
    """Answer one question, or read requests until the user leaves.

    Raises:
        HornbookError: the question is empty or too long; or, where nobody sits at a terminal to see
            it, some of what was typed could not be done.
    """
    conversation = Conversation(bundle, settings, open_with)
    if question is not None:
        if not question.strip():
            raise HornbookError("the question is empty; ask something.")
        conversation.answer([Message("user", question)])
        return
    if sys.stdin.isatty():
        console.print(HELP, style="dim", markup=False)
        if not conversation.remembers:
            console.print(FORGETFUL, style="dim")
    for line, request in _requests():
        if request == "/quit":
            break
        conversation.take(request, line)
    if conversation.refused and not sys.stdin.isatty():
        raise HornbookError(f"requests that could not be done: {conversation.refused}; see above.")


class Conversation:
    """What was said so far, and what the user's commands do to it."""

    def __init__(self, bundle: Bundle, settings: GenerationSettings, open_with: Open) -> None:
        self._bundle, self._settings, self._open_with = bundle, settings, open_with
        self._system = ""
        self._said: list[Message] = []
        self._line = 0
        self.refused = 0
        """How much of what was typed could not be done."""

    @property
    def remembers(self) -> bool:
        """Whether the model was trained to look back to earlier requests."""
        return self._bundle.facts.get("turns") != 1

    def take(self, request: str, line: int = 0) -> None:
        """Do what the user has typed, on a pipe in this line."""
        self._line = line
        command, _, rest = request.partition(" ")
        if command == "/reset":
            self._said = []
            _tell("The conversation starts anew.")
        elif command == "/system":
            self._system = rest.strip()
            _tell("The model is told so." if self._system else "The model is told nothing.")
        elif command == "/adapter":
            self._change(rest.strip())
        elif command == "/save":
            self._save(rest.strip())
        elif command in ("/help", "/?"):
            _tell(HELP)
        elif command.startswith("/") and command[1:].isalpha():
            self._complain(f"There is no command {command}; /help shows them.")
        elif request:
            self._turn(request)

    def _turn(self, request: str) -> None:
        """Answer a request, and remember both."""
        known = self._said if self.remembers else []
        asked = [*known, Message("user", request)]
        try:
            answer = self.answer([*self._system_message, *asked])
        except HornbookError as error:
            if not known:
                self._complain(str(error))
                return
            # Together with what was said before, it is more than the model can read.
            _tell("The conversation is full; it starts anew with this request.")
            self._said = []
            self._turn(request)
            return
        self._said = [*self._said, asked[-1], Message("assistant", answer)]

    @property
    def _system_message(self) -> list[Message]:
        return [Message("system", self._system)] if self._system else []

    def answer(self, messages: list[Message]) -> str:
        """Print the answer as it is written; Ctrl-C stops it, and what was written stays."""
        answer = ""
        try:
            for piece in self._bundle.answer(messages, self._settings):
                answer += piece
                sys.stdout.write(piece)
                sys.stdout.flush()
        except KeyboardInterrupt:
            sys.stdout.write(" …")
        sys.stdout.write("\n")
        return answer.strip()

    def _change(self, name: str) -> None:
        """Go on with an adapter, or without one; what was said stays."""
        try:
            self._bundle = self._open_with(Path(name).expanduser() if name else None)
        except HornbookError as error:
            self._complain(str(error))
            return
        _tell(f"The model answers with {name or 'no adapter'}.")

    def _complain(self, text: str) -> None:
        """Say that something was not done; on a pipe, not among the answers."""
        self.refused += 1
        if sys.stdin.isatty():
            _tell(text, "red")
        else:
            print(f"hornbook: standard input, line {self._line}: {text}", file=sys.stderr)

    def _save(self, name: str) -> None:
        """Write the conversation in the form that `finetune instruct` reads."""
        path = Path(name).expanduser()
        if (wrong := _why_not(name, path)) is not None or not self._said:
            self._complain(wrong or "Nothing has been said yet.")
            return
        new_folder = not path.parent.exists()
        turns = [*self._system_message, *self._said]
        said = [{"role": message.role, "content": message.content} for message in turns]
        text = json.dumps({"messages": said}, ensure_ascii=False)
        try:
            write_text(path, text + "\n")
        except OSError as error:
            self._complain(f"{path}: {error.strerror}.")
            return
        made = f"; the folder {path.parent} is new" if new_folder else ""
        _tell(f"{counted(len(said), 'message')} in {path}{made}.")


def _why_not(name: str, path: Path) -> str | None:
    """Why nothing can be saved under a name, if so."""
    if not name:
        return "/save FILE: name a file; folders that are not there are made."
    if path.is_dir():
        return f"{name} is a folder; name a file in it."
    if path.exists():
        return f"{name} is there already; choose another name."
    blocked = next((folder for folder in path.parents if folder.exists()), path)
    return (
        None if blocked.is_dir() else f"{blocked} is a file, so that no folder can be made there."
    )


def _tell(text: str, style: str = "dim") -> None:
    console.print(text, style=style, markup=False)


def _requests() -> Iterator[tuple[int, str]]:
    """What the user types, until they leave, with the number of its first line."""
    read = enumerate(_terminal_reader() if sys.stdin.isatty() else _pipe_lines(), start=1)
    for number, line in read:
        whole = line
        while whole.endswith("\\") and (more := next(read, None)) is not None:
            whole = f"{whole[:-1]}\n{more[1]}"
        yield number, whole.strip()


def _pipe_lines() -> Iterator[str]:
    for line in sys.stdin:
        yield line.rstrip("\n")


def _terminal_reader() -> Iterator[str]:
    """Lines with editing, and with the arrow keys' way back to earlier ones."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

    keys = KeyBindings()

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    session: PromptSession[str] = PromptSession("> ", key_bindings=keys)
    while True:
        try:
            yield session.prompt()
        except KeyboardInterrupt:
            _tell("Ctrl-D leaves.")
        except EOFError:
            return
