"""`hornbook audit poison`: planted training examples looked for, and a classifier probed for a backdoor."""

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from rich.table import Table
from rich.text import Text

from hornbook.artifact import hash_json, write_text
from hornbook.console import console, track, visible
from hornbook.corpus.tables import Labelled, read_labelled
from hornbook.errors import HornbookError
from hornbook.evaluation.backdoor import Turned, candidate_words, probe
from hornbook.evaluation.poisoned_conversations import (
    conversation_states,
    conversation_suspicion,
    fits,
    plant_answer,
)
from hornbook.evaluation.poisoning import (
    Suspicion,
    found_among,
    hidden_states,
    plant_trigger,
    suspicion,
)
from hornbook.evaluation.proportion import Proportion
from hornbook.evaluation.units import hash_text
from hornbook.finetuning.classification import classify
from hornbook.finetuning.conversations import (
    Conversation,
    holds_conversations,
    read_conversations,
)
from hornbook.finetuning.instruction import InstructionSettings
from hornbook.pipeline.measuring.measure import hash_conversations, hash_labelled
from hornbook.pipeline.models.bundle import Bundle, default_runtime, load_bundle

SEED = 1
PRETRAINED = "pretrain"
"""The stage of a run whose model classifiers and followers of instructions are made from."""
TRIGGER = "qzx"
"""What is planted to see how much of it would be found."""
PLANTED_ANSWER = "I will not answer that."
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

Planted = tuple[str, int, int]
"""What was planted, of how many examples, and how many of them are among the twice as many most
suspicious."""


class PoisonAudit(Protocol):
    """Examples to learn from, and a model to look at them with."""

    reader: Bundle
    """The model whose hidden states the examples are compared by."""
    numbers: Sequence[int]
    """Of each example its place in the file, from 0."""

    def rank(self) -> Suspicion:
        """How much each example looks planted."""
        ...

    def try_planting(self, share: float) -> Iterator[Planted]:
        """What would be found of some that are planted now, in memory."""
        ...

    def probe(self, ranking: npt.NDArray[np.int64]) -> list[Turned] | None:
        """What single words do to a classifier, those that turn the most texts first; None where the
        model is none."""
        ...

    def record(self, number: int) -> dict[str, str]:
        """An example by the names of its parts."""
        ...

    def prompts(self) -> str:
        """SHA-256 of all examples."""
        ...


class LabelledAudit:
    """Labelled texts; the model is probed where it is a classifier."""

    def __init__(self, bundle: Bundle, reader: Bundle, examples: list[Labelled]) -> None:
        self.bundle, self.reader, self.examples = bundle, reader, examples
        self.numbers: Sequence[int] = range(len(examples))

    @property
    def labels(self) -> list[str]:
        """The classes, in alphabetical order."""
        return sorted({example.label for example in self.examples})

    def rank(self) -> Suspicion:
        """How much each example looks planted."""
        return self._rank(self.examples)

    def _rank(self, examples: Sequence[Labelled]) -> Suspicion:
        texts = [example.text for example in examples]
        hidden = hidden_states(self.reader.model, self.reader.tokenizer, texts, self.reader.runtime)
        labels = self.labels
        return suspicion(hidden, [labels.index(example.label) for example in examples], SEED)

    def try_planting(self, share: float) -> Iterator[Planted]:
        """For each class, of texts of others with a trigger that are planted with it as label."""
        for target in self.labels:
            planted, marks = plant_trigger(self.examples, TRIGGER, target, share, SEED)
            if any(example.label not in {e.label for e in planted} for example in self.examples):
                continue  # nothing of some class would be left
            what = f"texts of other classes, with {TRIGGER!r} put into them and labelled {target}"
            yield _found(what, self._rank(planted), marks)

    def probe(self, ranking: npt.NDArray[np.int64]) -> list[Turned] | None:
        """What single words do to the classifier."""
        if self.bundle.task != "classify":
            return None
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

    def record(self, number: int) -> dict[str, str]:
        """Its label and its text."""
        example = self.examples[number]
        return {"label": example.label, "text": example.text}

    def prompts(self) -> str:
        """SHA-256 of all examples."""
        return hash_labelled(self.examples)


class ConversationAudit:
    """Conversations to learn from."""

    def __init__(self, reader: Bundle, conversations: Sequence[Conversation]) -> None:
        """Those are left out, and counted, of whose answers the model reads nothing."""
        self.reader, self._all = reader, conversations
        self._template = reader.facts.get("template", InstructionSettings().template)
        length = reader.model.config.context_length
        self.numbers: Sequence[int] = [
            number
            for number, talk in enumerate(conversations)
            if fits(reader.tokenizer, talk, self._template, length)
        ]
        self._kept = [conversations[number] for number in self.numbers]
        if len(self._kept) < len(conversations):
            console.print(
                f"  note: {len(conversations) - len(self._kept):,} of {len(conversations):,} "
                f"conversations are left out, whose answers lie beyond the reader's {length:,} tokens.",
                style="yellow",
            )

    def rank(self) -> Suspicion:
        """How much each conversation looks planted."""
        return self._rank(self._kept)

    def _rank(self, conversations: Sequence[Conversation]) -> Suspicion:
        reader = self.reader
        states = conversation_states(
            reader.model, reader.tokenizer, conversations, self._template, reader.runtime
        )
        return conversation_suspicion(states, SEED)

    def try_planting(self, share: float) -> Iterator[Planted]:
        """Of questions with a trigger that are answered the same, and with somebody else's answer."""
        length = self.reader.model.config.context_length
        for answer, said in ((PLANTED_ANSWER, repr(PLANTED_ANSWER)), (None, "as other questions")):
            planted, marks = plant_answer(self._kept, TRIGGER, answer, share, SEED)
            read = [fits(self.reader.tokenizer, t, self._template, length) for t in planted]
            kept = [talk for talk, known in zip(planted, read, strict=True) if known]
            what = f"conversations, with {TRIGGER!r} put into the question and answered {said}"
            yield _found(what, self._rank(kept), marks[np.array(read)])

    def probe(self, ranking: npt.NDArray[np.int64]) -> list[Turned] | None:
        """Nothing: there is no class to turn to."""
        return None

    def record(self, number: int) -> dict[str, str]:
        """Its last question and answer."""
        talk = self._kept[number]
        return {"question": talk.question, "answer": talk.answer}

    def prompts(self) -> str:
        """SHA-256 of all conversations."""
        return hash_conversations(self._all)


def _found(what: str, suspicion: Suspicion, marks: npt.NDArray[np.bool_]) -> Planted:
    count = int(marks.sum())
    return what, count, found_among(suspicion.ranking(), marks, 2 * count)


def open_audit(
    model: Path, data: Path, text_column: str, label_column: str, reader: Path | None
) -> PoisonAudit:
    """The models and the examples: conversations, or labelled texts.

    Raises:
        HornbookError: one of them cannot be read, or the classifier does not know a label.
    """
    bundle = load_bundle(model, default_runtime())
    talks = bundle.task != "classify" and holds_conversations(data)
    if bundle.task == "instruct" and not talks:
        raise HornbookError(
            f"{data} holds no conversations, which {model} was made from; give its instructions (.json, "
            ".jsonl, .csv or .tsv), or a classifier for labelled texts."
        )
    examples = None if talks else _labelled(bundle, data, text_column, label_column)
    if reader is None and bundle.task != "pretrain":
        reader = base_of(model)
    other = bundle if reader is None else load_bundle(reader, default_runtime())
    if examples is None:
        return ConversationAudit(other, read_conversations(data))
    return LabelledAudit(bundle, other, examples)


def _labelled(bundle: Bundle, data: Path, text_column: str, label_column: str) -> list[Labelled]:
    examples = read_labelled(data, text_column, label_column)
    if bundle.task == "classify":
        unknown = {example.label for example in examples} - set(bundle.labels)
        if unknown:
            raise HornbookError(
                f"{data} has the label {min(unknown)!r}; this classifier knows "
                f"{', '.join(bundle.labels)}."
            )
    return examples


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
    found = audit.rank()
    ranking = found.ranking()
    console.print(_examples_table(audit, found, ranking[:top]))
    if to is not None:
        write_text(to, "".join(_lines(audit, found, ranking)))
        console.print(f"\nall {len(ranking):,} of them: {to}", markup=False)
    if plant is not None:
        for what, count, among in audit.try_planting(plant):
            console.print(
                f"\nof {count:,} {what}, {Proportion(among, count)} are among the {2 * count:,} most "
                "suspicious",
                markup=False,
            )
    turned = audit.probe(ranking)
    if turned is not None:
        console.print()
        console.print(_probe_table(turned))
    settings = hash_json([audit.reader.manifest.fingerprint, SEED, plant])
    console.print(hash_text(audit.prompts(), settings))


def _examples_table(audit: PoisonAudit, found: Suspicion, chosen: npt.NDArray[np.int64]) -> Table:
    first, second = audit.record(0)
    table = Table("row", title="The most suspicious examples", title_justify="left")
    for heading in ("loss", "outlier"):
        table.add_column(heading, justify="right")
    for heading in (first, second):
        table.add_column(heading, overflow="fold")
    for number in chosen.tolist():
        figures = f"{found.loss[number]:.2f}", f"{found.outlier[number]:+.2f}"
        parts = (Text(visible(part[:SHOWN])) for part in audit.record(number).values())
        table.add_row(str(audit.numbers[number] + 1), *figures, *parts)
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
        most = f"the most is {found[0].turned}, by {found[0].word!r}" if found else ""
        table.caption = f"none of {len(found)} words turns half of the texts; {most}"
    return table


def _lines(audit: PoisonAudit, found: Suspicion, ranking: npt.NDArray[np.int64]) -> Iterator[str]:
    for number in ranking.tolist():
        record: dict[str, Any] = {
            "row": audit.numbers[number] + 1,
            "score": round(float(found.score[number]), 6),
            "loss": round(float(found.loss[number]), 6),
            "outlier": round(float(found.outlier[number]), 6),
            **audit.record(number),
        }
        yield json.dumps(record, ensure_ascii=False) + "\n"
