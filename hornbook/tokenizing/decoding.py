"""Ids to text: whole, or piece by piece as the ids arrive, with the same result."""

import codecs
import re
from collections.abc import Sequence
from typing import Any, Protocol

import tokenizers

from hornbook.tokenizing.words import PATTERN, Spacer

SPACE, NEWLINE, TAB = "·", "⏎", "⇥"
"""How these are shown in printouts; other invisible characters and broken bytes as \\xNN."""


class Stream(Protocol):
    """Text of ids that arrive one by one."""

    def add(self, token_id: int) -> str:
        """The text that this id completes; perhaps none yet."""

    def finish(self) -> str:
        """What was held back, with � for bytes that never became a character."""


class TextForm(Protocol):
    """How a tokenizer's tokens become text."""

    def decode(self, ids: Sequence[int]) -> str:
        """The whole text of these ids."""

    def stream(self) -> Stream:
        """A fresh stream, whose pieces together are `decode`'s text."""

    def show(self, token_id: int) -> str:
        """One token for a person to read, on one line."""


def form_of(
    tree: dict[str, Any], tokens: Sequence[str | None], library: tokenizers.Tokenizer
) -> TextForm:
    """The way of making text that a tokenizer.json asks for; `tokens` are its tokens by id."""
    decoder = (tree.get("decoder") or {}).get("type")
    if decoder == "ByteLevel":
        alphabet = byte_alphabet()
        return Pieces([_byte_level(token, alphabet) for token in tokens])
    if decoder == "Fuse":
        return Pieces([(token or "").encode() for token in tokens])
    if ((tree.get("pre_tokenizer") or {}).get("pattern") or {}).get("Regex") == PATTERN:
        return Words(tokens)
    return Library(library, tokens)


class Pieces:
    """Tokens are runs of bytes, simply put one after another."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces

    def decode(self, ids: Sequence[int]) -> str:
        return b"".join([self._pieces[i] for i in ids]).decode(errors="replace")

    def stream(self) -> Stream:
        return _PieceStream(self._pieces)

    def show(self, token_id: int) -> str:
        return printable(self._pieces[token_id].decode(errors="backslashreplace"))


class _PieceStream:
    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, token_id: int) -> str:
        return self._decoder.decode(self._pieces[token_id])

    def finish(self) -> str:
        return self._decoder.decode(b"", final=True)


class Words:
    """Tokens are words and punctuation, with the spaces of printed English between them."""

    def __init__(self, tokens: Sequence[str | None]) -> None:
        self._tokens = tokens

    def decode(self, ids: Sequence[int]) -> str:
        spacer = Spacer()
        return "".join([spacer.text_of(self._tokens[i] or "") for i in ids])

    def stream(self) -> Stream:
        return _WordStream(self._tokens)

    def show(self, token_id: int) -> str:
        return printable(self._tokens[token_id] or "")


class _WordStream:
    def __init__(self, tokens: Sequence[str | None]) -> None:
        self._tokens = tokens
        self._spacer = Spacer()

    def add(self, token_id: int) -> str:
        return self._spacer.text_of(self._tokens[token_id] or "")

    def finish(self) -> str:
        return ""


class Library:
    """Any other decoder: the library's own."""

    def __init__(self, library: tokenizers.Tokenizer, tokens: Sequence[str | None]) -> None:
        self._library = library
        self._tokens = tokens

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._library.decode(list(ids), skip_special_tokens=False))

    def stream(self) -> Stream:
        return _LibraryStream(self, self._tokens)

    def show(self, token_id: int) -> str:
        return printable((self._tokens[token_id] or "").replace("▁", " "))


class _LibraryStream:
    """Decodes a short window: a token's text depends on the one before it, not on all before.

    The window starts one settled stretch before the new ids, because decoders treat the first
    token otherwise (no space before it). It grows while its end may yet change: inside a run of
    byte tokens, `<0xE2>`, which the library turns into characters only as a whole, and after �.
    """

    def __init__(self, form: Library, tokens: Sequence[str | None]) -> None:
        self._form = form
        self._tokens = tokens
        self._settled: list[int] = []
        self._new: list[int] = []

    def add(self, token_id: int) -> str:
        self._new.append(token_id)
        if _BYTE.fullmatch(self._tokens[token_id] or ""):
            return ""
        text = self._text()
        if not text or text.endswith("\ufffd"):
            return ""
        self._settled, self._new = self._new, []
        return text

    def finish(self) -> str:
        text = self._text()
        self._settled, self._new = self._new, []
        return text

    def _text(self) -> str:
        before = self._form.decode(self._settled)
        return self._form.decode(self._settled + self._new)[len(before) :]


_BYTE = re.compile(r"<0x[0-9A-F]{2}>")


def printable(text: str) -> str:
    """Text on one line: spaces, line breaks and tabs as signs, other invisible ones as \\xNN."""
    signs = {" ": SPACE, "\n": NEWLINE, "\t": TAB}
    return "".join(signs.get(c, c if c.isprintable() else ascii(c)[1:-1]) for c in text)


def byte_alphabet() -> dict[str, int]:
    """The byte that each printable character of a byte-level vocabulary stands for.

    Source: `bytes_to_unicode` of openai/gpt-2's encoder.py. Printable Latin-1 characters stand
    for their own byte; the other 68 bytes take the characters from U+0100 on, in order.
    """
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in own]
    shifted = {chr(256 + index): byte for index, byte in enumerate(others)}
    return {chr(byte): byte for byte in own} | shifted


def _byte_level(token: str | None, alphabet: dict[str, int]) -> bytes:
    """The bytes of a byte-level token; a special token outside the alphabet is plain UTF-8."""
    if token is None:
        return b""
    try:
        return bytes([alphabet[character] for character in token])
    except KeyError:
        return token.encode()
