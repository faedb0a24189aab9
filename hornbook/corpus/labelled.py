"""Labelled texts: spelt consistently, split class by class, and kept out of what is read before.

Two texts are the same when only capitals, blanks or compatible characters tell them apart.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence

from hornbook.console import counted
from hornbook.corpus.deduplication import hash_of, hash_text
from hornbook.corpus.document import Document
from hornbook.corpus.ngrams import normalize
from hornbook.corpus.split import SPLITS
from hornbook.corpus.step import OneTally
from hornbook.corpus.tables import Labelled, split_examples
from hornbook.errors import HornbookError

Splits = tuple[list[Labelled], list[Labelled], list[Labelled]]
"""For training, validation and test."""


def same_text(text: str) -> str:
    """What two texts have in common that are the same."""
    return " ".join(normalize(text).split())


def require_one_spelling(labels: Iterable[str], source: str) -> None:
    """Refuse labels that only capitals, blanks, hyphens or underscores tell apart.

    Raises:
        HornbookError: naming two such spellings, and how often each stands there.
    """
    counts = Counter(labels)
    spellings: dict[str, str] = {}
    for label in sorted(counts):
        key = "".join(mark for mark in normalize(label) if mark not in "-_" and not mark.isspace())
        other = spellings.setdefault(key, label)
        if other != label:
            raise HornbookError(
                f"{source} spells one label in two ways: {other!r} ({counted(counts[other], 'time')}) and "
                f"{label!r} ({counted(counts[label], 'time')}); make them one."
            )


def split_by_class(
    examples: Sequence[Labelled], seed: int, validation_share: float, test_share: float
) -> Splits:
    """Split so that each class has the same shares in every set; equal texts stay together.

    A text that stands there with several labels is split by the first of them. Classes of fewer
    than three different texts are trained on only.

    Raises:
        HornbookError: the shares do not fit, or there are too few examples.
    """
    classes: dict[str, str] = {}
    for example in examples:
        classes.setdefault(same_text(example.text), example.label)
    by_class: dict[str, list[Labelled]] = {}
    for example in examples:
        by_class.setdefault(classes[same_text(example.text)], []).append(example)
    sets: Splits = ([], [], [])
    for label in sorted(by_class):
        members = by_class[label]
        if len({same_text(example.text) for example in members}) < len(SPLITS):
            sets[0].extend(members)
            continue
        parts = _split_together(members, seed, validation_share, test_share)
        for whole, part in zip(sets, parts, strict=True):
            whole.extend(part)
    for name, share, part in zip(SPLITS[1:], (validation_share, test_share), sets[1:], strict=True):
        if share and not part:
            raise HornbookError(
                f"too few for a {name} set: {counted(len(examples), 'example')}; add some or set "
                f"{name}_share to 0."
            )
    return sets


def _split_together(
    members: list[Labelled], seed: int, validation_share: float, test_share: float
) -> Splits:
    groups: dict[str, list[Labelled]] = {}
    for example in members:
        groups.setdefault(same_text(example.text), []).append(example)
    parts = split_examples(list(groups), seed, validation_share, test_share)
    train, validation, test = ([e for key in part for e in groups[key]] for part in parts)
    return train, validation, test


def split_as_given(examples: Iterable[Labelled], source: str) -> Splits:
    """Split as each example's `split` says: train, validation (or val, valid, dev) or test.

    Raises:
        HornbookError: another word stands there.
    """
    names = {name: index for index, name in enumerate(SPLITS)}
    names |= {"training": 0, "val": 1, "valid": 1, "dev": 1}
    sets: Splits = ([], [], [])
    for example in examples:
        index = names.get(example.split.strip().lower())
        if index is None:
            raise HornbookError(
                f"{source}: a text's split is {example.split!r}; expected one of "
                f"{', '.join(SPLITS)}."
            )
        sets[index].append(example)
    return sets


def warnings_of(sets: Splits) -> list[str]:
    """What is wrong with these sets, but can be trained on: a sentence each."""
    train, validation, test = sets
    found = []
    labels: dict[str, set[str]] = {}
    for example in (*train, *validation, *test):
        labels.setdefault(same_text(example.text), set()).add(example.label)
    if torn := sum(len(given) > 1 for given in labels.values()):
        found.append(f"texts that stand there with more than one label: {torn:,}.")
    trained = {same_text(example.text) for example in train}
    for name, part in (("validation", validation), ("test", test)):
        if known := sum(same_text(example.text) in trained for example in part):
            found.append(
                f"{known:,} of {len(part):,} texts of the {name} set are in the training set too: "
                "its scores are too good."
            )
        if len(classes := {example.label for example in part}) == 1:
            found.append(
                f"the {name} set has texts of one class only ({min(classes)!r}): its scores say "
                "nothing about the others."
            )
    return found


class LeaveOut(OneTally):
    """Leaves out documents whose text is one of these: labelled texts that are held out."""

    def __init__(self, texts: Collection[str]) -> None:
        """Keep hashes of the texts: two have the same where they are the `same_text`."""
        super().__init__("held-out labelled texts")
        self._hashes = {hash_text(text) for text in texts}

    def apply(self, documents: Iterator[Document]) -> Iterator[Document]:
        """The documents that are none of the held-out texts."""
        for document in self._counted(documents):
            if hash_of(document) in self._hashes:
                self._tally.remove(document, "held out for classification")
            else:
                yield document
