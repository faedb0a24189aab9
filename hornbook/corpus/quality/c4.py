"""C4's rules about the lines of web pages, and about pages.

Raffel et al., *Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer*
(JMLR 2020), section 2.2. Pages are judged before their lines: the paper says "any pages that
contained", where the authors' program looks only at lines that it has kept. The rule about
three-sentence spans is deduplication's affair.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import Field

from hornbook.config import Settings
from hornbook.corpus.quality.view import Changed, Judge, Removed, View, without_lines
from hornbook.errors import HornbookError

TERMINAL = (".", "!", "?", '"', "”")
"""Signs that a sentence ends with."""
SENTENCE_END = re.compile(r"[.!?][\"”'’)\]]*(?=\s|$)")
WORD = re.compile(r"\w+")
CITATION = re.compile(r"\[(?:\d*|edit|citation needed)\]")
POLICIES = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)
"""What a line about a site's policy has in it."""
JAVASCRIPT = "javascript"


class C4Settings(Settings):
    """Thresholds of the filters "c4-braces" to "c4-sentences"."""

    min_line_words: int = Field(default=5, ge=0)
    """Words that a line has at least, for "c4-short-lines"."""
    min_sentences: int = Field(default=3, ge=0)
    """Sentences that a document has at least, for "c4-sentences"."""
    bad_words: str | None = None
    """File with a word or phrase a line; documents with any are removed by "c4-bad-words". No list
    comes with Hornbook: what is bad depends on what the model is for."""


def c4_judges(settings: C4Settings) -> dict[str, Judge]:
    """The filters by name; "c4-bad-words" only where there is a file of them.

    Raises:
        HornbookError: that file cannot be read, or is empty.
    """
    pages: dict[str, Judge] = {"c4-braces": braces, "c4-lorem-ipsum": lorem_ipsum}
    if settings.bad_words is not None:
        pages["c4-bad-words"] = partial(bad_words, wanted=_read_words(settings.bad_words))
    return {
        **pages,
        "c4-citations": citations,
        "c4-terminal-punctuation": terminal_punctuation,
        "c4-short-lines": partial(short_lines, least=settings.min_line_words),
        "c4-javascript": javascript,
        "c4-policies": policies,
        "c4-sentences": partial(sentences, least=settings.min_sentences),
    }


def braces(view: View) -> Removed | None:
    """Programs have braces, prose has not."""
    return Removed('there is a "{" in it') if "{" in view.text else None


def lorem_ipsum(view: View) -> Removed | None:
    """No text that only fills a place."""
    return Removed('there is "lorem ipsum" in it') if _has(view, "lorem ipsum") else None


@dataclass(frozen=True)
class BadWords:
    """The user's list, without capitals."""

    words: frozenset[str]
    """Single words: looked up among a document's, however many they are."""
    phrases: tuple[str, ...]
    """What is not one run of letters and digits: looked for one by one."""


def bad_words(view: View, wanted: BadWords) -> Removed | None:
    """No word of the user's list; a word is one between characters that are in no word."""
    found = wanted.words.intersection(WORD.findall(view.lower)) if wanted.words else set()
    for phrase in wanted.phrases:
        if phrase in view.lower and re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", view.lower):
            found = {*found, phrase}
    return Removed(f"there is {min(found)!r} in it") if found else None


def citations(view: View) -> Changed | None:
    """Without marks such as [1], [edit] and [citation needed]."""
    if "[" not in view.text:
        return None
    text, count = CITATION.subn("", view.text)
    return Changed(text, f"{count} citation mark{'s' * (count > 1)} left out") if count else None


def terminal_punctuation(view: View) -> Changed | Removed | None:
    """Only lines that end as a sentence does; an ellipsis is no end."""
    wrong = [line for line in view.lines if not line.endswith(TERMINAL) or line.endswith("...")]
    return _without(view, wrong)


def short_lines(view: View, least: int) -> Changed | Removed | None:
    """Only lines of some words."""
    return _without(view, [line for line in view.lines if len(line.split(None, least)) < least])


def javascript(view: View) -> Changed | Removed | None:
    """Without lines that ask for JavaScript to be switched on."""
    if not _has(view, JAVASCRIPT):
        return None
    return _without(view, [line for line in view.lines if JAVASCRIPT in line.lower()])


def policies(view: View) -> Changed | Removed | None:
    """Without lines about cookies and terms of use."""
    found = [policy for policy in POLICIES if _has(view, policy)]
    if not found:
        return None
    return _without(view, [line for line in view.lines if _has_any(line.lower(), found)])


def sentences(view: View, least: int) -> Removed | None:
    """Enough sentences: signs . ! ? at the end of a word, closing quotes and brackets allowed."""
    count = 0
    for _ in SENTENCE_END.finditer(view.text):
        count += 1
        if count >= least:
            return None
    if count >= least:
        return None
    return Removed(f"{count} sentence{'s' * (count != 1)}, fewer than {least}")


def _has(view: View, phrase: str) -> bool:
    """Whether an ASCII phrase without capitals is in the text, written with or without them."""
    return phrase.encode() in view.encoded_lower


def _has_any(text: str, phrases: Sequence[str]) -> bool:
    return any(phrase in text for phrase in phrases)


def _without(view: View, wrong: Sequence[str]) -> Changed | Removed | None:
    found = without_lines(view, wrong)
    if found is not None and not found.lines:
        return Removed(f"nothing is left: {found.why}")
    return found


def _read_words(path: str) -> BadWords:
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise HornbookError(f"quality.c4.bad_words: {path}: {reason}.") from None
    words = {word for line in text.splitlines() if (word := line.strip().lower())}
    if not words:
        raise HornbookError(f"quality.c4.bad_words: {path} is empty; give a word or phrase a line.")
    single = frozenset(word for word in words if WORD.fullmatch(word))
    return BadWords(single, tuple(sorted(words - single)))
