"""Phone numbers, payment cards and IBANs: numbers with a form, a check digit, or both."""

import re
from collections.abc import Iterator

import phonenumbers
from phonenumbers import Leniency, PhoneNumberMatcher
from stdnum import iban, isbn, luhn

from hornbook.corpus.privacy.span import Span, character, follows

OTHER_NUMBER = re.compile(
    r"\b(?:order|invoice|tracking|isbn|issn|imei|parcel|ticket|sku|ean|upc|gtin|doi|pmid|arxiv"
    r"|serial|oclc|patent|asin|part|item|model|case|policy|bates)s?\b[\s:#.-]{0,3}+(?:(?:no|number|nr|id)\b[\s:#.-]{0,3}+)?$",
    re.IGNORECASE,
)
"""Before a number that is neither a phone's nor a card's."""

CARD = re.compile(
    r"[2-6](?:[0-9]{12,18}+|[0-9]{3}(?:(?: [0-9]{4}){3}|(?:-[0-9]{4}){3}| [0-9]{6} [0-9]{5}"
    r"|-[0-9]{6}-[0-9]{5}))(?![\w]|-[0-9])"
)
BRANDS: tuple[tuple[range, tuple[int, ...]], ...] = (
    (range(4000, 5000), (13, 16, 19)),  # Visa
    (range(5100, 5600), (16,)),  # Mastercard
    (range(2221, 2721), (16,)),
    (range(3400, 3500), (15,)),  # American Express
    (range(3700, 3800), (15,)),
    (range(3000, 3060), (14,)),  # Diners Club
    (range(3600, 3700), (14,)),
    (range(3800, 3900), (14,)),
    (range(3528, 3590), (16,)),  # JCB
    (range(6011, 6012), (16, 19)),  # Discover
    (range(6440, 6600), (16, 19)),
    (range(6200, 6300), (16, 17, 18, 19)),  # UnionPay
)
"""First four digits of each issuer's cards, and how many digits they have."""

IBAN = re.compile(r"[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}+(?: ?[A-Z0-9]{1,3}(?![A-Z0-9]))?")

CANDIDATE = re.compile(r"[+(]?[0-9][0-9 ().\-/\u00a0\u2010-\u2015]{5,}+")
"""Digits and what is written between a phone number's; a line break or a comma ends it."""
SIGNS = " (./-\u00a0\u2010\u2011\u2012\u2013\u2014\u2015"
LONGEST_CANDIDATE = 60
"""Characters; longer is a table of numbers."""
FEWEST_DIGITS, MOST_DIGITS = 7, 40
NO_PHONE = re.compile(
    r"[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}\b|[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{4}\b"
    r"|[0-9]+\.[0-9]+$|[0-9]{4} ?[-\u2010-\u2015/] ?[0-9]{4}$|(?:[0-9]{1,3}\.){3}[0-9]{1,3}\b"
)
"""Dates, decimals, pairs of years, four numbers with full stops."""
ISBN = re.compile(r"(?:97[89][- ]?)?[0-9]{1,5}(?:[- ][0-9]{1,7}){2}[- ][0-9]|97[89][0-9]{10}")
"""The groups that an ISBN is written in."""
CALLED = re.compile(
    r"\b(?:tel|telephone|telefon|phone|phones|mobile|mob|cell|call|fax|dial|ring|sms|whatsapp"
    r"|landline|hotline|helpline|help|cust(?:omer)? ?(?:care|service))\b",
    re.IGNORECASE,
)
"""Before a phone number that is written without any sign between its digits."""
DIALLED = re.compile(r"0[1-9][0-9]{8,9}")
"""Such a number as it is dialled within a country: hardly anything else begins with one zero."""


def find_cards(text: str) -> Iterator[Span]:
    """Payment cards: an issuer's first digits and length, and Luhn's check digit."""
    for match in CARD.finditer(text):
        start, end = match.span()
        before = character(text, start - 1)
        if before.isalnum() or before in tuple("._-+/="):
            continue
        digits = re.sub(r"[ -]", "", match.group())
        first, count = int(digits[:4]), len(digits)
        issued = any(first in firsts and count in counts for firsts, counts in BRANDS)
        if issued and luhn.is_valid(digits) and not follows(text, start, OTHER_NUMBER):
            yield Span(start, end)


def find_ibans(text: str) -> Iterator[Span]:
    """Bank accounts: a country's form and ISO 13616's check digits."""
    for match in IBAN.finditer(text):
        start = match.start()
        if character(text, start - 1).isalnum():
            continue
        # Words in capitals may follow a number written in groups: tried without them.
        written = match.group()
        while len(written) >= 15:
            end = start + len(written)
            if not character(text, end).isalnum() and iban.is_valid(written):
                yield Span(start, end)
                break
            written = written.rpartition(" ")[0]


class Phones:
    """Finds phone numbers: those with a "+" of every country, others of the given regions.

    A national number is taken where it is written in its country's groups, after a word such as
    "tel" or "call", or where it is ten or eleven digits of which only the first is the zero that a
    call within the country begins with.
    """

    def __init__(self, regions: tuple[str, ...]) -> None:
        """`regions` are two-letter country codes."""
        self._regions = regions

    def __call__(self, text: str) -> Iterator[Span]:
        """All in a text, from left to right."""
        for match in CANDIDATE.finditer(text):
            written, start = match.group().rstrip(SIGNS), match.start()
            if len(written) > LONGEST_CANDIDATE:
                continue
            digits = sum(map(str.isdigit, written))
            before = character(text, start - 1)
            if not FEWEST_DIGITS <= digits <= MOST_DIGITS or before.isalnum():
                continue
            if before in tuple("._-/=&$€£#@") or character(text, start + len(written)).isalpha():
                continue
            yield from self._match(text, written, start)

    def _match(self, text: str, written: str, start: int) -> Iterator[Span]:
        if written[0] == "+":
            yield from _spans(written, start, None, Leniency.VALID)
            return
        if NO_PHONE.match(written) or follows(text, start, OTHER_NUMBER):
            return
        called = follows(text, start, CALLED)
        if not called and ISBN.fullmatch(written) and isbn.is_valid(written):
            return
        bare = written.strip(" ().-")
        dialled = DIALLED.fullmatch(bare) is not None
        if bare.isdigit() and not (called or dialled):
            return
        leniency = Leniency.VALID if called or dialled else Leniency.STRICT_GROUPING
        for region in self._regions:
            spans = list(_spans(written, start, region, leniency))
            if spans:
                yield from spans
                return


def _spans(given: str, start: int, region: str | None, leniency: int) -> Iterator[Span]:
    for match in PhoneNumberMatcher(given, region, leniency, max_tries=16):
        # In "(07400 123456)" the brackets are the sentence's.
        written = match.raw_string
        opened = written.startswith("(") and written.count("(") > written.count(")")
        yield Span(start + match.start + opened, start + match.end)


def unknown_regions(regions: tuple[str, ...]) -> list[str]:
    """Those that are no country's code."""
    return [region for region in regions if region not in phonenumbers.SUPPORTED_REGIONS]
