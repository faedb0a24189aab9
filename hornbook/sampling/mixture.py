"""Mixtures: samples of several datasets, each drawn as often as its weight says."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch

from hornbook.errors import HornbookError
from hornbook.sampling.batch import IGNORE
from hornbook.sampling.dataset import Dataset
from hornbook.sampling.windows import FILLER

Integers = npt.NDArray[np.int64]


class Mixture:
    """A dataset of several sources, for the `Loader`.

    An epoch of the mixture draws as many samples as its sources have together, of source i the
    share p_i, in proportion to weight_i ** alpha. Which samples an epoch holds, and in which order,
    is a function of the seed and the epoch alone: every source is walked through in an order of its
    own, anew shuffled for each pass, from one epoch of the mixture into the next, and the draws of
    all sources are then shuffled together. So at the end of every epoch a source's samples have been
    drawn equally often, give or take one, and neighbours in a batch are of shuffled sources.

    Sample numbers run through the sources in the order given, so that an evaluation
    (`Loader.epoch`) takes each sample of each source once.
    """

    def __init__(
        self,
        sources: Mapping[str, Dataset],
        weights: Mapping[str, float] | None = None,
        alpha: float = 1.0,
        pad_id: int = FILLER,
    ) -> None:
        """Mix `sources`, named datasets whose samples may differ in width.

        Args:
            weights: by name; the sources' numbers of samples when not given.
            alpha: the temperature's inverse, 0 to 1: 1 draws in proportion to the weights, 0 equally
                from all; between them small sources are drawn more than their share (Conneau et al.
                2020, XLM-R, §3.1, takes 0.3 for languages).
            pad_id: what narrower samples are filled up with.

        Raises:
            HornbookError: no sources, an empty one, weights that do not name them or are not above
                0, or one so light that an epoch has no sample of it.
        """
        self.sources = dict(sources)
        """The datasets, by name."""
        self._pad_id = pad_id
        sizes = {name: len(source) for name, source in self.sources.items()}
        _require_samples(sizes)
        self.shares = _shares(sizes, sizes if weights is None else weights, alpha)
        """Share of an epoch's samples that each source has, 0 to 1; they sum to 1."""
        self._sizes = np.array(list(sizes.values()), dtype=np.int64)
        self._firsts = np.cumsum(self._sizes) - self._sizes  # each source's first sample number
        self._draws = _whole_numbers(self.shares, int(self._sizes.sum()))

    def __len__(self) -> int:
        return int(self._sizes.sum())

    @property
    def widest(self) -> int:
        """Tokens of the widest batch."""
        return max(source.widest for source in self.sources.values())

    @property
    def same_width(self) -> bool:
        """Whether every batch is that wide."""
        sources = self.sources.values()
        return all(source.same_width and source.widest == self.widest for source in sources)

    @property
    def epochs(self) -> dict[str, float]:
        """How many times each source is passed through in one epoch of the mixture."""
        passes = (self._draws / self._sizes).tolist()
        return dict(zip(self.sources, passes, strict=True))

    def describe(self) -> str:
        """What is mixed, in a few words."""
        parts = (
            f"{name} {self.shares[name]:.1%} ({epochs:.2f} epochs of it in one of the mixture)"
            for name, epochs in self.epochs.items()
        )
        return "a mixture of " + ", ".join(parts)

    def order(self, seed: int, epoch: int, shuffle: bool = True) -> Integers:
        """The samples of an epoch, (samples,), a function of the arguments alone.

        Without `shuffle` every source keeps its own order and all are spread evenly.
        """
        draws = [
            first + self._drawn(number, seed, epoch, shuffle)
            for number, first in enumerate(self._firsts)
        ]
        samples = np.concatenate(draws)
        if not shuffle:
            places = np.concatenate([(np.arange(len(d)) + 0.5) / len(d) for d in draws])
            return samples[np.argsort(places, kind="stable")]
        return _generator(seed, epoch).permutation(samples)

    def source_of(self, indices: Sequence[int] | Integers) -> Integers:
        """Which source, from 0, each sample is of."""
        numbers: Integers = np.searchsorted(self._firsts, np.asarray(indices), side="right") - 1
        return numbers

    def locate(self, index: int) -> tuple[str, int]:
        """The source that a sample is of, and its number there."""
        number = int(self.source_of([index])[0])
        return list(self.sources)[number], index - int(self._firsts[number])

    def collate(self, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets of these samples, each (batch, tokens) int64."""
        parts = [(rows, *source.collate(own)) for rows, own, source in self._by_source(indices)]
        width = max((inputs.shape[1] for _, inputs, _ in parts), default=0)
        inputs = torch.full((len(indices), width), self._pad_id, dtype=torch.int64)
        targets = torch.full((len(indices), width), IGNORE, dtype=torch.int64)
        for rows, read, wanted in parts:
            inputs[rows, : read.shape[1]] = read
            targets[rows, : wanted.shape[1]] = wanted
        return inputs, targets

    def documents(self, indices: Sequence[int]) -> torch.Tensor | None:
        """`Batch.documents`, (batch, tokens) int64, where any of these samples has several."""
        parts = [
            (rows, source.documents(own), own, source)
            for rows, own, source in self._by_source(indices)
        ]
        if all(numbers is None for _, numbers, _, _ in parts):
            return None
        numbered = []
        for rows, numbers, own, source in parts:
            if numbers is None:  # one document a row
                numbers = torch.zeros_like(source.collate(own)[0])
            numbered.append((rows, numbers))
        width = max(numbers.shape[1] for _, numbers in numbered)
        documents = torch.full((len(indices), width), -1, dtype=torch.int64)
        for rows, numbers in numbered:
            documents[rows, : numbers.shape[1]] = numbers
        return documents

    def _by_source(self, indices: Sequence[int]) -> list[tuple[torch.Tensor, list[int], Dataset]]:
        """Of each source with samples among these: their rows in the batch, and their numbers."""
        samples = np.asarray(indices, dtype=np.int64)
        if len(samples) and not (samples.min() >= 0 and samples.max() < len(self)):
            raise IndexError(f"samples are numbered 0 to {len(self) - 1}")
        number_of = self.source_of(samples)
        found = []
        for number, source in enumerate(self.sources.values()):
            rows = np.flatnonzero(number_of == number)
            if len(rows):
                own = (samples[rows] - self._firsts[number]).tolist()
                found.append((torch.from_numpy(rows), own, source))
        return found

    def _drawn(self, number: int, seed: int, epoch: int, shuffle: bool) -> Integers:
        """A source's samples in an epoch of the mixture, numbered within the source."""
        size, draws = int(self._sizes[number]), int(self._draws[number])
        # Of all draws since the first epoch, those that fall into this one.
        begin, end = epoch * draws, (epoch + 1) * draws
        passes = []
        for turn in range(begin // size, -(-end // size)):
            order = _generator(seed, turn, number).permutation(size) if shuffle else np.arange(size)
            passes.append(order[max(begin - turn * size, 0) : end - turn * size])
        return np.concatenate(passes)


def _generator(seed: int, *numbers: int) -> np.random.Generator:
    # numpy takes no negative seed
    return np.random.default_rng([seed % 2**64, *numbers])


def _require_samples(sizes: Mapping[str, int]) -> None:
    if not sizes:
        raise HornbookError("a mixture needs one source or more; there is none.")
    for name, size in sizes.items():
        if size == 0:
            raise HornbookError(f"source {name!r} of the mixture has no samples; leave it out.")


def _shares(
    sizes: Mapping[str, int], weights: Mapping[str, float], alpha: float
) -> dict[str, float]:
    if set(weights) != set(sizes):
        raise HornbookError(
            f"the mixture's weights name {', '.join(map(repr, weights)) or 'nothing'} and its "
            f"sources are {', '.join(map(repr, sizes))}; give every source one weight."
        )
    for name, weight in weights.items():
        if not 0 < weight < float("inf"):
            raise HornbookError(f"the weight of source {name!r} is {weight}; expected above 0.")
    if not 0 <= alpha <= 1:
        raise HornbookError(f"the mixture's alpha is {alpha}; expected 0 to 1.")
    powers = {name: float(weights[name]) ** alpha for name in sizes}
    return {name: power / sum(powers.values()) for name, power in powers.items()}


def _whole_numbers(shares: Mapping[str, float], total: int) -> Integers:
    """Samples of each source in an epoch: its share, rounded so that they sum to `total`."""
    exact = np.array([share * total for share in shares.values()])
    draws: Integers = np.floor(exact).astype(np.int64)
    left = np.argsort(draws - exact, kind="stable")[: total - draws.sum()]  # largest remainders
    draws[left] += 1
    for name, count in zip(shares, draws, strict=True):
        if count == 0:
            raise HornbookError(
                f"source {name!r} has {shares[name]:.2g} of the mixture's weight, less than one of "
                f"the {total:,} samples of an epoch; raise its weight, or leave it out."
            )
    return draws
