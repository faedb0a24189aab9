"""How many questions were answered rightly, by category, where the right answer is known."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from hornbook.console import visible
from hornbook.errors import HornbookError
from hornbook.evaluation.proportion import Proportion


@dataclass(frozen=True)
class Answer:
    """One question with the answer that was expected and the one that was given."""

    category: str
    question: str
    expected: str
    given: str

    @property
    def right(self) -> bool:
        """Whether both answers say the same (see `normalize`)."""
        return normalize(self.given) == normalize(self.expected)


@dataclass(frozen=True)
class AnswerReport:
    """All answers of one evaluation."""

    answers: tuple[Answer, ...]

    @property
    def total(self) -> Proportion:
        """Right answers out of all."""
        return _count(self.answers)

    @property
    def categories(self) -> dict[str, Proportion]:
        """Right answers by category, in alphabetical order."""
        names = sorted({answer.category for answer in self.answers})
        return {name: _count([a for a in self.answers if a.category == name]) for name in names}

    def examples(self, per_category: int = 2) -> tuple[Answer, ...]:
        """The first right and the first wrong answers of each category, so many of each kind."""
        chosen: list[Answer] = []
        for name in self.categories:
            for right in (True, False):
                alike = [a for a in self.answers if a.category == name and a.right is right]
                chosen += alike[:per_category]
        return tuple(chosen)

    def as_dict(self, per_category: int = 2) -> dict[str, Any]:
        """Plain JSON values: the counts, and some answers of each category."""
        return {
            "total": self.total.as_dict(),
            "categories": {name: score.as_dict() for name, score in self.categories.items()},
            "examples": [{**asdict(a), "right": a.right} for a in self.examples(per_category)],
        }

    def __rich__(self) -> Table:
        """Right answers by category, to print in a terminal."""
        table = Table("category", title="Right answers", title_justify="left")
        for name in ("right", "of", "share (95 % interval)"):
            table.add_column(name, justify="right")
        for name, score in self.categories.items():
            table.add_row(Text(visible(name) or "(none)"), *_figures(score))
        table.add_section()
        table.add_row("all", *_figures(self.total))
        return table


def score_answers(
    expected: Sequence[str],
    given: Sequence[str],
    categories: Sequence[str],
    questions: Sequence[str] | None = None,
) -> AnswerReport:
    """Compare answers with the right ones; `questions` only go into the examples shown.

    Raises:
        HornbookError: no answers, or lists of different lengths.
    """
    asked = questions if questions is not None else [""] * len(expected)
    lengths = {len(expected), len(given), len(categories), len(asked)}
    if len(lengths) > 1 or 0 in lengths:
        raise HornbookError(
            f"answers to score: {len(expected)} expected, {len(given)} given, {len(categories)} "
            f"categories, {len(asked)} questions; the numbers must agree and be above 0."
        )
    rows = zip(categories, asked, expected, given, strict=True)
    return AnswerReport(tuple(Answer(*row) for row in rows))


def normalize(text: str) -> str:
    """An answer without what does not change its meaning: case, spacing, final punctuation."""
    return re.sub(r"[\s.!?]+$", "", " ".join(text.split())).casefold()


def answer_table(answers: Sequence[Answer]) -> Table:
    """Questions with both answers, to print in a terminal."""
    table = Table("", "category", "question", "expected", "given", show_lines=True)
    for answer in answers:
        mark = Text("right", "green") if answer.right else Text("wrong", "red")
        shown = (answer.category, answer.question, answer.expected, answer.given)
        table.add_row(mark, *(Text(visible(part)) for part in shown))
    return table


def _count(answers: Sequence[Answer]) -> Proportion:
    return Proportion(sum(answer.right for answer in answers), len(answers))


def _figures(score: Proportion) -> tuple[str, str, str]:
    return f"{score.right:,}", f"{score.total:,}", str(score)
