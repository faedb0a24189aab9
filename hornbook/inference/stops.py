"""The text of a growing answer, up to the first of its stop strings."""

from collections.abc import Sequence

from hornbook.tokenizing.streaming import StreamDecoder
from hornbook.tokenizing.tokenizer import Tokenizer


class StopStrings:
    """Passes text on until one of several strings has come, wherever it is cut into pieces.

    What might be a string's beginning waits until it is known not to be.
    """

    def __init__(self, strings: Sequence[str]) -> None:
        self._strings = tuple(strings)
        self._held = ""
        self.found: str | None = None
        """The string that has come."""

    def add(self, piece: str) -> str:
        """The text that is certain to stand before any stop string, and was not before."""
        if self.found is not None:
            return ""
        text = self._held + piece
        places = [(text.find(stop), stop) for stop in self._strings if stop in text]
        if places:
            place, self.found = min(places)
            self._held = ""
            return text[:place]
        kept = max((_overlap(text, stop) for stop in self._strings), default=0)
        self._held = text[len(text) - kept :]
        return text[: len(text) - kept]

    def finish(self) -> str:
        """What was held back, when no more text comes."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of `text` are a beginning of `stop`, without being all of it."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0


class AnswerText:
    """Ids to text as they come, never a broken character, never beyond a stop string.

    Args:
        tokenizer: of the ids.
        stop: strings before which the text ends.
        after: ids that the text goes on from: whether a space stands between two words can hang on
            both of them.
        strip: leave out white space at the text's beginning, which some templates have there.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        stop: Sequence[str] = (),
        after: Sequence[int] = (),
        strip: bool = False,
    ) -> None:
        self._decoder = StreamDecoder(tokenizer)
        self._stops = StopStrings(stop)
        self._strip = strip
        for token in after:
            self._decoder.add(token)

    @property
    def stopped(self) -> bool:
        """Whether a stop string has come."""
        return self._stops.found is not None

    def add(self, token: int) -> str:
        """Text that is certain now and was not before; may be empty."""
        return self._stripped(self._stops.add(self._decoder.add(token)))

    def finish(self) -> str:
        """The rest, when no id follows."""
        if self.stopped:
            return ""
        rest = self._stops.add(self._decoder.finish())
        return self._stripped(rest + self._stops.finish())

    def _stripped(self, piece: str) -> str:
        if self._strip:
            piece = piece.lstrip()
            self._strip = not piece
        return piece
