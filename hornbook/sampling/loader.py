"""Batches in an order that hangs on seed, epoch and index alone, so that a run can be resumed."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from hornbook.errors import HornbookError
from hornbook.sampling.batch import IGNORE, Batch
from hornbook.sampling.dataset import Dataset, OwnOrder, Referenced
from hornbook.sampling.token_mask import TokenMask


class Loader:
    """Draws batches from a dataset, epoch after epoch.

    Which samples batch number p holds is a function of the seed and p. Neither the number of
    processes nor where a run was interrupted changes it: each of `world_size` processes takes
    its share of every batch, and their shares side by side are the batch of one process.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        seed: int,
        shuffle: bool = True,
        drop_last: bool = True,
        rank: int = 0,
        world_size: int = 1,
        mask: TokenMask | None = None,
    ) -> None:
        """Prepare to draw batches of `batch_size` samples, over all processes together.

        Args:
            mask: leaves some of the targets out.

        Raises:
            HornbookError: no sample, fewer than one batch of them with `drop_last`, or a batch
                size that `world_size` does not divide.
        """
        self.batches_per_epoch = count_batches(len(dataset), batch_size, drop_last)
        """Batches that `batches` draws in one epoch."""
        _require_shares(batch_size, world_size)
        self.dataset = dataset
        """What is drawn from."""
        self._batch_size, self._seed = batch_size, seed
        self._shuffle, self._rank, self._world_size = shuffle, rank, world_size
        self._mask = mask
        self.rows = batch_size // world_size
        """Samples of this process's share of a batch."""

    def batches(self, start: int = 0) -> Iterator[Batch]:
        """Batches without end, from epoch to epoch.

        Args:
            start: `Batch.position` of the last batch consumed. What was drawn before it is not
                walked through.
        """
        first_epoch, first = divmod(start, self.batches_per_epoch)
        for epoch in itertools.count(first_epoch):
            order = self.order(epoch)
            for number in range(first, self.batches_per_epoch):
                yield self._batch(order, number, epoch * self.batches_per_epoch + number + 1)
            first = 0

    def epoch(self) -> Iterator[Batch]:
        """One pass over all samples in their own order, the short last batch too: to evaluate."""
        order = np.arange(len(self.dataset))
        for number in range(-(-len(order) // self._batch_size)):
            yield self._batch(order, number, number + 1)

    def order(self, epoch: int) -> npt.NDArray[np.int64]:
        """The samples in the order of an epoch, (samples,)."""
        if isinstance(self.dataset, OwnOrder):
            return self.dataset.order(self._seed, epoch, self._shuffle)
        if not self._shuffle:
            return np.arange(len(self.dataset))
        # numpy takes no negative seed
        generator = np.random.default_rng([self._seed % 2**64, epoch])
        return generator.permutation(len(self.dataset))

    def samples(self, position: int) -> npt.NDArray[np.int64]:
        """Which samples the batch of this `Batch.position` holds, over all processes; (batch,)."""
        epoch, number = divmod(position - 1, self.batches_per_epoch)
        return self.order(epoch)[number * self._batch_size :][: self._batch_size]

    def share(self, samples: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """This process's of the samples of a whole batch."""
        return np.array_split(samples, self._world_size)[self._rank]

    def _batch(self, order: npt.NDArray[np.int64], number: int, position: int) -> Batch:
        whole = order[number * self._batch_size :][: self._batch_size]
        share = self.share(whole)
        rows = -(-len(whole) // self._world_size)
        missing = rows - len(share)  # in a short batch: all processes compute as many rows
        samples = [*share.tolist(), *[int(whole[0])] * missing]
        inputs, targets = self.dataset.collate(samples)
        targets[len(share) :] = IGNORE
        if self._mask is not None:
            targets = self._mask.apply(inputs, targets)
        dataset = self.dataset
        reference = dataset.reference(samples) if isinstance(dataset, Referenced) else None
        return Batch(inputs, targets, position, dataset.documents(samples), reference)


def count_batches(samples: int, batch_size: int, drop_last: bool) -> int:
    """Batches that so many samples make in an epoch.

    Raises:
        HornbookError: there is not one.
    """
    _require_batches(samples, batch_size, drop_last)
    full, rest = divmod(samples, batch_size)
    return full + (not drop_last and rest > 0)


def _require_batches(samples: int, batch_size: int, drop_last: bool) -> None:
    if batch_size < 1:
        raise HornbookError(f"batch_size is {batch_size}; expected 1 or more.")
    if samples == 0:
        raise HornbookError("there are no samples to draw from; give more text or examples.")
    if drop_last and samples < batch_size:
        raise HornbookError(
            f"there are {samples} samples, which is less than one batch of {batch_size}; lower "
            f"batch_size to {samples} or below, or give more text or examples."
        )


def _require_shares(batch_size: int, world_size: int) -> None:
    if batch_size % world_size == 0:
        return
    below = batch_size // world_size * world_size
    sizes = [str(size) for size in (below, below + world_size) if size]
    processes: list[Any] = [n for n in range(1, batch_size + 1) if batch_size % n == 0]
    raise HornbookError(
        f"batch_size {batch_size} cannot be shared by {world_size} processes; take a batch_size "
        f"of {' or '.join(sizes)}, or {', '.join(map(str, processes))} processes."
    )
