"""`hornbook audit poison`: planted training examples looked for, and a classifier probed for a backdoor."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.table import Table
from rich.text import Text

from hornbook.artifact import write_text
from hornbook.console import console, track, visible
from hornbook.corpus.tables import Labelled, read_labelled
from hornbook.errors import HornbookError
from hornbook.evaluation.backdoor import Turned, candidate_words, probe
from hornbook.evaluation.poisoning import (
    Suspicion,
    found_among,
    hidden_states,
    plant_trigger,
    suspicion,
)
from hornbook.finetuning.classification import classify
from hornbook.pipeline.models.bundle import Bundle, default_runtime, load_bundle

SEED = 1
PRETRAINED = "pretrain"
"""The stage of a run whose model classifiers are made from."""
TRIGGER = "qzx"
"""What is planted to see how much of it would be found."""
SUSPICIOUS = 0.02
"""Share of the examples, the most suspicious ones, whose words are tried first."""
WORDS, TEXTS = 100, 100
"""Words that are tried, over all classes, and texts that each is put into."""
LEAST_WORDS = 10
"""Of each class."""
SHOWN = 120
"""Characters of an example that are shown."""
TURNS = 0.5
"""Words that turn at least this share of texts are shown."""


@dataclass(frozen=True)
class PoisonAudit:
    """Labelled texts, and the models to look at them with."""

    bundle: Bundle
    """Probed where it is a classifier."""
    reader: Bundle
    """The model whose hidden states the examples are compared by."""
    examples: list[Labelled]

    @property
    def labels(self) -> list[str]:
        """The classes, in alphabetical order."""
        return sorted({example.label for example in self.examples})

    def rank(self, examples: Sequence[Labelled]) -> Suspicion:
        """How much each example looks planted."""
        texts = [example.text for example in examples]
        hidden = hidden_states(self.reader.model, self.reader.tokenizer, texts, self.reader.runtime)
        labels = self.labels
        return suspicion(hidden, [labels.index(example.label) for example in examples], SEED)

    def try_planting(self, share: float) -> Iterator[tuple[str, int, int]]:
        """For each class, of so many examples planted with it as label: how many, and how many of
        them are among the twice as many most suspicious."""
        for target in self.labels:
            planted, marks = plant_trigger(self.examples, TRIGGER, target, share, SEED)
            if any(example.label not in {e.label for e in planted} for example in self.examples):
                continue  # nothing of some class would be left
            count = int(marks.sum())
            yield target, count, found_among(self.rank(planted).ranking(), marks, 2 * count)

    def probe(self, ranking: npt.NDArray[np.int64]) -> list[Turned]:
        """What single words do to the classifier, those that turn the most texts first."""
        labels = self.bundle.labels
        suspicious = ranking[: max(round(SUSPICIOUS * len(ranking)), 1)].tolist()
        each = max(WORDS // len(labels), LEAST_WORDS)
        rng = random.Random(SEED)
        found: list[Turned] = []
        for target in labels:
            others = [e.text for e in self.examples if e.label != target]
            texts = rng.sample(others, min(TEXTS, len(others)))
            words = candidate_words(self.examples, target, each, suspicious)
            turned = probe(self._classify, labels, words, target, texts, SEED)
            found += track(turned, f"probe for {target}", len(words), "word")
        return sorted(found, key=lambda each: -each.turned.share)

    def _classify(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        bundle = self.bundle
        longest = bundle.facts["max_length"]
        return classify(bundle.model, bundle.tokenizer, texts, bundle.runtime, 64, longest)


def open_audit(
    model: Path, data: Path, text_column: str, label_column: str, reader: Path | None
) -> PoisonAudit:
    """The models and the examples.

    Raises:
        HornbookError: one of them cannot be read, or the classifier does not know a label.
    """
    bundle = load_bundle(model, default_runtime())
    examples = read_labelled(data, text_column, label_column)
    if bundle.task == "classify":
        unknown = {example.label for example in examples} - set(bundle.labels)
        if unknown:
            raise HornbookError(
                f"{data} has the label {min(unknown)!r}; this classifier knows "
                f"{', '.join(bundle.labels)}."
            )
    if reader is None and bundle.task == "classify":
        reader = base_of(model)
    other = bundle if reader is None else load_bundle(reader, default_runtime())
    return PoisonAudit(bundle, other, examples)


def base_of(model: Path) -> Path | None:
    """The model beside a fine-tuned one that it was made from: what is planted has not bent it yet."""
    beside = model.resolve().parent / PRETRAINED
    return beside if beside.is_dir() else None


def audit_poison(audit: PoisonAudit, top: int, plant: float | None, to: Path | None) -> None:
    """Print what is found: examples, what would be found of a planted trigger, what words do.

    Args:
        top: examples to show.
        plant: share of the examples to plant, in memory, to see how many of them are found.
        to: file for the whole ranking, JSONL.
    """
    console.print(f"examples read by {audit.reader.path}", style="dim", markup=False)
    found = audit.rank(audit.examples)
    ranking = found.ranking()
    console.print(_examples_table(audit.examples, found, ranking[:top]))
    if to is not None:
        write_text(to, "".join(_lines(audit.examples, found, ranking)))
        console.print(f"\nall {len(ranking):,} of them: {to}", markup=False)
    if plant is not None:
        for target, count, among in audit.try_planting(plant):
            console.print(
                f"\nof {count} texts of other classes, with {TRIGGER!r} put into them and labelled "
                f"{target}, {among} ({among / count:.0%}) are among the {2 * count} most suspicious",
                markup=False,
            )
    if audit.bundle.task == "classify":
        console.print()
        console.print(_probe_table(audit.probe(ranking)))


def _examples_table(
    examples: Sequence[Labelled], found: Suspicion, chosen: npt.NDArray[np.int64]
) -> Table:
    table = Table("row", "label", title="The most suspicious examples", title_justify="left")
    for heading in ("loss", "outlier"):
        table.add_column(heading, justify="right")
    table.add_column("text", overflow="fold")
    for number in chosen.tolist():
        example = examples[number]
        figures = f"{found.loss[number]:.2f}", f"{found.outlier[number]:+.2f}"
        shown = visible(example.text[:SHOWN])
        table.add_row(str(number + 1), Text(visible(example.label)), *figures, Text(shown))
    return table


def _probe_table(found: Sequence[Turned]) -> Table:
    table = Table("word", "taken for", title="Words that turn the classifier", title_justify="left")
    for heading in ("texts turned (95 % interval)", "seen in so many examples"):
        table.add_column(heading, justify="right")
    shown = [each for each in found if each.turned.share >= TURNS]
    for each in shown:
        table.add_row(
            Text(visible(each.word)), Text(visible(each.to)), str(each.turned), f"{each.seen:,}"
        )
    if not shown:
        most = f"the most is {found[0].turned.share:.0%}, by {found[0].word!r}" if found else ""
        table.caption = f"none of {len(found)} words turns half of the texts; {most}"
    return table


def _lines(
    examples: Sequence[Labelled], found: Suspicion, ranking: npt.NDArray[np.int64]
) -> Iterator[str]:
    for number in ranking.tolist():
        record = {
            "row": number + 1,
            "score": round(float(found.score[number]), 6),
            "loss": round(float(found.loss[number]), 6),
            "outlier": round(float(found.outlier[number]), 6),
            "label": examples[number].label,
            "text": examples[number].text,
        }
        yield json.dumps(record, ensure_ascii=False) + "\n"
