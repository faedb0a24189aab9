"""Pairs of answers to one request, of which people prefer one: read and checked.

| form            | a record's fields                                                       |
| --------------- | ----------------------------------------------------------------------- |
| texts           | prompt, chosen, rejected; perhaps system                                |
| messages        | prompt (a list of messages), chosen and rejected (a text or a message)  |
| conversations   | chosen and rejected: whole conversations that differ in their last turn |
| OpenAI          | input: {messages}, preferred_output, non_preferred_output               |

Messages are OpenAI's (role, content). Files are .json, .jsonl, and for texts .csv and .tsv.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hornbook.corpus.files import require_object, require_text, string_field
from hornbook.corpus.tables import records_or_faults
from hornbook.errors import HornbookError
from hornbook.finetuning.conversations import (
    Conversation,
    messages_in,
    refuse_faults,
    require_turns,
    sorted_out,
)
from hornbook.tokenizing.templates import Message

Record = dict[str, Any]


@dataclass(frozen=True)
class PreferencePair:
    """A request and two answers to it."""

    asked: tuple[Message, ...]
    """Everything before the answers; only read."""
    chosen: str
    rejected: str
    category: str = ""

    def conversations(self) -> tuple[Conversation, Conversation]:
        """The request with the chosen answer, and with the rejected one; the answers alone are learnt."""
        asked = tuple(replace(message, trained=False) for message in self.asked)
        chosen, rejected = Message("assistant", self.chosen), Message("assistant", self.rejected)
        return Conversation((*asked, chosen)), Conversation((*asked, rejected))


@dataclass(frozen=True)
class ExaminedPairs:
    """What a file of pairs holds."""

    pairs: list[PreferencePair]
    """Those without a fault, in the file's order."""
    faults: list[str]
    """A sentence for each record that is no good."""


def read_pairs(path: Path) -> list[PreferencePair]:
    """The pairs of a file in any of the forms above.

    Raises:
        HornbookError: not readable, or a record is no good, naming the record and the field; it says
            how many more there are.
    """
    examined = examine_pairs(path)
    refuse_faults(examined.faults)
    if not examined.pairs:
        raise HornbookError(f"{path} has no pairs; add a line for each.")
    return examined.pairs


def examine_pairs(path: Path) -> ExaminedPairs:
    """Read a file of pairs to its end, whatever is wrong with single records.

    Raises:
        HornbookError: not readable.
    """
    return ExaminedPairs(*sorted_out(records_or_faults(Path(path)), _pair))


def holds_pairs(path: Path) -> bool:
    """Whether the first record of a file that can be read is a pair of answers.

    Raises:
        HornbookError: not readable.
    """
    records = (record for _, record in records_or_faults(Path(path)))
    first = next((record for record in records if not isinstance(record, HornbookError)), {})
    return "chosen" in first or "preferred_output" in first


def _pair(record: Record, where: str) -> PreferencePair:
    if "preferred_output" in record:
        record = _from_openai(record, where)
    for name in ("chosen", "rejected"):
        if name not in record:
            fields = ", ".join(record) or "none"
            raise HornbookError(
                f"{where}: no field {name!r}; its fields are: {fields}. A pair has prompt, chosen and "
                "rejected."
            )
    if "prompt" in record:
        asked = _asked(record, where)
        chosen, rejected = (_answer(record, name, where) for name in ("chosen", "rejected"))
    else:
        asked, chosen, rejected = _of_conversations(record, where)
    require_turns([*asked, Message("assistant", chosen)], where)
    if chosen.strip() == rejected.strip():
        raise HornbookError(f"{where}: chosen and rejected say the same; leave the pair out.")
    category = string_field(record, "category", where, default="")
    return PreferencePair(tuple(asked), chosen, rejected, category)


def _asked(record: Record, where: str) -> list[Message]:
    if isinstance(record["prompt"], list):
        return _read_only(messages_in(record, "prompt", where))
    system = string_field(record, "system", where, default="")
    prompt = require_text(string_field(record, "prompt", where), where, "prompt")
    first = [Message("system", system)] if system.strip() else []
    return [*first, Message("user", prompt)]


def _answer(record: Record, name: str, where: str) -> str:
    """An answer given as a text, or as a list of one message."""
    if not isinstance(record[name], list):
        return require_text(string_field(record, name, where), where, name)
    messages = list(messages_in(record, name, where))
    if len(messages) != 1 or messages[0].role != "assistant":
        raise HornbookError(f"{where}: {name!r} must be one message, the assistant's.")
    return messages[0].content


def _of_conversations(record: Record, where: str) -> tuple[list[Message], str, str]:
    """The request that both conversations begin with, and their last turns."""
    chosen, rejected = (
        _read_only(messages_in(record, name, where)) for name in ("chosen", "rejected")
    )
    for name, said in (("chosen", chosen), ("rejected", rejected)):
        if len(said) < 2 or said[-1].role != "assistant":
            raise HornbookError(
                f"{where}: {name!r} must be a conversation that ends with the assistant's answer."
            )
    if chosen[:-1] != rejected[:-1]:
        raise HornbookError(
            f"{where}: chosen and rejected differ before their last message; a pair is two answers to "
            "one request."
        )
    return chosen[:-1], chosen[-1].content, rejected[-1].content


def _from_openai(record: Record, where: str) -> Record:
    given = require_object(record.get("input"), f"{where}, input")
    return {
        **record,
        "prompt": given.get("messages"),
        "chosen": record["preferred_output"],
        "rejected": record.get("non_preferred_output"),
    }


def _read_only(messages: Iterable[Message]) -> list[Message]:
    return [replace(message, trained=False) for message in messages]
