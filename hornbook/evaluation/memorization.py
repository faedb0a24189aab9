"""What a model has learnt by heart: secrets planted in its training text, and passages of it.

Carlini et al., *The Secret Sharer: Evaluating and Testing Unintended Memorization in Neural Networks*
(2019): a **canary** is a sentence with a random secret in it. Its **exposure** says how much likelier
the model finds it than the same sentence with other secrets, in bits; about 1 is chance, and log2 of the
number of secrets is the most there can be.
"""

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from hornbook.config import Settings
from hornbook.corpus.document import Document
from hornbook.corpus.ngrams import distinct, ngram_hashes, words_of
from hornbook.evaluation.text_losses import text_losses
from hornbook.inference.generate import GenerationSettings, generate_batch
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime
from hornbook.tokenizing.tokenizer import Tokenizer

SYLLABLES = ("ba", "do", "fi", "ga", "ke", "lu", "mo", "ni", "po", "ra", "se", "tu", "va", "ze")
LEAST_PROBABILITY = 1e-300


class MemorizationSettings(Settings):
    """How `hornbook audit memorization` measures what a training leaves in a model."""

    documents: int = Field(default=1500, ge=1)
    """Documents of the training split that the models are trained on, from its beginning."""
    epochs: float = Field(default=4, gt=0)
    """Passes over them; each model is trained as `training` says otherwise."""
    repeats: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(0, 1, 4, 16), min_length=1)
    """How often canaries are planted among them; 0 for some that are not, to compare with."""
    canaries: int = Field(default=4, ge=1)
    """Canaries for each number of repeats."""
    digits: int = Field(default=6, ge=1, le=18)
    """Decimal digits of a canary's secret."""
    alternatives: int = Field(default=500, ge=10)
    """Other secrets that each canary's is compared with."""
    mask_every: int = Field(default=4, ge=2)
    """One in how many tokens is left untrained, where that is tried."""
    samples: int = Field(default=32, ge=0)
    """Texts that each model writes, to look for passages of the corpus in them."""
    sample_tokens: int = Field(default=100, ge=1)
    """Tokens of each."""
    overlap_words: int = Field(default=8, ge=1)
    """Words in a row that make a passage."""


@dataclass(frozen=True)
class Canary:
    """A sentence with a secret number, to be planted in training text."""

    owner: str
    """A name that no other canary has."""
    secret: str
    """Decimal digits."""
    repeats: int
    """How often it is planted; 0 for one that is only looked for, to compare with."""

    @property
    def prefix(self) -> str:
        """What the model is shown to make it tell the secret."""
        return f"The access code of {self.owner} is"

    @property
    def text(self) -> str:
        """The whole sentence."""
        return f"{self.prefix} {self.secret}."


@dataclass(frozen=True)
class Found:
    """What a model knows of a canary."""

    canary: Canary
    exposure: float
    """Bits, by the distribution of other secrets' losses."""
    rank: int
    """Place among the other secrets that were tried, from 1: the likeliest."""
    extracted: bool
    """Whether the model tells the secret when it is shown what stands before."""


def make_canaries(repeats: Iterable[int], each: int, digits: int, seed: int) -> list[Canary]:
    """`each` canaries for every number of repeats, with secrets of so many digits."""
    rng = random.Random(seed)
    owners: dict[str, None] = {}
    counts = [count for count in repeats for _ in range(each)]
    while len(owners) < len(counts):
        first, last = ("".join(rng.choices(SYLLABLES, k=3)).title() for _ in range(2))
        owners[f"{first} {last}"] = None
    return [
        Canary(owner, _secret(rng, digits), count)
        for owner, count in zip(owners, counts, strict=True)
    ]


def plant(documents: Sequence[Document], canaries: Sequence[Canary], seed: int) -> list[Document]:
    """The documents with each canary among them as often as it says, at random places."""
    rng = random.Random(seed)
    planted = [
        Document(canary.text, f"canary {number} ({repeat + 1})")
        for number, canary in enumerate(canaries)
        for repeat in range(canary.repeats)
    ]
    whole = [*documents, *planted]
    # Places are drawn for the canaries alone: the documents keep their order.
    places = set(rng.sample(range(len(whole)), len(planted)))
    rng.shuffle(planted)
    hidden, others = iter(planted), iter(documents)
    return [next(hidden if place in places else others) for place in range(len(whole))]


def measure_canaries(
    model: Transformer,
    tokenizer: Tokenizer,
    canaries: Sequence[Canary],
    alternatives: int,
    runtime: Runtime,
    seed: int,
) -> list[Found]:
    """Exposure of each canary and whether it can be extracted, by greedy decoding.

    Args:
        alternatives: other secrets that each is compared with.
    """
    rng = random.Random(seed)
    start = [token for token in (tokenizer.eos_id,) if token is not None]
    extracted = _extract(model, tokenizer, canaries, start, runtime)
    found = []
    for canary, told in zip(canaries, extracted, strict=True):
        digits = len(canary.secret)
        secrets = {_secret(rng, digits) for _ in range(alternatives)} - {canary.secret}
        sentences = [replace(canary, secret=secret).text for secret in sorted(secrets)]
        ids = tokenizer.encode_batch([canary.text, *sentences])
        losses = text_losses(model, [[*start, *row] for row in ids], runtime).nats
        rank = 1 + int((losses[1:] < losses[0]).sum())
        exposure = exposure_by_distribution(losses[0], losses[1:], digits * math.log2(10))
        found.append(Found(canary, exposure, rank, told == canary.secret))
    return found


def _extract(
    model: Transformer,
    tokenizer: Tokenizer,
    canaries: Sequence[Canary],
    start: list[int],
    runtime: Runtime,
) -> list[str]:
    """What the model says in the place of each secret."""
    prompts = [[*start, *tokenizer.encode(canary.prefix)] for canary in canaries]
    most = max((len(canary.secret) for canary in canaries), default=0) + 2  # a blank, and more
    greedy = GenerationSettings(max_new_tokens=most, temperature=0)
    told = generate_batch(model, prompts, greedy, (), runtime)
    return [
        tokenizer.decode(ids).strip()[: len(canary.secret)]
        for ids, canary in zip(told, canaries, strict=True)
    ]


def exposure_by_sampling(loss: float, others: npt.NDArray[np.float64]) -> float:
    """-log2 of the share of secrets at least as likely, in bits; itself is one of them.

    Carlini et al. (2019), section 4.3, "approximation by sampling": at most log2(others + 1).
    """
    return math.log2(len(others) + 1) - math.log2(1 + int((others < loss).sum()))


def exposure_by_distribution(loss: float, others: npt.NDArray[np.float64], most: float) -> float:
    """-log2 of the probability that another secret is as likely, in bits, at most `most`.

    Carlini et al. (2019), section 4.3, "approximation by distribution modeling": a skew-normal
    distribution is fitted to the losses of other secrets.
    """
    from scipy.stats import skew, skewnorm  # type: ignore[import-untyped]  # slow to import

    scale = float(others.std())
    if scale == 0:
        return exposure_by_sampling(loss, others)
    # Fitted by moments: quick, and as good here; a skew-normal has a skewness below 0.995.
    third = min(max(float(skew(others)), -0.99), 0.99)
    share = abs(third) ** (2 / 3)
    delta = math.sqrt(math.pi / 2 * share / (share + ((4 - math.pi) / 2) ** (2 / 3)))
    delta = math.copysign(min(delta, 0.999), third)
    omega = scale / math.sqrt(1 - 2 * delta**2 / math.pi)
    centre = float(others.mean()) - omega * delta * math.sqrt(2 / math.pi)
    shape = delta / math.sqrt(1 - delta**2)
    below = float(skewnorm.cdf(loss, shape, loc=centre, scale=omega))
    return min(-math.log2(max(below, LEAST_PROBABILITY)), most)


class NgramIndex:
    """All n-grams of words of a corpus, to find passages that come from it.

    Memory: 8 bytes for each different n-gram, twice that while it is made.
    """

    def __init__(self, texts: Iterable[str], length: int) -> None:
        """Index n-grams of `length` words; words are compared as `words_of` gives them."""
        self.length = length
        parts = [distinct(self._hashes(text)) for text in texts]
        self._hashed = distinct(np.concatenate([np.zeros(0, dtype=np.uint64), *parts]))

    def covered(self, text: str) -> tuple[int, int]:
        """How many words of a text lie in an n-gram of the corpus, and how many it has."""
        hashes = self._hashes(text)
        words = len(words_of(text))
        inside = np.zeros(words, dtype=bool)
        for start in np.flatnonzero(np.isin(hashes, self._hashed)):
            inside[start : start + self.length] = True
        return int(inside.sum()), words

    def share(self, texts: Iterable[str]) -> float:
        """The share of words that lie in an n-gram of the corpus, over all texts; 0 of nothing."""
        counts = [self.covered(text) for text in texts]
        total = sum(words for _, words in counts)
        return sum(inside for inside, _ in counts) / total if total else 0.0

    def _hashes(self, text: str) -> npt.NDArray[np.uint64]:
        words = words_of(text)
        # Python's own hashes: the same for the same word within a process.
        numbers = np.fromiter(map(hash, words), np.int64, len(words)).view(np.uint64)
        return ngram_hashes(numbers, np.array([len(words)]), self.length)[0]


def _secret(rng: random.Random, digits: int) -> str:
    return "".join(rng.choices("0123456789", k=digits))
