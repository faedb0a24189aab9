"""Small rules of English: articles, numbers, lists, capitals."""

from collections.abc import Sequence

NUMBERS = (
    "no",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
)
"""Number words; the index is the number."""


def article(phrase: str) -> str:
    """ "a" or "an", whichever goes before `phrase`; the lexicon has no word with a silent h."""
    return "an" if phrase[0] in "aeiou" else "a"


def with_article(phrase: str) -> str:
    """`phrase` with "a" or "an" before it."""
    return f"{article(phrase)} {phrase}"


def join(items: Sequence[str]) -> str:
    """A list in words: "Anna", "Anna and Tom", "Anna, Tom and Ben"."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def capital(text: str) -> str:
    """`text` with its first letter in upper case."""
    return text[0].upper() + text[1:]


def plural(noun: str) -> str:
    """The plural of a regular noun: apples, cherries, boxes, potatoes."""
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{noun[:-1]}ies"
    if noun.endswith(("s", "x", "ch", "sh", "o")):
        return f"{noun}es"
    return f"{noun}s"
