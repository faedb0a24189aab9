"""The steps between reading a corpus and splitting it, each accounted for."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hornbook.corpus import decontamination, deduplication
from hornbook.corpus.document import Document
from hornbook.corpus.earlier import ComparedWithEarlier
from hornbook.corpus.labelled import LeaveOut
from hornbook.corpus.privacy import redaction
from hornbook.corpus.privacy.finding import Search
from hornbook.corpus.privacy.redaction import Privacy, PrivacySettings
from hornbook.corpus.quality import settings as quality
from hornbook.corpus.quality.settings import QualitySettings
from hornbook.corpus.readers import corpus_files
from hornbook.corpus.step import Accounted, Measured, SeesAll, Step, Tally

if TYPE_CHECKING:  # which imports torch, of no use to the processes that read
    from hornbook.pipeline.recipe import Recipe


@dataclass
class Count:
    """Documents that came by one place."""

    documents: int = 0
    characters: int = 0

    def through(self, documents: Iterator[Document]) -> Iterator[Document]:
        """Pass documents through, counting them."""
        for document in documents:
            self.documents += 1
            self.characters += len(document.text)
            yield document


@dataclass
class Cleaning:
    """A recipe's steps; made anew for each pass over the corpus.

    The first look at each document alone, so that they may do so in several processes.
    """

    alone: list[Step]
    """Those that look at a document alone."""
    comparing: list[Step] = field(default_factory=list)
    """Those behind them."""
    judging: SeesAll | None = None
    """The one behind these that judges when it has seen all documents."""
    last: list[Step] = field(default_factory=list)
    """Those behind that."""
    read: Count = field(default_factory=Count)
    after: list[Count] = field(default_factory=list)
    """What is left after each step."""

    @property
    def steps(self) -> list[Accounted]:
        """All of them, in order."""
        judging = [] if self.judging is None else [self.judging]
        return [*self.alone, *self.comparing, *judging, *self.last]

    @property
    def search(self) -> Search | None:
        """Finds what must not be shown, where some personal data are not kept."""
        return next((step.search for step in self.steps if isinstance(step, Privacy)), None)

    def __post_init__(self) -> None:
        self.after = [Count() for _ in self.steps]

    def apply_alone(self, documents: Iterator[Document]) -> Iterator[Document]:
        """The documents that stay of those looked at alone, in order."""
        return self._apply(self.alone, 0, self.read.through(documents))

    def apply_comparing(self, documents: Iterator[Document]) -> Iterator[Document]:
        """The documents that stay of those that `apply_alone` has left, in order, where none waits to
        be judged."""
        return self._apply(self.last, len(self.steps) - len(self.last), self._compared(documents))

    def measure(self, documents: Iterator[Document]) -> Iterator[Measured]:
        """The same where all are to be seen: those that stay so far, with what they are judged by."""
        assert self.judging is not None
        return self.judging.measure(self._compared(documents))

    def judge(self, measured: Iterator[Measured]) -> Iterator[Document]:
        """The documents that stay of those that were measured, when all are, in order."""
        assert self.judging is not None
        first = len(self.steps) - len(self.last)
        judged = self.after[first - 1].through(self.judging.judge(measured))
        return self._apply(self.last, first, judged)

    def _compared(self, documents: Iterator[Document]) -> Iterator[Document]:
        return self._apply(self.comparing, len(self.alone), documents)

    def _apply(
        self, steps: list[Step], first: int, documents: Iterator[Document]
    ) -> Iterator[Document]:
        """Through steps of which the first has this place among all."""
        for step, count in zip(steps, self.after[first:], strict=False):
            documents = count.through(step.apply(documents))
        return documents

    def compare_with(self, source: str, documents: Callable[[], Iterator[Document]]) -> None:
        """Remove what an earlier source of a mixture has, too, where duplicates are looked for."""
        for step in self.comparing:
            if isinstance(step, ComparedWithEarlier):
                step.compare_with(source, documents())

    def account(self) -> dict[str, Any]:
        """What the steps that look at documents alone have done, as plain JSON values."""
        return {
            "counts": [asdict(count) for count in (self.read, *self.after[: len(self.alone)])],
            "tallies": [[self._shown(tally) for tally in step.tallies] for step in self.alone],
        }

    def add(self, account: dict[str, Any]) -> None:
        """Count in what these steps did to a later part of the documents elsewhere: see `account`."""
        for count, more in zip((self.read, *self.after), account["counts"], strict=False):
            count.documents += more["documents"]
            count.characters += more["characters"]
        for step, tallies in zip(self.alone, account["tallies"], strict=True):
            for tally, other in zip(step.tallies, tallies, strict=True):
                tally.add(Tally(**other))

    def state(self) -> dict[str, Any]:
        """What all steps have done so far, for `go_on`, as plain JSON values."""
        return {
            "counts": [asdict(count) for count in (self.read, *self.after)],
            "tallies": [[self._shown(tally) for tally in step.tallies] for step in self.steps],
        }

    def go_on(self, state: dict[str, Any]) -> None:
        """Count on from where `state` was taken."""
        for count, before in zip((self.read, *self.after), state["counts"], strict=True):
            count.documents += before["documents"]
            count.characters += before["characters"]
        for step, tallies in zip(self.steps, state["tallies"], strict=True):
            for tally, before in zip(step.tallies, tallies, strict=True):
                tally.add(Tally(**before))

    def facts(self) -> dict[str, Any]:
        """What each step has done, as plain JSON values; complete when the documents are used up."""
        steps = [
            {
                "step": type(step).__name__,
                **asdict(after),
                "tallies": [self._shown(tally) for tally in step.tallies],
            }
            for step, after in zip(self.steps, self.after, strict=True)
        ]
        return {"read": asdict(self.read), "steps": steps}

    def _shown(self, tally: Tally) -> dict[str, Any]:
        """A tally as plain JSON values; where personal data are not kept, no example has any."""
        shown = asdict(tally)
        if self.search is not None:
            shown["examples"] = [
                tuple(map(self.search.redact, example)) for example in tally.examples
            ]
        return shown


def make_cleaning(recipe: "Recipe") -> Cleaning:
    """The steps that a recipe asks for, in the order in which they are of use.

    What makes texts equal comes before what looks for equal texts (two letters that differ in a
    phone number are one letter), what looks at one document only before what compares them all, and
    evaluation texts are looked for in what will really be trained on.
    """
    return Cleaning(
        alone_steps(recipe.quality, recipe.privacy),
        deduplication.make_steps(recipe.deduplication),
        _perplexity(recipe),
        [*decontamination.make_steps(recipe.decontamination), *_held_out(recipe)],
    )


def _perplexity(recipe: "Recipe") -> SeesAll | None:
    if recipe.quality.perplexity_model is None:
        return None
    from hornbook.pipeline.corpora.perplexity_filter import (  # torch
        PerplexityFilter,
        reference_model,
    )

    model = reference_model(recipe.quality.perplexity_model)
    return PerplexityFilter(model, recipe.quality.sigmas)


def alone_steps(
    quality_settings: QualitySettings, privacy: PrivacySettings, workers: int | None = None
) -> list[Step]:
    """The steps that look at each document alone.

    Args:
        workers: processes; as many as there are cores when None.
    """
    return [*quality.make_steps(quality_settings, workers), *redaction.make_steps(privacy, workers)]


def _held_out(recipe: "Recipe") -> list[Step]:
    """What a classifier is validated and tested on is not read in pre-training either."""
    settings = recipe.classification
    if settings.path is None:
        return []
    from hornbook.finetuning.classification import read_splits  # torch

    splits = read_splits(settings, Path(settings.path), recipe.runtime.seed)
    texts = [example.text for example in (*splits.validation, *splits.test)]
    cleaned: Iterator[Document] = (Document(text, str(n)) for n, text in enumerate(texts))
    for step in redaction.make_steps(recipe.privacy):
        cleaned = step.apply(cleaned)
    # As they are, and as they are once personal data are out: that is how the corpus has them.
    return [LeaveOut([*texts, *(document.text for document in cleaned)])] if texts else []


def _labelled_files(recipe: "Recipe") -> dict[str, Path]:
    given = recipe.classification
    if given.path is None:
        return {}
    paths = [path for path in (given.path, given.validation_path, given.test_path) if path]
    return {f"labelled texts: {path}": Path(path) for path in paths}


def cleaning_settings(recipe: "Recipe") -> dict[str, Any]:
    """Everything that decides what the steps do, as plain JSON values."""
    sections = ("quality", "privacy", "deduplication", "decontamination")
    settings = {name: getattr(recipe, name).model_dump(mode="json") for name in sections}
    if recipe.classification.path is not None:
        settings["held_out"] = recipe.classification.splitting()
    return settings


def further_files(recipe: "Recipe") -> dict[str, Path]:
    """The files that cleaning reads besides the corpus, by role.

    Raises:
        HornbookError: an evaluation set or a model is not there.
    """
    files = _labelled_files(recipe)
    if (words := recipe.quality.c4.bad_words) is not None:
        files[f"bad words: {words}"] = Path(words)
    if (model := recipe.quality.perplexity_model) is not None:
        from hornbook.pipeline.corpora.perplexity_filter import reference_manifest  # torch

        files[f"perplexity model: {model}"] = reference_manifest(model)
    return files | {
        f"evaluation: {path}": path
        for source in recipe.decontamination.evaluation_sets
        for path, _ in corpus_files(source)
    }
