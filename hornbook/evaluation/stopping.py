"""Where a text that was written ends, for a task."""

from collections.abc import Sequence


def cut_at(text: str, stops: Sequence[str]) -> str:
    """The text before the first of the stop strings in it.

    >>> cut_at("4. Question: 3", ["Question:", "4."])
    ''
    """
    places = [place for stop in stops if stop and (place := text.find(stop)) >= 0]
    return text[: min(places, default=len(text))]
