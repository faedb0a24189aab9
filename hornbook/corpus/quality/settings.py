"""Which filters a corpus goes through, and in which order."""

from collections.abc import Iterator
from typing import Literal, get_args

from pydantic import Field

from hornbook.config import Settings
from hornbook.corpus.quality import unicode
from hornbook.corpus.quality.c4 import C4Settings, c4_judges
from hornbook.corpus.quality.filtering import Filters
from hornbook.corpus.quality.fineweb import FineWebSettings, fineweb_judges
from hornbook.corpus.quality.gopher import GopherSettings, gopher_judges
from hornbook.corpus.quality.language import Language
from hornbook.corpus.quality.repetition import RepetitionSettings, repetition_judges
from hornbook.corpus.quality.unicode import UnicodeMode
from hornbook.corpus.quality.view import Judge
from hornbook.corpus.step import Step
from hornbook.errors import HornbookError

FilterName = Literal[
    "gopher-words",
    "gopher-word-length",
    "gopher-hashes",
    "gopher-ellipses",
    "gopher-bullets",
    "gopher-ellipsis-lines",
    "gopher-letters",
    "gopher-stop-words",
    "gopher-duplicate-lines",
    "gopher-duplicate-paragraphs",
    "gopher-top-ngrams",
    "gopher-duplicate-ngrams",
    "c4-braces",
    "c4-lorem-ipsum",
    "c4-bad-words",
    "c4-citations",
    "c4-terminal-punctuation",
    "c4-short-lines",
    "c4-javascript",
    "c4-policies",
    "c4-sentences",
    "fineweb-punctuation",
    "fineweb-short-lines",
    "fineweb-duplicate-lines",
]
GroupName = Literal["gopher-quality", "gopher-repetition", "c4", "fineweb"]
GROUPS: tuple[str, ...] = get_args(GroupName)


class QualitySettings(Settings):
    """Which documents are worth learning from. All are, and as they come, unless asked for."""

    unicode: UnicodeMode = "keep"
    """"keep" characters as they are; "normalize": Unicode's NFC, no control characters; "repair":
    undo wrong decodings, too ("â€œ" for “), which needs pip install "hornbook[corpus]"."""
    languages: tuple[str, ...] = ()
    """ISO 639-1 codes of the languages wanted, such as ["en"]; documents in others are removed. All
    are wanted when none is given; needs pip install "hornbook[corpus]"."""
    language_probability: float = Field(default=0.65, ge=0, le=1)
    """Probability (0 to 1) that a document is in its language, at least."""
    filters: tuple[FilterName | GroupName, ...] = ()
    """Which rules a document must pass, by name, or by group: "gopher-quality" (words, symbols,
    lines), "gopher-repetition", "c4" and "fineweb"."""
    without: tuple[FilterName, ...] = ()
    """Rules of those groups that are not used, such as ["gopher-stop-words"] outside English."""
    perplexity_model: str | None = None
    """Folder of a Hornbook model, such as runs/NAME/pretrain, to which a document must not be far
    harder to predict than the others. Not looked at when not given."""
    sigmas: float = Field(default=3.0, gt=0)
    """Standard deviations that a document's log-perplexity under that model may be above the mean
    of all documents."""
    gopher: GopherSettings = GopherSettings()
    """Thresholds of the group "gopher-quality"."""
    repetition: RepetitionSettings = RepetitionSettings()
    """Limits of the group "gopher-repetition"."""
    c4: C4Settings = C4Settings()
    """Thresholds of the group "c4"."""
    fineweb: FineWebSettings = FineWebSettings()
    """Thresholds of the group "fineweb"."""


def make_steps(settings: QualitySettings, workers: int | None = None) -> list[Step]:
    """The step that runs all that the settings ask for; none if they ask for nothing.

    Args:
        workers: processes; as many as there are cores when None. The outcome does not hang on it.

    Raises:
        HornbookError: a library is not installed, a language not known, a file of words not read.
    """
    judges = quality_judges(settings)
    return [Filters(judges, workers)] if judges else []


def quality_judges(settings: QualitySettings) -> dict[str, Judge]:
    """The filters by name, in the order in which they run.

    Raises:
        HornbookError: see `make_steps`.
    """
    return dict(_judges(settings))


def _judges(settings: QualitySettings) -> Iterator[tuple[str, Judge]]:
    if settings.unicode == "normalize":
        yield "unicode", unicode.normalize
    elif settings.unicode == "repair":
        unicode.require_ftfy()
        yield "unicode", unicode.repair
    if settings.languages:
        yield "language", Language(settings.languages, settings.language_probability)
    if "c4-bad-words" in settings.filters and settings.c4.bad_words is None:
        raise HornbookError(
            'quality.filters has "c4-bad-words", which needs a file with a word a line: give '
            "quality.c4.bad_words."
        )
    groups = (
        gopher_judges(settings.gopher),
        repetition_judges(settings.repetition),
        c4_judges(settings.c4),
        fineweb_judges(settings.fineweb),
    )
    for group, judges in zip(GROUPS, groups, strict=True):
        whole = group in settings.filters
        for name, judge in judges.items():
            if (whole or name in settings.filters) and name not in settings.without:
                yield name, judge
