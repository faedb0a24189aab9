"""Documents that a small reference model finds far harder to predict than the others, left out.

After Wenzek et al., *CCNet* (2020), who sort documents by perplexity, and the rule of three standard
deviations. The rule is applied to the logarithm of the perplexity, the loss in nats a token: a single
document of noise has a perplexity so large that it would raise the standard deviation above everything.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hornbook.artifact import MANIFEST
from hornbook.console import console
from hornbook.corpus.document import Document
from hornbook.corpus.parallel import batched
from hornbook.corpus.step import Measured, SeesAll
from hornbook.errors import HornbookError
from hornbook.evaluation.text_losses import text_losses
from hornbook.pipeline.models.bundle import ADAPTER, MODEL, Bundle, default_runtime, load_bundle

BATCH_DOCUMENTS, BATCH_CHARACTERS = 256, 2**18
"""Documents that are scored together: as many as fill one of both."""
SCORED_CHARACTERS = 2**15
"""Of each document, from its beginning: enough to know it by."""


@dataclass
class Spread:
    """Mean and standard deviation of numbers that come one at a time (Welford 1962)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    """Sum of the squared distances from the mean."""

    def add(self, number: float) -> None:
        """Take one more into account."""
        self.count += 1
        step = number - self.mean
        self.mean += step / self.count
        self.squares += step * (number - self.mean)

    @property
    def deviation(self) -> float:
        """Standard deviation of those seen; 0 of none."""
        return math.sqrt(self.squares / self.count) if self.count else 0.0


class PerplexityFilter(SeesAll):
    """Removes documents whose log-perplexity is more than `sigmas` deviations above the mean.

    Of each document, up to 32,768 characters are scored. Memory: the model, and up to 256 documents of
    together 260,000 characters, or one that is larger.
    """

    def __init__(self, bundle: Bundle, sigmas: float) -> None:
        """`bundle` is the reference model, with its own tokenizer."""
        super().__init__("perplexity")
        self._bundle, self._sigmas = bundle, sigmas
        self._spread = Spread()
        self._told = False

    def measure(self, documents: Iterator[Document]) -> Iterator[Measured]:
        """Each document with its loss in nats a token; nan where there is no token."""
        for batch in batched(self._counted(documents), BATCH_DOCUMENTS, BATCH_CHARACTERS):
            for document, loss in zip(batch, self._losses(batch).tolist(), strict=True):
                if not math.isnan(loss):
                    self._spread.add(loss)
                yield document, loss

    def judge(self, measured: Iterator[Measured]) -> Iterator[Document]:
        """The documents whose loss is not above what the mean and the deviation of all allow."""
        limit = self._spread.mean + self._sigmas * self._spread.deviation
        self._tell(limit)
        for document, loss in measured:
            if loss > limit:
                self._tally.remove(document, f"perplexity {_exp(loss)}, above {_exp(limit)}")
            else:
                yield document

    def take_notes(self) -> None:
        """See `Remembering`: there is nothing to begin with."""

    def notes(self) -> dict[str, npt.NDArray[np.float64]]:
        """Count, mean and squares of all losses so far."""
        return {"spread": np.array(astuple(self._spread))}

    def learn(self, notes: Mapping[str, npt.NDArray[Any]]) -> None:
        """See `Remembering`; the last notes hold all of it."""
        count, mean, squares = notes["spread"].tolist()
        self._spread = Spread(int(count), mean, squares)

    def _losses(self, documents: list[Document]) -> npt.NDArray[np.float64]:
        """Nats a token of each, its first one included; nan where there is no token."""
        tokenizer = self._bundle.tokenizer
        start = tokenizer.bos_id if tokenizer.bos_id is not None else tokenizer.eos_id
        before = [] if start is None else [start]
        texts = tokenizer.encode_batch(
            [document.text[:SCORED_CHARACTERS] for document in documents]
        )
        whole = [[*before, *ids] for ids in texts]
        return text_losses(self._bundle.model, whole, self._bundle.runtime).loss

    def _tell(self, limit: float) -> None:
        if self._spread.count and not self._told:
            console.print(
                f"  perplexity of {self._spread.count:,} documents: {_exp(self._spread.mean)} in the "
                f"middle; those above {_exp(limit)} are left out",
                style="dim",
            )
        self._told = True


def reference_model(path: str) -> Bundle:
    """The model of the setting `quality.perplexity_model`.

    Raises:
        HornbookError: there is none, or it is a classifier.
    """
    bundle = load_bundle(Path(path), default_runtime())
    if bundle.task == "classify":
        bundle.require_task("pretrain", "tell how probable a text is")
    return bundle


def reference_manifest(path: str) -> Path:
    """The file that names the SHA-256 of all of that model's files."""
    folder = Path(path)
    found = [f / MANIFEST for f in (folder / ADAPTER, folder / MODEL, folder) if f.is_dir()]
    for manifest in found:
        if manifest.is_file():
            return manifest
    raise HornbookError(
        f"quality.perplexity_model: {path} is no model; give a folder such as runs/NAME/pretrain."
    )


def _exp(loss: float) -> str:
    """A loss as a perplexity."""
    return f"{math.exp(min(loss, 700)):,.4g}"
