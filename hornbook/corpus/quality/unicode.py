"""Characters made equal where they mean the same, and put right where they were wrongly decoded."""

import importlib.util
import re
import unicodedata
from typing import Literal

from hornbook.corpus.quality.view import Changed, Removed, View
from hornbook.errors import HornbookError

UnicodeMode = Literal["keep", "normalize", "repair"]

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters but for tab and line feed."""
ASCII_CONTROLS = bytes(byte for byte in range(128) if CONTROL.match(chr(byte)))
NO_CHARACTER = re.compile("[\ufeff\ufffe\uffff\ud800-\udfff]")
"""Byte order marks, and what is no character."""
NO_PLAIN_TEXT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]"
)
"""All of those, and further signs of a line's end: most texts have none."""
SUSPECT = re.compile("[^\x00-\x7f](?:[^\x00-\x7f]|(?<=[ÂÃÅÎÐÙ]) )")
"""Two characters beyond ASCII, or one and the blank that a no-break space has become."""


def normalize(view: View) -> Changed | Removed | None:
    """Unicode's NFC, "\\n" as the only line break, and no control characters.

    Compatible characters (ﬁ, ², Ａ) stay: what they are is part of the text.
    """
    return _outcome(view.text, _normalized(view.text), "not in normal form")


def repair(view: View) -> Changed | Removed | None:
    """Undo wrong decodings, line by line, and normalize.

    "â€œnaÃ¯veâ€\\x9d" becomes "“naïve”": ftfy finds the encodings that were mixed up, and leaves alone
    what may be meant (Speer, *ftfy*, 2019).
    """
    from ftfy import fix_encoding

    text, broken = view.text, 0
    if is_suspect(text):
        lines = text.split("\n")
        fixed = [fix_encoding(line) if is_suspect(line) else line for line in lines]
        broken = sum(a != b for a, b in zip(lines, fixed, strict=True))
        text = "\n".join(fixed)
    count = f"{broken} line{'s' * (broken > 1)} wrongly decoded"
    return _outcome(view.text, _normalized(text), count if broken else "not in normal form")


def is_suspect(text: str) -> bool:
    """Whether bytes of UTF-8 may have been taken for another encoding's characters.

    Each character beyond ASCII has two bytes or more in UTF-8, and none of those is ASCII in any
    encoding that extends it: so there are two such characters side by side, or one and a blank.
    """
    return not text.isascii() and SUSPECT.search(text) is not None


def require_ftfy() -> None:
    """Make sure that texts can be repaired.

    Raises:
        HornbookError: ftfy is not installed.
    """
    if importlib.util.find_spec("ftfy") is None:
        raise HornbookError(
            'quality.unicode = "repair" needs ftfy; install it with pip install "hornbook[corpus]".'
        )


def _outcome(before: str, after: str, why: str) -> Changed | Removed | None:
    if after == before:
        return None
    return Changed(after, why) if after.strip() else Removed("no character of it is text")


def _normalized(text: str) -> str:
    if text.isascii():
        plain = len(text.encode().translate(None, ASCII_CONTROLS)) == len(text)
    else:
        plain = NO_PLAIN_TEXT.search(text) is None and unicodedata.is_normalized("NFC", text)
    if plain:
        return text
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.isascii():
        text = text.replace("\x85", "\n").replace("\u2028", "\n").replace("\u2029", "\n\n")
        text = NO_CHARACTER.sub("", text)
        if not unicodedata.is_normalized("NFC", text):
            text = unicodedata.normalize("NFC", text)
    return CONTROL.sub("", text)
