"""Documents that a small reference model finds far harder to predict than the others, left out.

After Wenzek et al., *CCNet* (2020), who sort documents by perplexity, and the rule of three standard
deviations. The rule is applied to the logarithm of the perplexity, the loss in nats a token: a single
document of noise has a perplexity so large that it would raise the standard deviation above everything.
"""

import json
import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from hornbook.artifact import MANIFEST
from hornbook.console import console
from hornbook.corpus.document import Document
from hornbook.corpus.parallel import batched
from hornbook.corpus.step import OneTally, SeesAll
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


class PerplexityFilter(OneTally, SeesAll):
    """Removes documents whose log-perplexity is more than `sigmas` deviations above the mean.

    Two passes: all documents are scored, and wait in a temporary file (in the folder that TMPDIR
    names, as large as the corpus) until the mean is known. Of each document, up to 32,768 characters
    are scored. Memory: the model, and up to 256 documents of together 260,000 characters, or one
    that is larger.
    """

    def __init__(self, bundle: Bundle, sigmas: float) -> None:
        """`bundle` is the reference model, with its own tokenizer."""
        super().__init__("perplexity")
        self._bundle, self._sigmas = bundle, sigmas

    def apply(self, documents: Iterator[Document]) -> Iterator[Document]:
        """The documents that stay; the first comes when the last has been scored.

        Raises:
            HornbookError: the temporary file cannot be written.
        """
        with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
            spread = Spread()
            for batch in batched(self._counted(documents), BATCH_DOCUMENTS, BATCH_CHARACTERS):
                for document, loss in zip(batch, self._losses(batch), strict=True):
                    if not math.isnan(loss):
                        spread.add(loss)
                    _keep(file, document, loss)
            limit = spread.mean + self._sigmas * spread.deviation
            self._tell(spread, limit)
            file.seek(0)
            for line in file:
                document, loss = _kept(line)
                if loss > limit:
                    why = f"perplexity {_exp(loss)}, above {_exp(limit)}"
                    self._tally.remove(document, why)
                else:
                    yield document

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

    def _tell(self, spread: Spread, limit: float) -> None:
        if spread.count:
            console.print(
                f"  perplexity of {spread.count:,} documents: {_exp(spread.mean)} in the middle; "
                f"those above {_exp(limit)} are left out",
                style="dim",
            )


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


def _keep(file: IO[str], document: Document, loss: float) -> None:
    record = [document.text, document.id, document.source, dict(document.metadata), loss]
    try:
        file.write(json.dumps(record, default=str) + "\n")
    except OSError as error:
        raise HornbookError(
            f"{tempfile.gettempdir()}: no place for the documents that quality.perplexity_model "
            f"looks at: {error.strerror}; make room or set TMPDIR."
        ) from None


def _kept(line: str) -> tuple[Document, float]:
    text, name, source, metadata, loss = json.loads(line)
    return Document(text, name, source, metadata), loss


def _exp(loss: float) -> str:
    """A loss as a perplexity."""
    return f"{math.exp(min(loss, 700)):,.4g}"
