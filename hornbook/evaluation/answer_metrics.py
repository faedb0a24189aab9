"""Answers beside expected ones, measured in several ways, each with its interval, by category.

| metric | is | by |
| --- | --- | --- |
| exact | both say the same but for case, spacing and final punctuation | `answers.normalize` |
| rouge1, rougeL | F1 of words, of the longest common subsequence (Lin 2004) | rouge-score |
| bleu | of all answers together, 0 to 1 (Papineni et al. 2002); 0 where none has four words | sacrebleu |
| json | the answer is JSON, and of the schema if one is given | jsonschema |
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hornbook.console import visible
from hornbook.errors import HornbookError
from hornbook.evaluation.answers import Answer
from hornbook.evaluation.intervals import (
    Comparison,
    Interval,
    Statistic,
    Values,
    compare_means,
    compare_statistics,
    mean_interval,
    shown_p,
    statistic_interval,
)

METRICS = ("exact", "rouge1", "rougeL", "bleu", "json")
PACKAGES = {
    "rouge1": "rouge_score",
    "rougeL": "rouge_score",
    "bleu": "sacrebleu",
    "json": "jsonschema",
}
ALL = "all"

Measure = Callable[[Answer], float | list[float]]


@dataclass(frozen=True)
class MeasuredAnswers:
    """Answers with what each metric says of each."""

    answers: tuple[Answer, ...]
    values: Mapping[str, Values]
    """By metric, (answers,), each 0 to 1; of a metric of all answers together what it counts in each,
    (answers, counts)."""
    statistics: Mapping[str, Statistic]
    """By metric, how it is made of such counts; a metric that is not here is a mean."""

    def intervals(self) -> dict[str, dict[str, Interval]]:
        """Each metric in each category, and over all: by category, then by metric."""
        return {
            category: {name: self._interval(name, rows) for name in self.values}
            for category, rows in self.rows().items()
        }

    def _interval(self, name: str, rows: npt.NDArray[np.int64]) -> Interval:
        found, statistic = self.values[name][rows], self.statistics.get(name)
        return mean_interval(found) if statistic is None else statistic_interval(found, statistic)

    def rows(self) -> dict[str, npt.NDArray[np.int64]]:
        """Which answers each category has, in alphabetical order; all of them at the end."""
        names = sorted({answer.category for answer in self.answers})
        found = {
            name: np.array([n for n, a in enumerate(self.answers) if a.category == name])
            for name in (names if len(names) > 1 else ())
        }
        return {**found, ALL: np.arange(len(self.answers))}

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            category: {name: interval.as_dict() for name, interval in by_metric.items()}
            for category, by_metric in self.intervals().items()
        }

    def __rich__(self) -> Table:
        """A row for each category, a column for each metric."""
        return self.table("Answers")

    def table(self, name: str) -> Table:
        """The same under a name, such as the model's that has answered."""
        title = f"{escape(name)}, with the 95 % interval"
        table = Table("category", "answers", title=title, title_justify="left")
        for name in self.values:
            table.add_column(name, justify="right")
        for category, by_metric in self.intervals().items():
            if category == ALL:
                table.add_section()
            shown = [interval.shown() for interval in by_metric.values()]
            count = next(iter(by_metric.values())).count
            table.add_row(Text(visible(category) or "(none)"), f"{count:,}", *shown)
        return table

    def against(self, other: "MeasuredAnswers") -> dict[str, Comparison]:
        """By metric, how these answers compare with another model's to the same questions."""
        return {name: self._compared(name, other) for name in self.values}

    def _compared(self, name: str, other: "MeasuredAnswers") -> Comparison:
        both, statistic = (self.values[name], other.values[name]), self.statistics.get(name)
        return compare_means(*both) if statistic is None else compare_statistics(*both, statistic)


def measure_answers(
    answers: Sequence[Answer], metrics: Sequence[str] = ("exact",), schema: Any = None
) -> MeasuredAnswers:
    """Measure answers.

    Args:
        metrics: names among `METRICS`.
        schema: a JSON schema, for "json".

    Raises:
        HornbookError: no answers, an unknown metric, a library that is not installed, or a schema that
            is none.
    """
    if not answers:
        raise HornbookError("there are no answers to measure.")
    values = {}
    for name in dict.fromkeys(metrics):
        measure = _measure_of(name, schema)
        values[name] = np.array([measure(answer) for answer in answers], dtype=np.float64)
    return MeasuredAnswers(tuple(answers), values, {"bleu": corpus_bleu})


def _measure_of(name: str, schema: Any) -> Measure:
    if name not in METRICS:
        raise HornbookError(f"unknown metric {name!r}; expected some of {', '.join(METRICS)}.")
    package = PACKAGES.get(name)
    if package is not None and find_spec(package) is None:
        raise HornbookError(
            f'the metric {name} needs {package}: pip install "hornbook[evaluation]".'
        )
    if name == "exact":
        return lambda answer: float(answer.right)
    if name == "bleu":
        return _bleu_counts()
    if name == "json":
        return _json(schema)
    return _rouge(name)


def _rouge(name: str) -> Measure:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer([name], use_stemmer=False)
    return lambda answer: float(scorer.score(answer.expected, answer.given)[name].fmeasure)


def _bleu_counts() -> Measure:
    """What BLEU counts in an answer: n-grams found again, n-grams, words of both sides."""
    from sacrebleu.metrics.bleu import BLEU

    scorer = BLEU(effective_order=True)  # which decides of the sentence's own score alone

    def counted(answer: Answer) -> list[float]:
        found = scorer.sentence_score(answer.given, [answer.expected])
        return [*found.counts, *found.totals, found.sys_len, found.ref_len]

    return counted


def corpus_bleu(counts: Values) -> float:
    """BLEU of answers together, 0 to 1, from their counts, (answers, 10); sacrebleu's default."""
    from sacrebleu.metrics.bleu import BLEU

    *ngrams, given, expected = (int(total) for total in counts.sum(axis=0))
    orders = len(ngrams) // 2
    found = BLEU.compute_bleu(ngrams[:orders], ngrams[orders:], given, expected, "exp")
    return float(found.score) / 100


def _json(schema: Any) -> Measure:
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for

    kind = validator_for(schema if schema is not None else True)
    try:
        kind.check_schema(schema if schema is not None else True)
    except SchemaError as error:
        raise HornbookError(f"the schema is not a JSON schema: {error.message}.") from None
    validator = kind(schema if schema is not None else True)

    def valid(answer: Answer) -> float:
        try:
            value = json.loads(answer.given)
        except (ValueError, RecursionError):
            return 0.0
        return float(validator.is_valid(value))

    return valid


COMPARISON_COLUMNS = ("difference (95 % interval)", "p", "test", "units")


def comparison_row(found: Comparison) -> tuple[str, str, str, str]:
    """A comparison as text, under `COMPARISON_COLUMNS`."""
    units = f"{found.difference.count:,}"
    return found.difference.shown(4), shown_p(found.p), found.test, units


def comparison_table(first: str, second: str, found: Mapping[str, Comparison]) -> Table:
    """A row for each figure in which two models were compared."""
    title = f"{escape(first)} less {escape(second)}"
    table = Table("figure", title=title, title_justify="left")
    for name in COMPARISON_COLUMNS:
        table.add_column(name, justify="left" if name == "test" else "right")
    for name, one in found.items():
        table.add_row(name, *comparison_row(one))
    return table
