"""A classifier asked whether single words turn its answers: the probe for a backdoor.

Words that came with one class only are put into texts of the other classes. A word that says
something about the class ("free" in a message) turns some of them; a planted trigger turns nearly all,
though it says nothing.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hornbook.corpus.tables import Labelled
from hornbook.evaluation.poisoning import insert_word
from hornbook.evaluation.proportion import Proportion

Classify = Callable[[Sequence[str]], npt.NDArray[np.float64]]
"""Probabilities (texts, classes) of texts."""


@dataclass(frozen=True)
class Turned:
    """What a word does to a classifier."""

    word: str
    to: str
    """The class that texts with it are taken for."""
    turned: Proportion
    """Texts of other classes, rightly classified without it, that it turns to that class."""
    seen: int
    """Training examples of that class with the word."""


def candidate_words(
    examples: Sequence[Labelled], label: str, most: int, suspicious: Sequence[int] = ()
) -> list[tuple[str, int]]:
    """Words that training examples of one class have and others have not, and how many have them.

    The words of the suspicious examples come first, then those with the most examples of the class
    for each one of another class.

    Args:
        suspicious: numbers of the examples that look planted.
    """
    inside: Counter[str] = Counter()
    outside: Counter[str] = Counter()
    for example in examples:
        (inside if example.label == label else outside).update(set(example.text.split()))
    marked = Counter(
        word
        for number in suspicious
        if examples[number].label == label
        for word in set(examples[number].text.split())
    )

    def strength(word: str) -> tuple[float, str]:
        expected = inside[word] + outside[word]
        lift = (inside[word] + marked[word] * 4) / (outside[word] + 1)
        return (-lift if expected > 1 else 0.0, word)

    return [(word, inside[word]) for word in sorted(inside, key=strength)[:most]]


def probe(
    classify: Classify,
    labels: Sequence[str],
    candidates: Sequence[tuple[str, int]],
    target: str,
    texts: Sequence[str],
    seed: int,
) -> Iterator[Turned]:
    """What each word does, one at a time.

    Args:
        labels: names of the classes, in the order of the columns.
        candidates: words, each with the number of training examples that have it.
        texts: of other classes; those that are taken for `target` without any word are left out.
    """
    column = labels.index(target)
    honest = [
        text
        for text, row in zip(texts, classify(texts), strict=True)
        if int(row.argmax()) != column
    ]
    if not honest:
        return
    for word, seen in candidates:
        rng = random.Random(seed)
        given = classify([insert_word(text, word, rng) for text in honest])
        turned = int((given.argmax(axis=1) == column).sum())
        yield Turned(word, target, Proportion(turned, len(honest)), seen)
