"""What the training stages of one run share."""

from dataclasses import dataclass
from pathlib import Path

import torch

from hornbook.checkpoints.store import LoadedModel
from hornbook.pipeline.corpora.corpus import Corpus
from hornbook.pipeline.recipe import Recipe
from hornbook.pipeline.workspace import SOURCES, Workspace
from hornbook.processes import ONE, Processes
from hornbook.runtime import Runtime
from hornbook.sampling.token_store import TokenStore
from hornbook.tokenizing.tokenizer import Tokenizer


@dataclass(frozen=True)
class Part:
    """One corpus of a run, and its tokens."""

    name: str
    """"" where it is the only one."""
    corpus: Corpus
    store: TokenStore

    def split_name(self, split: str) -> str:
        """One of its splits, as an error message calls it."""
        return f"the {split} split of {self.name}" if self.name else f"the {split} split"


@dataclass(frozen=True)
class Context:
    """The recipe, where the run is kept, and what the stages before training have made."""

    recipe: Recipe
    workspace: Workspace
    runtime: Runtime
    tokenizer: Tokenizer
    parts: tuple[Part, ...]
    """One, or the sources of a mixture; none where a run only fine-tunes a model that is there
    already."""
    base: LoadedModel | None = None
    """The model that the run starts from, if not from fresh weights."""
    processes: Processes = ONE

    @property
    def kept_on(self) -> torch.device:
        """Where the weights lie of a model that is only known, not computed with, in a stage.

        Of several processes none keeps them: what a training needs of them it reads by itself.
        """
        return self.runtime.device if self.processes.world_size == 1 else torch.device("meta")

    def example_file(self, name: str) -> Path | None:
        """The sample world's labelled or instruction set, where it is among the corpora."""
        return next(filter(None, (part.corpus.example_file(name) for part in self.parts)), None)

    def token_counts(self, split: str) -> int:
        """How many tokens all parts together have in a split."""
        return sum(part.store.token_counts[split] for part in self.parts)

    def fingerprints(self) -> dict[str, str]:
        """Those of all token stores, by where they stand in the run's directory."""
        return {place(part.name, "tokens"): part.store.fingerprint for part in self.parts}


def place(part: str, stage: str) -> str:
    """Where a part's stage stands in the run's directory."""
    return f"{SOURCES}/{part}/{stage}" if part else stage
