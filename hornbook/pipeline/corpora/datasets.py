"""What pre-training draws from: windows or packed documents of one corpus, or a mixture of several."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hornbook.errors import HornbookError
from hornbook.model.config import ModelConfig
from hornbook.pipeline.context import Context, Part
from hornbook.sampling.dataset import Dataset
from hornbook.sampling.loader import Loader
from hornbook.sampling.mixture import Mixture
from hornbook.sampling.packing import PackedDocuments
from hornbook.sampling.token_mask import mask_for
from hornbook.sampling.windows import Windows, length_for, make_windows
from hornbook.training.parallel import ALONE, Parallel

IDS_AT_ONCE = 2**24
"""Read into memory where a whole split is looked at."""


def max_length(context: Context, config: ModelConfig) -> int:
    """Tokens of a sample."""
    return context.recipe.sampling.max_length or config.context_length


def train_dataset(context: Context, config: ModelConfig) -> Windows | PackedDocuments | Mixture:
    """The training samples of the only corpus, or of all sources mixed.

    Raises:
        HornbookError: a split is too short, or the mixture's weights give a source less than one
            sample in an epoch.
    """
    windows = {part.name: windows_of(context, config, part, "train") for part in context.parts}
    corpus = context.recipe.corpus
    return windows[""] if "" in windows else Mixture(windows, corpus.weights, corpus.alpha)


def windows_of(
    context: Context, config: ModelConfig, part: Part, split: str
) -> Windows | PackedDocuments:
    """The windows of a split, or rows of its packed documents, as the recipe's sampling says."""
    tokens, sampling = part.store.split(split), context.recipe.sampling
    if sampling.packing == "documents":
        return _packed(context, config, part, split)
    return make_windows(tokens, sampling, config.context_length, part.split_name(split))


def _packed(
    context: Context, config: ModelConfig, part: Part, split: str, limit: int | None = None
) -> PackedDocuments:
    """The documents of a split, of its first `limit` tokens only if given, packed into rows."""
    sampling = context.recipe.sampling
    if sampling.stride is not None:
        raise HornbookError(
            "sampling.stride moves windows over documents in a row, which sampling.packing "
            '"documents" keeps apart; leave one of them out.'
        )
    boundaries = part.store.boundaries(split)
    return PackedDocuments(
        part.store.split(split),
        boundaries if limit is None else np.minimum(boundaries, limit),
        length_for(sampling, config.context_length),
        context.tokenizer.eos_id,
        context.recipe.runtime.seed,
        part.split_name(split),
    )


def met_tokens(context: Context) -> npt.NDArray[np.bool_]:
    """Which tokens the texts trained on have, bool (vocab,); the ids are read once."""
    met = np.zeros(context.tokenizer.vocab_size, np.bool_)
    for part in context.parts:
        tokens = part.store.split("train")
        for start in range(0, len(tokens), IDS_AT_ONCE):
            met[tokens[start : start + IDS_AT_ONCE]] = True
    return met


def train_loader(context: Context, config: ModelConfig, parallel: Parallel = ALONE) -> Loader:
    """Batches of the training samples, this process's share of each."""
    sampling = context.recipe.sampling
    return Loader(
        train_dataset(context, config),
        context.recipe.training.batch_size,
        context.recipe.runtime.seed,
        shuffle=sampling.shuffle,
        drop_last=sampling.drop_last,
        rank=parallel.data_rank,
        world_size=parallel.data_size,
        mask=mask_for(sampling),
    )


def held_out_loaders(
    context: Context, config: ModelConfig, split: str, parallel: Parallel, limit: bool = True
) -> dict[str, Loader]:
    """Of each corpus that has something held out in a split: windows laid end to end over it, the
    last one shorter; or its packed documents, where those are what is trained on.

    With `limit`, all together only as many as an evaluation while training may take.
    """
    parts = [part for part in context.parts if part.store.token_counts[split]]
    sequences = context.recipe.training.eval_sequences if limit else None
    each = None if sequences is None else -(-sequences // max(len(parts), 1))
    return {part.name: _held_out(context, config, part, split, parallel, each) for part in parts}


def _held_out(
    context: Context,
    config: ModelConfig,
    part: Part,
    split: str,
    parallel: Parallel,
    sequences: int | None,
) -> Loader:
    tokens, length = part.store.split(split), max_length(context, config)
    if sequences is not None:
        tokens = tokens[: sequences * length + 1]
    windows: Windows | PackedDocuments
    if context.recipe.sampling.packing == "documents":
        windows = _packed(context, config, part, split, limit=len(tokens))
    else:
        windows = Windows(tokens, length, drop_last=False, name=part.split_name(split))
    batch_size = context.recipe.training.batch_size
    place = parallel.data_rank, parallel.data_size
    return Loader(windows, batch_size, 0, False, False, *place)


def documents_of(context: Context, config: ModelConfig, position: int) -> list[str]:
    """The documents that a batch of the training split, by its `Batch.position`, has tokens of."""
    loader = train_loader(context, config)
    dataset = loader.dataset
    by_part: dict[str, list[int]] = {part.name: [] for part in context.parts}
    for sample in loader.samples(position).tolist():
        name, number = dataset.locate(sample) if isinstance(dataset, Mixture) else ("", sample)
        by_part[name].append(number)
    return [
        line
        for part in context.parts
        for line in _documents_of(context, config, part, by_part[part.name])
    ]


def _documents_of(
    context: Context, config: ModelConfig, part: Part, samples: list[int]
) -> Iterator[str]:
    """The documents that some training samples of one corpus have tokens of."""
    if not samples:
        return
    windows = windows_of(context, config, part, "train")
    starts = part.store.boundaries("train")
    numbers: set[int] = set()
    for sample in samples:
        for start, stop in windows.spans(sample):
            first, last = np.searchsorted(starts, (start, stop - 1), side="right") - 1
            numbers.update(range(first, last + 1))
    ids = part.corpus.ids("train", numbers)
    for number in sorted(ids):
        yield f"{ids[number]} (document {number + 1:,} of {part.split_name('train')})"


def describe_dataset(dataset: Dataset) -> Iterator[str]:
    """What is worth knowing of how samples are made, a line each."""
    if isinstance(dataset, Mixture):
        yield dataset.describe()
        for name, source in dataset.sources.items():
            if isinstance(source, PackedDocuments):
                yield f"{name}: {source.describe()}"
    elif isinstance(dataset, PackedDocuments):
        yield dataset.describe()


def mixture_facts(train: Loader, steps: int) -> dict[str, Any]:
    """Of each source its share of the samples, and how often it is passed through in so many steps."""
    if not isinstance(train.dataset, Mixture):
        return {}
    return {"mixture": shares_of(train.dataset, steps / train.batches_per_epoch)}


def shares_of(mixture: Mixture, epochs: float) -> Mapping[str, dict[str, float]]:
    """As `mixture_facts`, for so many epochs of the mixture."""
    return {
        name: {"share": mixture.shares[name], "epochs": epochs * passes}
        for name, passes in mixture.epochs.items()
    }
