"""`hornbook evaluate`: a model measured on data of the user's, alone or against another model."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Group, RenderableType
from rich.table import Table

from hornbook import artifact
from hornbook.console import counted
from hornbook.corpus.files import parse_json, read_text
from hornbook.corpus.readers import read_documents
from hornbook.errors import HornbookError
from hornbook.evaluation.answer_metrics import MeasuredAnswers, comparison_table, measure_answers
from hornbook.evaluation.f1 import MACRO, compare_macro_f1, f1_counts
from hornbook.evaluation.intervals import (
    Comparison,
    Interval,
    Values,
    compare_means,
    compare_ratios,
    ratio_interval,
)
from hornbook.evaluation.text_losses import text_losses, window_losses
from hornbook.evaluation.units import hash_text
from hornbook.finetuning.classification import labels_of
from hornbook.finetuning.conversations import read_conversations
from hornbook.inference.answers import ANSWER_TOKENS
from hornbook.pipeline.measuring.classifier_scores import report_of
from hornbook.pipeline.measuring.classify_file import decide
from hornbook.pipeline.measuring.measure import (
    answer_all,
    hash_conversations,
    hash_labelled,
    labelled_for,
)
from hornbook.pipeline.models.bundle import Bundle

CONVERSATIONS = (".json", ".jsonl", ".csv", ".tsv")
"""Data that a follower of instructions is asked; on any other it is measured as a language model."""
FEW = 8
"""Documents; of fewer, their paragraphs are compared."""


@dataclass(frozen=True)
class EvaluationOptions:
    """What is measured, and how."""

    text_column: str = "text"
    label_column: str = "label"
    metrics: tuple[str, ...] = ("exact",)
    """Of answers: names among `answer_metrics.METRICS`."""
    schema: Path | None = None
    """A JSON schema that answers are to be of, for the metric "json"."""
    max_new_tokens: int = ANSWER_TOKENS
    """Most tokens of an answer."""
    limit: int | None = None
    """Only the first so many conversations are asked."""
    stride: int | None = None
    """Tokens from one window of a text to the next; half of the model's context when not given."""
    int8: bool = False
    """Whether the model's weights are held in 8 bits."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "schema": None if self.schema is None else str(self.schema)}


@dataclass(frozen=True)
class Evaluation:
    """What has come out, with what it can be told by that another was measured in the same way."""

    scores: dict[str, Any]
    """The figures with their intervals, plain JSON values."""
    shown: RenderableType
    prompts: str
    """SHA-256 of all that the model was given, and of what was expected."""
    settings: str
    """SHA-256 of the model and of how it was measured."""
    comparisons: dict[str, Comparison] = field(default_factory=dict)
    """With the other model, where there is one."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        compared = {name: one.as_dict() for name, one in self.comparisons.items()}
        return {
            "scores": self.scores,
            "comparisons": compared,
            "prompts_sha256": self.prompts,
            "settings_sha256": self.settings,
        }

    def __rich__(self) -> Group:
        """The figures, and the first digits of the hashes."""
        return Group(self.shown, hash_text(self.prompts, self.settings))


def evaluate_model(
    bundle: Bundle, data: Path, options: EvaluationOptions, against: Bundle | None = None
) -> Evaluation:
    """Measure a model by what its task is measured by.

    Raises:
        HornbookError: the data are not of the kind that the task needs, or the other model's task is
            another one.
    """
    if against is not None and against.task != bundle.task:
        raise HornbookError(
            f"{bundle.path} and {against.path} cannot be compared: one was trained to "
            f"{bundle.task}, the other to {against.task}."
        )
    if bundle.task == "classify":
        return _classification(bundle, data, options, against)
    if bundle.task == "instruct" and data.suffix.lower() in CONVERSATIONS:
        return _answers(bundle, data, options, against)
    return _perplexity(bundle, data, options, against)


def _answers(
    bundle: Bundle, data: Path, options: EvaluationOptions, against: Bundle | None
) -> Evaluation:
    asked = read_conversations(data)[: options.limit]
    schema = None
    if options.schema is not None:
        schema = parse_json(read_text(options.schema), options.schema)

    def measured(model: Bundle) -> MeasuredAnswers:
        report = answer_all(model, asked, options.max_new_tokens)
        return measure_answers(report.answers, options.metrics, schema)

    found = measured(bundle)
    parts: list[RenderableType] = [found]
    comparisons = {}
    if against is not None:
        other = measured(against)
        comparisons = found.against(other)
        names = str(bundle.path), str(against.path)
        parts = [found.table(names[0]), other.table(names[1])]
        parts.append(comparison_table(*names, comparisons))
    prompts = hash_conversations(asked)
    return _evaluation(found.as_dict(), parts, prompts, bundle, options, comparisons, against)


def _classification(
    bundle: Bundle, data: Path, options: EvaluationOptions, against: Bundle | None
) -> Evaluation:
    columns = options.text_column, options.label_column
    splits = labelled_for(bundle, data, *columns)
    examples = splits.test
    found = bundle.classify([example.text for example in examples])
    report = report_of(splits, examples, found, bundle.thresholds)
    given, true = _sets(bundle, found), [set(labels_of(e, splits.separator)) for e in examples]
    counts = _counts(given, true, bundle.labels)
    parts: list[RenderableType] = [report]
    comparisons = {}
    if against is not None:
        known = labelled_for(against, data, *columns)
        if known.separator is None and bundle.many:
            raise HornbookError(
                f"{bundle.path} gives a text several labels and {against.path} gives one; the two "
                "cannot be compared."
            )
        other = _sets(against, against.classify([example.text for example in examples]))
        comparisons["right"] = compare_means(_right(given, true), _right(other, true))
        theirs = _counts(other, true, bundle.labels)
        comparisons[MACRO] = compare_macro_f1(counts, theirs)
        parts.append(comparison_table(str(bundle.path), str(against.path), comparisons))
    scores = {name: value for name, value in report.as_dict().items() if name != "wrong"}
    prompts = hash_labelled(examples)
    return _evaluation(scores, parts, prompts, bundle, options, comparisons, against)


def _sets(bundle: Bundle, probabilities: npt.NDArray[np.float64]) -> list[set[str]]:
    """The label, or the labels, that a classifier gives each text."""
    given = [decide(bundle, row) for row in probabilities]
    return [set(one) if isinstance(one, list) else {one} for one in given]


def _right(given: Sequence[set[str]], true: Sequence[set[str]]) -> npt.NDArray[np.float64]:
    """Which of the texts are taken for what they are, 1 or 0 each."""
    return np.array([float(one == other) for one, other in zip(given, true, strict=True)])


def _counts(given: Sequence[set[str]], true: Sequence[set[str]], labels: Sequence[str]) -> Values:
    of_each = [np.array([[label in one for label in labels] for one in s]) for s in (given, true)]
    return f1_counts(*of_each)


def _perplexity(
    bundle: Bundle, data: Path, options: EvaluationOptions, against: Bundle | None
) -> Evaluation:
    documents = [document.text for document in read_documents(str(data))]
    end = [bundle.tokenizer.eos_id] if bundle.tokenizer.eos_id is not None else []
    ids = [[*tokens, *end] for tokens in bundle.tokenizer.encode_batch(documents)]
    row = [*bundle.opening_ids, *(token for document in ids for token in document)]
    if len(row) < 2:
        raise HornbookError(f"{data}: a text of 2 tokens or more is needed, not {len(row)}.")
    if options.stride is not None and not 0 < options.stride <= bundle.model.config.context_length:
        raise HornbookError(
            f"--stride {options.stride} is not between 1 and the model's context of "
            f"{bundle.model.config.context_length} tokens."
        )
    found = window_losses(bundle.model, row, bundle.runtime, stride=options.stride)
    loss = ratio_interval(found.nats, found.tokens.astype(np.float64))
    byte_count = sum(len(text.encode()) for text in documents)
    tokens = int(found.tokens.sum())
    figures = {
        "loss": loss,
        "perplexity": loss.exp(),
        "bits_per_byte": loss.times(tokens / np.log(2) / byte_count),
    }
    comparisons = {}
    parts: list[RenderableType] = [_loss_table(figures, len(documents), tokens)]
    if against is not None:
        comparisons["bits_per_byte"] = _bits_compared(bundle, against, documents, options)
        parts.append(comparison_table(str(bundle.path), str(against.path), comparisons))
    scores: dict[str, Any] = {name: interval.as_dict() for name, interval in figures.items()}
    scores |= {"documents": len(documents), "tokens": tokens, "bytes": byte_count}
    prompts = artifact.hash_json(documents)
    return _evaluation(scores, parts, prompts, bundle, options, comparisons, against)


def _loss_table(figures: dict[str, Interval], documents: int, tokens: int) -> Table:
    title = f"{counted(documents, 'document')}, {counted(tokens, 'token')} scored"
    table = Table("figure", title=title, title_justify="left")
    table.add_column("value (95 % interval, by windows)", justify="right")
    names = {
        "loss": "loss (nats a token)",
        "perplexity": "perplexity",
        "bits_per_byte": "bits a byte",
    }
    for name, interval in figures.items():
        table.add_row(names[name], interval.shown(2 if name == "perplexity" else 4))
    return table


def _bits_compared(
    bundle: Bundle, against: Bundle, documents: Sequence[str], options: EvaluationOptions
) -> Comparison:
    """Bits a byte of each document by itself: models with other tokenizers can be compared."""
    texts = list(documents)
    if len(texts) < FEW:
        texts = [piece for text in texts for piece in text.split("\n\n") if piece.strip()]
    bits = []
    for model in (bundle, against):
        opening = model.opening_ids or [n for n in (model.tokenizer.eos_id,) if n is not None]
        ids = [[*opening, *tokens] for tokens in model.tokenizer.encode_batch(texts)]
        found = text_losses(model.model, ids, model.runtime, stride=options.stride)
        bits.append(found.nats / np.log(2))
    sizes = np.array([len(text.encode()) for text in texts], dtype=np.float64)
    return compare_ratios(bits[0], bits[1], sizes)


def _evaluation(
    scores: dict[str, Any],
    parts: list[RenderableType],
    prompts: str,
    bundle: Bundle,
    options: EvaluationOptions,
    comparisons: dict[str, Comparison],
    against: Bundle | None,
) -> Evaluation:
    settings = {
        **options.as_dict(),
        "model": bundle.manifest.fingerprint,
        "template": bundle.facts.get("template"),
        "against": None if against is None else against.manifest.fingerprint,
        "precision": str(bundle.runtime.dtype),
    }
    return Evaluation(
        scores,
        Group(*parts),
        prompts,
        artifact.hash_json(settings),
        comparisons,
    )


def write_evaluation(path: Path, evaluation: Evaluation) -> None:
    """Write the figures as JSON."""
    artifact.write_text(path, json.dumps(evaluation.as_dict(), indent=2, ensure_ascii=False) + "\n")
