"""The steps between reading a corpus and splitting it, each accounted for."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hornbook.corpus import decontamination, deduplication
from hornbook.corpus.document import Document
from hornbook.corpus.privacy import redaction
from hornbook.corpus.privacy.redaction import Privacy
from hornbook.corpus.quality import settings as quality
from hornbook.corpus.readers import corpus_files
from hornbook.corpus.step import Step, Tally
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
    """A recipe's steps; made anew for each pass over the corpus."""

    steps: list[Step]
    read: Count = field(default_factory=Count)
    after: list[Count] = field(default_factory=list)

    def apply(self, documents: Iterator[Document]) -> Iterator[Document]:
        """The documents that stay, in order."""
        documents = self.read.through(documents)
        for step in self.steps:
            self.after.append(Count())
            documents = self.after[-1].through(step.apply(documents))
        return documents

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
        privacy = next((step for step in self.steps if isinstance(step, Privacy)), None)
        shown = asdict(tally)
        if privacy is not None:
            shown["examples"] = [
                (name, privacy.redact(excerpt), privacy.redact(why))
                for name, excerpt, why in tally.examples
            ]
        return shown


def make_cleaning(recipe: Recipe) -> Cleaning:
    """The steps that a recipe asks for, in the order in which they are of use.

    What makes texts equal comes before what looks for equal texts (two letters that differ in a
    phone number are one letter), what looks at one document only before what compares them all, and
    evaluation texts are looked for in what will really be trained on.
    """
    return Cleaning(
        [
            *quality.make_steps(recipe.quality),
            *redaction.make_steps(recipe.privacy),
            *deduplication.make_steps(recipe.deduplication),
            *_perplexity(recipe),
            *decontamination.make_steps(recipe.decontamination),
        ]
    )


def _perplexity(recipe: Recipe) -> list[Step]:
    if recipe.quality.perplexity_model is None:
        return []
    from hornbook.pipeline.perplexity_filter import PerplexityFilter, reference_model  # torch

    model = reference_model(recipe.quality.perplexity_model)
    return [PerplexityFilter(model, recipe.quality.sigmas)]


def cleaning_settings(recipe: Recipe) -> dict[str, Any]:
    """Everything that decides what the steps do, as plain JSON values."""
    sections = ("quality", "privacy", "deduplication", "decontamination")
    return {name: getattr(recipe, name).model_dump(mode="json") for name in sections}


def further_files(recipe: Recipe) -> dict[str, Path]:
    """The files that cleaning reads besides the corpus, by role.

    Raises:
        HornbookError: an evaluation set or a model is not there.
    """
    files: dict[str, Path] = {}
    if (words := recipe.quality.c4.bad_words) is not None:
        files[f"bad words: {words}"] = Path(words)
    if (model := recipe.quality.perplexity_model) is not None:
        from hornbook.pipeline.perplexity_filter import reference_manifest  # torch

        files[f"perplexity model: {model}"] = reference_manifest(model)
    return files | {
        f"evaluation: {path}": path
        for source in recipe.decontamination.evaluation_sets
        for path, _ in corpus_files(source)
    }
