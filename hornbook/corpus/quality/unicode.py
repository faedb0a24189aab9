"""Characters made equal where they mean the same, and put right where they were wrongly decoded."""

import importlib.util
import re
import unicodedata
from typing import Literal

import numpy as np

from hornbook.corpus.quality.view import Changed, Removed, View
from hornbook.errors import HornbookError

UnicodeMode = Literal["keep", "normalize", "repair"]

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters but for tab and line feed."""
NO_CHARACTER = re.compile("[\ufeff\ufffe\uffff\ud800-\udfff]")
"""Byte order marks, and what is no character."""
PLAIN, PERHAPS, ODD = range(3)
"""What a character is: in normal form whatever stands beside it; perhaps not; to be replaced."""
KIND = np.full(2**16 + 1, PERHAPS, dtype=np.uint8)
"""Of the first 65,536 characters, and, as the last, of all others."""
KIND[:0x300] = KIND[0x2002:0x2070] = PLAIN  # Latin letters; dashes and quotation marks
for odd in (
    (0, 9),
    (0xB, 0x20),
    (0x7F, 0xA0),
    (0x2028, 0x202A),
    (0xD800, 0xE000),
    (0xFFFE, 0x10000),
):
    KIND[slice(*odd)] = ODD
KIND[0xFEFF] = ODD
SHORTENED = "ÂÃÅÎÐÙ"
"""Of two characters of which the second, a no-break space, has become a blank: the first."""
SUSPECT = re.compile(f"[^\x00-\x7f](?:[^\x00-\x7f]|(?<=[{SHORTENED}]) )")


def normalize(view: View) -> Changed | Removed | None:
    """Unicode's NFC, "\\n" as the only line break, and no control characters.

    Compatible characters (ﬁ, ², Ａ) stay: what they are is part of the text.
    """
    return _outcome(view.text, _normalized(view), "not in normal form")


def repair(view: View) -> Changed | Removed | None:
    """Undo wrong decodings, line by line, and normalize.

    "â€œnaÃ¯veâ€\\x9d" becomes "“naïve”": ftfy finds the encodings that were mixed up, and leaves alone
    what may be meant (Speer, *ftfy*, 2019).
    """
    from ftfy import fix_encoding

    text, broken = view.text, 0
    if has_suspects(view):
        lines = text.split("\n")
        fixed = [fix_encoding(line) if is_suspect(line) else line for line in lines]
        broken = sum(a != b for a, b in zip(lines, fixed, strict=True))
        text = "\n".join(fixed)
    count = f"{broken} line{'s' * (broken > 1)} wrongly decoded"
    after = _normalized(View(text) if broken else view)
    return _outcome(view.text, after, count if broken else "not in normal form")


def is_suspect(text: str) -> bool:
    """Whether bytes of UTF-8 may have been taken for another encoding's characters.

    Each character beyond ASCII has two bytes or more in UTF-8, and none of those is ASCII in any
    encoding that extends it: so there are two such characters side by side, or one and a blank.
    """
    return not text.isascii() and SUSPECT.search(text) is not None


def has_suspects(view: View) -> bool:
    """Whether any of its lines may be suspect: `is_suspect` of a long text, more quickly."""
    if view.text.isascii():
        return False
    codes = view.codes
    beyond = np.flatnonzero(codes > 127)  # few, in most texts
    if (np.diff(beyond) == 1).any():
        return True
    before_blank = beyond[codes[np.minimum(beyond + 1, len(codes) - 1)] == 0x20]
    return any(chr(code) in SHORTENED for code in codes[before_blank].tolist())


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


def _normalized(view: View) -> str:
    text = view.text
    kind = KIND[np.minimum(view.codes, np.uint32(2**16))].max(initial=PLAIN)
    if kind == PLAIN or (kind == PERHAPS and unicodedata.is_normalized("NFC", text)):
        return text
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.isascii():
        text = text.replace("\x85", "\n").replace("\u2028", "\n").replace("\u2029", "\n\n")
        text = NO_CHARACTER.sub("", text)
    # What stood between a letter and its accent is out before they become one character.
    return unicodedata.normalize("NFC", CONTROL.sub("", text))
