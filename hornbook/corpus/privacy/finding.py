"""All kinds of personal data and secrets found in one text, and placeholders put in their place."""

import importlib.util
from collections.abc import Collection, Iterator, Mapping
from typing import Literal, NamedTuple

from hornbook.corpus.privacy.addresses import find_emails, find_ips
from hornbook.corpus.privacy.credentials import find_api_keys, find_private_keys
from hornbook.corpus.privacy.span import Finder, Span, near_numbers, search_stretches
from hornbook.corpus.step import EXCERPT
from hornbook.errors import HornbookError

Kind = Literal["private_keys", "api_keys", "emails", "ibans", "cards", "ips", "phones"]

PLACEHOLDERS: Mapping[Kind, str] = {
    "private_keys": "<PRIVATE_KEY>",
    "api_keys": "<API_KEY>",
    "emails": "<EMAIL>",
    "ibans": "<IBAN>",
    "cards": "<CARD>",
    "ips": "<IP>",
    "phones": "<PHONE>",
}
"""What stands in the text instead; where two kinds overlap, the first of these has it.

In angle brackets, as no special token of Hornbook's is ([USER]), and spelt like no well-known one of
other tokenizers; and text never becomes a special token, whatever it spells.
"""
NUMERIC = frozenset(("ibans", "cards", "ips", "phones"))
"""Kinds that are looked for only near digits."""
CUT = "…"
"""Stands where an excerpt was cut."""


class Found(NamedTuple):
    """Something personal or secret in a text."""

    kind: Kind
    start: int
    end: int


class Search:
    """Finds personal data and secrets in texts. It can be pickled, for other processes."""

    def __init__(self, phone_regions: tuple[str, ...]) -> None:
        """`phone_regions` are codes of the countries whose phone numbers need no "+".

        Raises:
            HornbookError: phonenumbers or python-stdnum is not installed, or a region is unknown.
        """
        self._finders = _make_finders(phone_regions)

    def find(self, text: str, kinds: Collection[Kind] = tuple(PLACEHOLDERS)) -> list[Found]:
        """All of these kinds in a text, from left to right, none overlapping another."""
        found: list[Found] = []
        stretches = list(near_numbers(text)) if NUMERIC.intersection(kinds) else []
        for kind, finder in self._finders.items():
            if kind in kinds:
                numeric = kind in NUMERIC
                spans = search_stretches(finder, text, stretches) if numeric else finder(text)
                taken = [Span(each.start, each.end) for each in found]
                found += (Found(kind, *span) for span in _apart(spans, taken))
                found.sort(key=lambda each: each.start)
        return found

    def without(self, text: str) -> str:
        """A text with a placeholder for everything of any kind in it."""
        return put_placeholders(text, self.find(text))

    def redact(self, excerpt: str) -> str:
        """An excerpt or a sentence without anything of any kind in it, nor a part of it at a cut."""
        head, cut, tail = excerpt.rpartition(CUT)
        if cut and len(tail) <= 1:  # "…", and perhaps a quotation mark
            return self._without_end(head) + tail
        if len(excerpt) >= EXCERPT:
            return self._without_end(excerpt)
        return self.without(excerpt)

    def _without_end(self, cut: str) -> str:
        return self.without(_without_last(cut))


def put_placeholders(text: str, found: list[Found], begin: int = 0) -> str:
    """The text from a place on, with a placeholder for each of the things found in it.

    A beginning within one of them moves behind it.
    """
    pieces: list[str] = []
    for kind, start, end in found:
        if end > begin:
            pieces += text[begin:start], PLACEHOLDERS[kind]
            begin = end
    return "".join([*pieces, text[begin:]])


def _make_finders(regions: tuple[str, ...]) -> dict[Kind, Finder]:
    """Who finds what, in the order in which they are asked."""
    for module, name in (("phonenumbers", "phonenumbers"), ("stdnum", "python-stdnum")):
        if importlib.util.find_spec(module) is None:
            raise HornbookError(
                f'privacy needs {name}; install it with pip install "hornbook[corpus]".'
            )
    from hornbook.corpus.privacy.numbers import Phones, find_cards, find_ibans, unknown_regions

    unknown = unknown_regions(regions)
    if unknown:
        raise HornbookError(
            f"privacy.phone_regions: {unknown[0]!r} is no country's code; expected two capitals such "
            'as "US".'
        )
    return {
        "private_keys": find_private_keys,
        "api_keys": find_api_keys,
        "emails": find_emails,
        "ibans": find_ibans,
        "cards": find_cards,
        "ips": find_ips,
        "phones": Phones(regions),
    }


def _apart(spans: Iterator[Span], taken: list[Span]) -> Iterator[Span]:
    """Those that touch none of the others; both from left to right."""
    place, last = 0, 0
    for span in spans:
        while place < len(taken) and taken[place].end <= span.start:
            place += 1
        free = place == len(taken) or taken[place].start >= span.end
        if free and span.start >= last:
            last = span.end
            yield span


def _without_last(excerpt: str) -> str:
    """A text without its last word and the groups of digits before it: a cut may go through them."""
    words = excerpt.split(" ")[:-1]
    while words and (not words[-1] or any(map(str.isdigit, words[-1]))):
        words.pop()
    return " ".join([*words, CUT])
