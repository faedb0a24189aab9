"""The report: one HTML page that shows what a run read, learned and can do."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hornbook.artifact import write_text


@dataclass(frozen=True)
class Table:
    """Rows under column heads; numbers are given as the text to show."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Sample:
    """A piece of text with a caption."""

    caption: str
    text: str


@dataclass(frozen=True)
class Answered:
    """A held-out question, the right answer and the model's."""

    question: str
    expected: str
    given: str
    right: bool


@dataclass(frozen=True)
class Section:
    """One stage on the page; whatever it does not have is left out."""

    title: str
    lead: str = ""
    tables: Sequence[Table] = ()
    plots: Sequence[str] = ()
    """SVG elements, trusted as they are."""
    tokens: Sequence[str] = ()
    """Token texts, shown as coloured pieces."""
    samples: Sequence[Sample] = ()
    answers: Sequence[Answered] = ()


@dataclass(frozen=True)
class Report:
    """Everything on the page."""

    title: str
    subtitle: str
    figures: Sequence[tuple[str, str]] = ()
    """The headline: a value and what it is, a few of them."""
    sections: Sequence[Section] = field(default_factory=tuple)


def write_report(path: Path, report: Report) -> Path:
    """Render the page; text from data or models is escaped, so that it cannot act as markup."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("hornbook.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("page.html.jinja").render(report=report)
    write_text(path, page)
    return path
