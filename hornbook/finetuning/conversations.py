"""Conversations to learn from, in the forms in which they are found, and what is wrong with them.

| form              | a record's fields                                     | files                 |
| ----------------- | ----------------------------------------------------- | --------------------- |
| Alpaca            | instruction, input, output                            | json, jsonl, csv, tsv |
| ShareGPT          | conversations: from (human, gpt, system), value       | json, jsonl           |
| OpenAI messages   | messages: role (system, user, assistant), content     | json, jsonl           |
| prompt/completion | prompt, completion                                    | json, jsonl, csv, tsv |

Which one it is, is seen from the fields of the first record; all others must be like it. Every form
may have a `system` text (but OpenAI's, where it is a message) and a `category` to report scores by.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from hornbook.corpus.files import JSON_NAMES, require_text, string_field
from hornbook.corpus.tables import Instruction, instruction_of, records_or_faults
from hornbook.errors import HornbookError
from hornbook.tokenizing.templates import Message, messages_of

Role = Literal["system", "user", "assistant"]
Record = dict[str, Any]
T = TypeVar("T")

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
}
"""Who speaks, by the names that data sets have for them."""
FILES = (".json", ".jsonl", ".csv", ".tsv")
FORM_OF_FIELD = {
    "messages": "OpenAI messages",
    "conversations": "ShareGPT",
    "instruction": "Alpaca",
    "prompt": "prompt/completion",
}
"""The form that a record with such a field is of."""


@dataclass(frozen=True)
class Conversation:
    """Messages in their order: perhaps a system's first, then user and assistant by turns."""

    messages: tuple[Message, ...]
    category: str = ""
    """Which kind of request it is, to report scores by; may be empty."""

    @property
    def asked(self) -> tuple[Message, ...]:
        """Everything before the last answer."""
        return self.messages[:-1]

    @property
    def answer(self) -> str:
        """The assistant's last message."""
        return self.messages[-1].content

    @property
    def question(self) -> str:
        """What was said before the last answer, for a person to read."""
        if len(self.asked) == 1:
            return f"{self.asked[0].content}\n{self.asked[0].input}".strip()
        return "\n".join(f"{m.role}: {m.content} {m.input}".strip() for m in self.asked)

    @property
    def turns(self) -> int:
        """How often the assistant speaks."""
        return sum(message.role == "assistant" for message in self.messages)

    @property
    def content(self) -> object:
        """What its place in a split hangs on: a plain instruction counts as such in every form."""
        if [message.role for message in self.messages] != ["user", "assistant"]:
            return self
        asked = self.messages[0]
        return Instruction(asked.content, asked.input, self.answer, self.category)


@dataclass(frozen=True)
class Examined:
    """What a file of conversations holds."""

    form: str
    """The name of its form."""
    conversations: list[Conversation]
    """Those without a fault, in the file's order."""
    faults: list[str]
    """A sentence for each record that is no good."""


def of_instructions(instructions: Iterable[Instruction]) -> list[Conversation]:
    """Instructions as conversations of one question and its answer."""
    return [
        Conversation(tuple(messages_of(i.instruction, i.input, i.output)), i.category)
        for i in instructions
    ]


def read_conversations(path: Path) -> list[Conversation]:
    """The conversations of a file in any of the forms above, each ending with an answer.

    Raises:
        HornbookError: not readable, of no known form, or with a record that is no good; it says how
            many more there are.
    """
    examined = examine(path)
    refuse_faults(examined.faults)
    return examined.conversations


def refuse_faults(faults: Sequence[str]) -> None:
    """Go on only with a file that has none.

    Raises:
        HornbookError: the first of the faults, and how many more there are.
    """
    if faults:
        more = len(faults) - 1
        records = f"{more:,} more records have faults" if more > 1 else "1 more record has a fault"
        others = f" {records}: see hornbook data preview." if more else ""
        raise HornbookError(faults[0] + others)


def examine(path: Path) -> Examined:
    """Read a file of conversations to its end, whatever is wrong with single records.

    Raises:
        HornbookError: not readable, or of no known form.
    """
    path = Path(path)
    records = list(records_or_faults(path))
    if not records:
        raise HornbookError(f"{path} has no examples; add rows below the header.")
    sound = ((where, record) for where, record in records if not isinstance(record, HornbookError))
    where, first = next(sound, ("", None))
    if first is None:
        raise HornbookError(str(records[0][1]))
    form = _form_of(first, where)
    return Examined(form, *sorted_out(records, lambda r, where: conversation_of(r, where, form)))


def sorted_out(
    records: Iterable[tuple[str, Record | HornbookError]], made: Callable[[Record, str], T]
) -> tuple[list[T], list[str]]:
    """What is made of each record that is sound, and a sentence for each of the others.

    Args:
        records: as `records_or_faults` gives them.
        made: of a record and where it stands; raises a `HornbookError` for one that is no good.
    """
    found: list[T] = []
    faults = []
    for where, record in records:
        try:
            if isinstance(record, HornbookError):
                raise record
            found.append(made(record, where))
        except HornbookError as fault:
            faults.append(str(fault))
    return found, faults


def holds_conversations(path: Path) -> bool:
    """Whether the first record of a file that can be read is of one of the forms above.

    Raises:
        HornbookError: not readable.
    """
    if Path(path).suffix.lower() not in FILES:
        return False
    records = (record for _, record in records_or_faults(Path(path)))
    first = next((record for record in records if not isinstance(record, HornbookError)), {})
    return any(field in first for field in FORM_OF_FIELD)


def conversation_of(record: Record, where: str, form: str) -> Conversation:
    """One record, checked.

    Raises:
        HornbookError: naming the field, and the message in it.
    """
    messages = FORMS[form](record, where)
    require_turns(messages, where)
    if messages[-1].role != "assistant":
        raise HornbookError(
            f"{where}: it ends with what the {messages[-1].role} says; the last message is to be the "
            "assistant's, the one to learn."
        )
    if not any(message.learnt for message in messages):
        raise HornbookError(f"{where}: every answer has weight 0, so there is nothing to learn.")
    return Conversation(tuple(messages), string_field(record, "category", where, default=""))


def require_turns(messages: Sequence[Message], where: str) -> None:
    """Make sure that messages are in order: perhaps a system's, then user and assistant by turns.

    Raises:
        HornbookError: naming the first that is out of order.
    """
    start = 1 if messages and messages[0].role == "system" else 0
    if len(messages) == start:
        raise HornbookError(f"{where}: nobody asks and nobody answers; fill it in or leave it out.")
    for number, message in enumerate(messages[start:]):
        expected = ("user", "assistant")[number % 2]
        if message.role != expected:
            raise HornbookError(
                f"{where}, message {start + number + 1}: expected the {expected}, found the "
                f"{message.role}; user and assistant speak by turns, the user first."
            )


def _form_of(record: Record, where: str) -> str:
    for field, form in FORM_OF_FIELD.items():
        if field in record:
            return form
    raise HornbookError(
        f"{where}: its fields ({', '.join(record) or 'none'}) are of no known form; expected messages "
        "(OpenAI), conversations (ShareGPT), instruction and output (Alpaca), or prompt and completion."
    )


def _alpaca(record: Record, where: str) -> list[Message]:
    found = instruction_of(record, where)
    return [*_system(record, where), *messages_of(found.instruction, found.input, found.output)]


def _prompt_completion(record: Record, where: str) -> list[Message]:
    said = [
        require_text(string_field(record, name, where), where, name)
        for name in ("prompt", "completion")
    ]
    return [*_system(record, where), Message("user", said[0]), Message("assistant", said[1])]


def _sharegpt(record: Record, where: str) -> list[Message]:
    turns = list(_entries(record, "conversations", where))
    name, text = ("from", "value") if "from" in turns[0][1] else ("role", "content")
    return [
        *_system(record, where),
        *(Message(_role(turn, name, at), _text(turn, text, at)) for at, turn in turns),
    ]


def _openai(record: Record, where: str) -> list[Message]:
    return list(messages_in(record, "messages", where))


def messages_in(record: Record, field: str, where: str) -> Iterator[Message]:
    """OpenAI's messages in a record's field, unchecked as to their order.

    Raises:
        HornbookError: a message is not what it should be, or calls a tool.
    """
    for at, entry in _entries(record, field, where):
        role = _role(entry, "role", at)
        if entry.get("tool_calls") or entry.get("function_call"):
            raise HornbookError(f"{at}: it calls a tool, which is not supported; leave it out.")
        weight = entry.get("weight", 1)
        if weight not in (0, 1):
            raise HornbookError(f"{at}: weight is {weight!r}; expected 0 (read only) or 1.")
        yield Message(role, _text(_of_parts(entry, at), "content", at), trained=bool(weight))


def _of_parts(entry: Record, where: str) -> Record:
    """A message whose content is a list of parts, with their texts joined."""
    parts = entry.get("content")
    if not isinstance(parts, list):
        return entry
    for part in parts:
        if not isinstance(part, dict) or part.get("type") != "text":
            kind = part.get("type") if isinstance(part, dict) else JSON_NAMES[type(part)]
            raise HornbookError(f"{where}: its content has a part of type {kind!r}; expected text.")
    return entry | {"content": "".join(string_field(part, "text", where) for part in parts)}


def _entries(record: Record, field: str, where: str) -> Iterator[tuple[str, Record]]:
    if field not in record:
        raise HornbookError(
            f"{where}: no field {field!r}; its fields are: {', '.join(record) or 'none'}. All records "
            "of a file must be of one form."
        )
    found = record[field]
    if not isinstance(found, list) or not found:
        raise HornbookError(f"{where}: {field!r} must be a list of messages, with one at least.")
    for number, entry in enumerate(found, start=1):
        at = f"{where}, message {number}"
        if not isinstance(entry, dict):
            raise HornbookError(f"{at}: expected an object, found {JSON_NAMES[type(entry)]}.")
        yield at, entry


def _role(entry: Record, field: str, where: str) -> Role:
    name = string_field(entry, field, where)
    if name not in ROLES:
        raise HornbookError(f"{where}: {field!r} is {name!r}; expected one of {', '.join(ROLES)}.")
    return ROLES[name]


def _text(entry: Record, field: str, where: str) -> str:
    return require_text(string_field(entry, field, where), where, field)


def _system(record: Record, where: str) -> list[Message]:
    said = string_field(record, "system", where, default="")
    return [Message("system", said)] if said.strip() else []


FORMS: dict[str, Callable[[Record, str], list[Message]]] = {
    "Alpaca": _alpaca,
    "ShareGPT": _sharegpt,
    "OpenAI messages": _openai,
    "prompt/completion": _prompt_completion,
}


def overlap(train: Iterable[Conversation], held_out: Iterable[Conversation]) -> int:
    """How many of the conversations held out ask what one of the training set asks, word for word
    but for case and spacing."""
    seen = {_asked(conversation) for conversation in train}
    return sum(_asked(conversation) in seen for conversation in held_out)


def repeated(conversations: Iterable[Conversation]) -> int:
    """How many conversations are equal to one before them."""
    items = [conversation.messages for conversation in conversations]
    return len(items) - len(set(items))


def _asked(conversation: Conversation) -> tuple[tuple[str, str], ...]:
    return tuple(
        (m.role, " ".join(f"{m.content} {m.input}".casefold().split())) for m in conversation.asked
    )
