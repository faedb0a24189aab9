r"""How words and punctuation are told apart, and where spaces go when they are put together.

The word-level and WordPiece algorithms see text as words, numbers, punctuation and line breaks;
spaces are not tokens. Text made of tokens again gets its spaces by the rules of printed English,
read left to right, so that a token's text depends only on the tokens before it.

What is lost: spaces that the rules do not expect (runs of them, indentation, tabs, carriage
returns, "3 %", a spaced "-", none after a comma), and which way a stray single quote faces; text
is put into Unicode form NFC, and into lower case where that was asked for.
"""

import re

PATTERN = (
    r"\n"  # a line break is a token, so that paragraphs live on
    r"|\p{N}++(?:[.,:]\p{N}++)+"  # 3.14, 1,000, 12:30
    r"|(?<=[\p{L}\p{M}])['’]\p{L}++"  # the end of Jack's and don't
    r"|[\p{L}\p{M}\p{N}_]++"
    r"|\.{2,}|-{2,}"
    r"|[^\s\p{L}\p{M}\p{N}_]"
)
"""One token of text, in the library's regular expressions. `++` keeps it linear on long runs."""

CONTINUATION = "##"
"""What marks a WordPiece token that goes on with the word before it."""

_NO_SPACE_BEFORE = frozenset(",.;:!?%)]}»”’…")
_NO_SPACE_AFTER = frozenset("([{«“‘$£€#@¿¡")
_NO_SPACE_AROUND = frozenset("-/—")
_SHORT_QUOTES = frozenset("\"'")
_WORD_END = re.compile(r"['’]\w+")


class Spacer:
    """Puts tokens together, left to right; one object for one text."""

    def __init__(self) -> None:
        self._before: str | None = None
        self._open_quotes: set[str] = set()
        self._glued = True

    def text_of(self, token: str) -> str:
        """The token's text with the space before it, where one belongs."""
        continues = token.startswith(CONTINUATION) and len(token) > len(CONTINUATION)
        closes = token in self._open_quotes
        glued = self._glued or continues or closes or self._glues_left(token)
        self._note(token, closes)
        if continues:
            token = token[len(CONTINUATION) :]
        return token if glued else f" {token}"

    def _glues_left(self, token: str) -> bool:
        if token == "\n" or token in _NO_SPACE_BEFORE or _is_joint(token):
            return True
        return _WORD_END.fullmatch(token) is not None or token.startswith("..")

    def _note(self, token: str, closes: bool) -> None:
        """Remember what the token after this one needs to know."""
        opens = token in _SHORT_QUOTES and not closes
        self._glued = opens or token == "\n" or token in _NO_SPACE_AFTER or _is_joint(token)
        if token == "\n":
            self._open_quotes.clear()  # a quote left open does not turn round a whole book's
        elif closes:
            self._open_quotes.discard(token)
        elif opens:
            self._open_quotes.add(token)


def _is_joint(token: str) -> bool:
    return token in _NO_SPACE_AROUND or token.startswith("--")
