"""Conversations as ids: which text a model sees, and which tokens it learns to write.

Only a template writes control tokens. What a user, a system message or a data set says is
ordinary text, whatever it spells. (Alpaca marks its parts with plain headings, which user text
can imitate; prefer another template where that matters.)

Phi-3, ChatML and Llama 3 were made for tokenizers with their own control tokens. Where a tokenizer
lacks them, the template writes their spelling as ordinary text, and closes the assistant's turn with
the end-of-text token first, so that generation stops there. "tokenizer" is the template that a
tokenizer brings along, see `own_template`.

No beginning-of-text token is added, but where Llama 3's or the tokenizer's own template writes one.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

from hornbook.errors import HornbookError
from hornbook.tokenizing.own_template import own_template
from hornbook.tokenizing.special import ASSISTANT, END, SYSTEM, USER
from hornbook.tokenizing.tokenizer import Tokenizer

Template = Literal["alpaca", "phi3", "chatml", "llama3", "hornbook", "tokenizer"]

ALPACA_HEADER = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request.\n\n"
)
"""Source: tatsu-lab/stanford_alpaca, in the form used by LLMs-from-scratch, chapter 7."""


@dataclass(frozen=True)
class Message:
    """What one side says."""

    role: Literal["system", "user", "assistant"]
    content: str
    input: str = ""
    """Further text that a user's instruction is about: Alpaca gives it a heading of its own, the
    other templates put it after an empty line."""
    trained: bool = True
    """Whether an assistant's message is one to learn from, or only to be read."""

    @property
    def learnt(self) -> bool:
        """Whether the model is to learn to say this."""
        return self.role == "assistant" and self.trained


@dataclass(frozen=True)
class Encoded:
    """A conversation's ids, and which of them are the assistant's to write."""

    ids: list[int]
    trained: list[bool]
    """As long as `ids`: true for the assistant's content and the token that ends its turn."""


@dataclass(frozen=True)
class _Segment:
    """A part of a conversation: ordinary text, or the id of one control token."""

    content: str | int
    trained: bool = False


_Segments = Iterator[_Segment]


def messages_of(instruction: str, input: str = "", output: str | None = None) -> list[Message]:  # noqa: A002
    """An instruction example as a conversation; without `output`, the question alone."""
    asked = [Message("user", instruction, input)]
    return asked if output is None else [*asked, Message("assistant", output)]


def encode_conversation(
    tokenizer: Tokenizer,
    messages: Sequence[Message],
    template: Template,
    add_answer_prompt: bool = False,
) -> Encoded:
    """The ids of a conversation; with `add_answer_prompt`, up to where the assistant begins.

    Raises:
        HornbookError: no messages, an unknown role or template, an answer prompt after an answer,
            or a tokenizer without the tokens that the template cannot do without.
    """
    write = _writer(template)
    _check(messages)
    swallowing = tokenizer.swallows_space
    if add_answer_prompt and messages[-1].role == "assistant":
        raise HornbookError("The last message is the assistant's; an answer follows a question.")
    ids: list[int] = []
    trained: list[bool] = []
    for segment in _joined(write(tokenizer, messages, add_answer_prompt)):
        part = segment.content
        if isinstance(part, str) and not segment.trained and ids[-1:] and ids[-1] in swallowing:
            part = part.lstrip()
        added = [part] if isinstance(part, int) else tokenizer.encode(part)
        ids += added
        trained += [segment.trained] * len(added)
    return Encoded(ids, trained)


def stop_ids(tokenizer: Tokenizer, template: Template) -> set[int]:
    """The ids that end the assistant's turn: the template's end token, and end of text.

    Raises:
        HornbookError: an unknown template, or a tokenizer without any such token.
    """
    _writer(template)
    if template == "tokenizer":
        return _ends_of_own(tokenizer)
    spelling = END_OF_TURN.get(template)
    end = None if spelling is None else tokenizer.control_tokens.get(spelling)
    found = {number for number in (end, tokenizer.eos_id) if number is not None}
    return found or {_end_of_text(tokenizer)}


def _ends_of_own(tokenizer: Tokenizer) -> set[int]:
    """What ends an answer in the tokenizer's own template, found by writing one."""
    encoded = encode_conversation(tokenizer, messages_of("a", "", "b"), "tokenizer")
    last = max(place for place, trained in enumerate(encoded.trained) if trained)
    ends = {encoded.ids[last]}
    return ends if tokenizer.eos_id is None else {*ends, tokenizer.eos_id}


def _check(messages: Sequence[Message]) -> None:
    if not messages:
        raise HornbookError("The conversation is empty; give at least one message.")
    for number, message in enumerate(messages, start=1):
        if message.role not in ("system", "user", "assistant"):
            raise HornbookError(
                f"Message {number} has the role {message.role!r}; "
                "expected system, user or assistant."
            )


def _joined(segments: _Segments) -> _Segments:
    """Ordinary text that stands together becomes one segment, so that it is split as a whole."""
    for (is_text, trained), group in groupby(
        segments, key=lambda segment: (isinstance(segment.content, str), segment.trained)
    ):
        if is_text:
            yield _Segment("".join(str(segment.content) for segment in group), trained)
        else:
            yield from group


def _with_input(message: Message) -> str:
    return f"{message.content}\n\n{message.input}" if message.input else message.content


def _alpaca(tokenizer: Tokenizer, messages: Sequence[Message], prompt: bool) -> _Segments:
    """System text, the header once, then a block for each instruction and response."""
    end = _end_of_text(tokenizer)
    headed = False
    for number, message in enumerate(messages):
        if message.role == "assistant":
            yield _Segment("### Response:\n")
            yield _Segment(message.content, trained=message.learnt)
            yield _Segment(end, trained=message.learnt)
            yield _Segment("\n\n" if number + 1 < len(messages) else "")
        elif message.role == "system":
            yield _Segment(f"{_with_input(message)}\n\n")
        else:
            yield _Segment("" if headed else ALPACA_HEADER)
            headed = True
            yield _Segment(f"### Instruction:\n{message.content}\n\n")
            if message.input:
                yield _Segment(f"### Input:\n{message.input}\n\n")
    if prompt:
        yield _Segment("### Response:\n")


def _phi3(tokenizer: Tokenizer, messages: Sequence[Message], prompt: bool) -> _Segments:
    """`<|user|>`, a line break, the text, `<|end|>`, a line break (microsoft/Phi-3)."""

    def heading(role: str) -> _Segments:
        yield _control(tokenizer, f"<|{role}|>")
        yield _Segment("\n")

    return _marked_turns(tokenizer, messages, prompt, heading, END_OF_TURN["phi3"])


def _chatml(tokenizer: Tokenizer, messages: Sequence[Message], prompt: bool) -> _Segments:
    """`<|im_start|>user`, a line break, the text, `<|im_end|>`, a line break (OpenAI's ChatML)."""

    def heading(role: str) -> _Segments:
        yield _control(tokenizer, "<|im_start|>")
        yield _Segment(f"{role}\n")

    return _marked_turns(tokenizer, messages, prompt, heading, END_OF_TURN["chatml"])


def _llama3(tokenizer: Tokenizer, messages: Sequence[Message], prompt: bool) -> _Segments:
    """The role between two tokens, an empty line, the text without white space around it, `<|eot_id|>`
    (meta-llama/Llama-3)."""

    def heading(role: str) -> _Segments:
        yield _control(tokenizer, "<|start_header_id|>")
        yield _Segment(role)
        yield _control(tokenizer, "<|end_header_id|>")
        yield _Segment("\n\n")

    begin = tokenizer.control_tokens.get("<|begin_of_text|>")
    if begin is not None:
        yield _Segment(begin)
    bare = [replace(m, content=m.content.strip(), input=m.input.strip()) for m in messages]
    yield from _marked_turns(tokenizer, bare, prompt, heading, END_OF_TURN["llama3"], between="")


def _marked_turns(
    tokenizer: Tokenizer,
    messages: Sequence[Message],
    prompt: bool,
    heading: Callable[[str], _Segments],
    end: str,
    between: str = "\n",
) -> _Segments:
    closing = _control(tokenizer, end)
    for message in messages:
        yield from heading(message.role)
        yield _Segment(_with_input(message), trained=message.learnt)
        if message.role == "assistant" and isinstance(closing.content, str):
            yield _Segment(_end_of_text(tokenizer), trained=message.learnt)
            yield closing
        else:
            yield _Segment(closing.content, trained=message.learnt)
        yield _Segment(between)
    if prompt:
        yield from heading("assistant")


def _hornbook(tokenizer: Tokenizer, messages: Sequence[Message], prompt: bool) -> _Segments:
    """One token for the role, a space, the text, one token for the end: the shortest prompts.

    The space makes the text's first word the token that it is inside a sentence: without it, a
    model would have to learn every name twice before it can answer with one that it has read.
    """
    ids = {spelling: _own(tokenizer, spelling) for spelling in (SYSTEM, USER, ASSISTANT, END)}
    marks = {"system": ids[SYSTEM], "user": ids[USER], "assistant": ids[ASSISTANT]}
    for message in messages:
        yield _Segment(marks[message.role])
        yield _Segment(f" {_with_input(message)}", trained=message.learnt)
        yield _Segment(ids[END], trained=message.learnt)
    if prompt:
        yield _Segment(marks["assistant"])


def _of_tokenizer(tokenizer: Tokenizer, messages: Sequence[Message], prompt: bool) -> _Segments:
    """What the tokenizer's own template writes; learnt is an assistant's text with what follows it,
    up to and with the first control token."""
    if tokenizer.chat_template is None:
        raise HornbookError(
            'template="tokenizer" needs a tokenizer that brings a chat template along (chat_template '
            "in its tokenizer_config.json, or a chat_template.jinja); choose one of "
            f"{', '.join(name for name in _WRITERS if name != 'tokenizer')}."
        )
    roles = tuple(sorted(tokenizer.role_spellings.items()))
    template = own_template(tokenizer.chat_template, roles)
    turns = [(message.role, _with_input(message)) for message in messages]
    learnt = False  # while the turn of a learnt message lasts
    for part in template.parts(turns, prompt):
        if part.message is not None:
            learnt = messages[part.message].learnt
            yield _Segment(part.text, learnt)
            continue
        segments = list(_cut_at_control(tokenizer, part.text))
        if learnt and all(isinstance(segment.content, str) for segment in segments):
            raise HornbookError(
                "the tokenizer's chat template ends an assistant's turn with no special token, so no "
                'answer could end; use template="chatml" or another one.'
            )
        for segment in segments:
            yield _Segment(segment.content, learnt)
            learnt = learnt and isinstance(segment.content, str)


def _cut_at_control(tokenizer: Tokenizer, text: str) -> _Segments:
    """A template's text as control tokens and the ordinary text between them."""
    spellings = sorted(tokenizer.control_tokens, key=len, reverse=True)
    for piece in (
        re.split(f"({'|'.join(map(re.escape, spellings))})", text) if spellings else [text]
    ):
        if piece:
            yield _Segment(tokenizer.control_tokens.get(piece, piece))


def _own(tokenizer: Tokenizer, spelling: str) -> int:
    number = tokenizer.control_tokens.get(spelling)
    if number is None:
        raise HornbookError(
            f'The template "hornbook" needs the token {spelling}, which this tokenizer lacks; '
            "choose alpaca, phi3 or chatml, or train a tokenizer here."
        )
    return number


def _control(tokenizer: Tokenizer, spelling: str) -> _Segment:
    """The control token of this spelling, or the spelling as text where there is none."""
    number = tokenizer.control_tokens.get(spelling)
    return _Segment(spelling if number is None else number)


def _end_of_text(tokenizer: Tokenizer) -> int:
    if tokenizer.eos_id is None:
        raise HornbookError(
            "This tokenizer has no end-of-text token, so no answer could end; "
            "name one as eos_token in the tokenizer_config.json beside its tokenizer.json."
        )
    return tokenizer.eos_id


END_OF_TURN: dict[str, str] = {
    "phi3": "<|end|>",
    "chatml": "<|im_end|>",
    "llama3": "<|eot_id|>",
    "hornbook": END,
}
"""The token that closes a turn, by template."""

_Writer = Callable[[Tokenizer, Sequence[Message], bool], _Segments]

_WRITERS: dict[str, _Writer] = {
    "alpaca": _alpaca,
    "phi3": _phi3,
    "chatml": _chatml,
    "llama3": _llama3,
    "hornbook": _hornbook,
    "tokenizer": _of_tokenizer,
}


def _writer(template: str) -> _Writer:
    if template not in _WRITERS:
        raise HornbookError(
            f"Unknown template {template!r}; expected one of {', '.join(_WRITERS)}."
        )
    return _WRITERS[template]
