"""Personal data and secrets replaced by placeholders, or their documents dropped, kind by kind."""

import importlib.util
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Literal, NamedTuple

from hornbook.config import Settings
from hornbook.corpus.document import Document
from hornbook.corpus.privacy.addresses import find_emails, find_ips
from hornbook.corpus.privacy.credentials import find_api_keys, find_private_keys
from hornbook.corpus.privacy.span import Finder, Span, near_numbers, search_stretches
from hornbook.corpus.step import EXAMPLES, EXCERPT, Step, Tally
from hornbook.errors import HornbookError

Kind = Literal["private_keys", "api_keys", "emails", "ibans", "cards", "ips", "phones"]
Action = Literal["keep", "replace", "drop"]

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
LEAD = 60
"""Characters before what was found that an example shows."""


class PrivacySettings(Settings):
    """What becomes of personal data and secrets: "keep" them, "replace" each by a placeholder, or
    "drop" the whole document. All are kept, unless asked for."""

    emails: Action = "keep"
    """E-mail addresses, by <EMAIL>; not those of example.com and its like."""
    phones: Action = "keep"
    """Phone numbers, by <PHONE>; needs pip install "hornbook[corpus]"."""
    phone_regions: tuple[str, ...] = ("US", "GB")
    """Two-letter codes of the countries whose numbers are found without a "+" too."""
    ips: Action = "keep"
    """Global IPv4 and IPv6 addresses, by <IP>; not private ones and not versions."""
    cards: Action = "keep"
    """Payment cards, by <CARD>; needs pip install "hornbook[corpus]"."""
    ibans: Action = "keep"
    """Bank accounts, by <IBAN>; needs pip install "hornbook[corpus]"."""
    api_keys: Action = "keep"
    """Keys and tokens of well-known services, by <API_KEY>."""
    private_keys: Action = "keep"
    """PEM blocks of private keys, by <PRIVATE_KEY>."""


class Found(NamedTuple):
    """Something personal or secret in a text."""

    kind: Kind
    start: int
    end: int


def make_steps(settings: PrivacySettings) -> list[Step]:
    """The step, if anything is not to be kept.

    Raises:
        HornbookError: phonenumbers or python-stdnum is not installed, or a region is unknown.
    """
    actions = {kind: getattr(settings, kind) for kind in PLACEHOLDERS}
    if set(actions.values()) == {"keep"}:
        return []
    return [Privacy(actions, settings.phone_regions)]


class Privacy:
    """Replaces personal data and secrets, or drops the documents that have them.

    The examples in its tallies are shown without any of it, also without the kinds that are kept.
    Metadata and ids are left as they are: they are not trained on. Memory: one document.
    """

    def __init__(
        self, actions: Mapping[Kind, Action], phone_regions: tuple[str, ...] = ("US", "GB")
    ) -> None:
        """See `PrivacySettings`; a kind that `actions` does not name is kept.

        Raises:
            HornbookError: phonenumbers or python-stdnum is not installed, or a region is unknown.
        """
        self._finders = _make_finders(phone_regions)
        self._actions = {kind: act for kind, act in actions.items() if act != "keep"}
        self._tallies = {kind: Tally(kind) for kind in PLACEHOLDERS if kind in self._actions}

    @property
    def tallies(self) -> list[Tally]:
        """One for each kind that is not kept."""
        return list(self._tallies.values())

    def apply(self, documents: Iterator[Document]) -> Iterator[Document]:
        """The documents that stay, with placeholders."""
        for document in documents:
            for tally in self._tallies.values():
                tally.seen += 1
            found = self.find(document.text, self._tallies)
            kinds = dict.fromkeys(each.kind for each in found)
            drop = next((kind for kind in kinds if self._actions[kind] == "drop"), None)
            if drop is not None:
                self._tallies[drop].remove(*self._shown(drop, document, found))
                continue
            for kind in kinds:
                self._tallies[kind].change(*self._shown(kind, document, found))
            yield (
                replace(document, text=put_placeholders(document.text, found))
                if found
                else document
            )

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

    def redact(self, excerpt: str) -> str:
        """A tally's excerpt without anything of any kind in it, nor a part of it at its end."""
        if len(excerpt) >= EXCERPT:
            excerpt = _without_last(excerpt)
        return put_placeholders(excerpt, self.find(excerpt))

    def _shown(self, kind: Kind, document: Document, found: list[Found]) -> tuple[Document, str]:
        """The document as a tally may show it, and how many of a kind it has."""
        own = [each for each in found if each.kind == kind]
        why = f"{len(own)} of this kind"
        if len(self._tallies[kind].examples) >= EXAMPLES:
            return document, why  # will not be shown
        everything = self.find(document.text)
        begin = max(0, own[0].start - LEAD)
        whole = put_placeholders(document.text, everything, begin)
        return replace(document, text=whole[:EXCERPT]), why


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
    return " ".join([*words, "…"])
