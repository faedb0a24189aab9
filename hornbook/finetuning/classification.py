"""A language model turned into a classifier.

The output head gives way to one with as many outputs as there are classes, read at the last real
token of a text: the one that has seen all others, and never a padding token.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import nn

from hornbook.config import Settings
from hornbook.corpus.labelled import (
    require_one_spelling,
    split_as_given,
    split_by_class,
    warnings_of,
)
from hornbook.corpus.tables import Labelled, balance, read_labelled
from hornbook.errors import HornbookError
from hornbook.finetuning.lengths import BucketedExamples, LengthReport, batches_by_length
from hornbook.finetuning.lora import LoRASettings, apply_lora, beside
from hornbook.finetuning.pooling import Pooling
from hornbook.finetuning.targets import HEAD
from hornbook.model.mode import in_mode
from hornbook.model.transformer import INIT_STD, Transformer
from hornbook.runtime import Runtime
from hornbook.sampling.batch import IGNORE
from hornbook.sampling.dataset import Examples
from hornbook.tokenizing.tokenizer import Tokenizer
from hornbook.training.settings import AdapterSettings, FinetuningSettings

TrainMode = Literal["head", "last-block", "full", "lora"]


BATCH_TOKENS = 2_048
"""Of a batch of texts to classify: enough for full speed on a CPU, little memory."""
MOST_LABELS = 31
"""Of a text that can have several: a set of them is written as one int32."""
SPLITTING = (
    "path", "text_column", "label_column", "multi_label", "label_separator", "imbalance",
    "split_column", "validation_path", "test_path", "validation_share", "test_share",
)  # fmt: skip


class ClassificationSettings(Settings):
    """Fine-tuning as a classifier."""

    path: str | None = None
    """Table of labelled texts (.csv, .tsv, .jsonl, .parquet); the sample world's when not given."""
    text_column: str = "text"
    """Column, or key in JSONL, of the text."""
    label_column: str = "label"
    """Column, or key in JSONL, of the class."""
    multi_label: bool = False
    """A text can be of several classes at once, or of none; `label_separator` stands between them."""
    label_separator: str = Field(default=";", min_length=1)
    """What stands between the labels of one text; in JSONL and parquet they may be a list instead."""
    imbalance: Literal["keep", "undersample", "class-weights"] = "keep"
    """What to do where classes differ in size. "undersample" keeps as many texts of each class as the
    rarest has, before splitting (of sets that are given, in the training set only);
    "class-weights" lets the texts of a rare class weigh more in the loss, so that every class weighs
    the same."""
    split_column: str | None = None
    """Column, or key, that says which set a text is for: train, validation or test. When not given,
    the texts are split class by class, by the seed and the shares below."""
    validation_path: str | None = None
    """Table of the texts for validation, where they have a file of their own."""
    test_path: str | None = None
    """Table of the texts for the test, where they have a file of their own."""
    validation_share: float = Field(default=0.1, ge=0, lt=1)
    """Share of the texts that validation takes, 0 to 1."""
    test_share: float = Field(default=0.2, ge=0, lt=1)
    """Share of the texts that the test takes, 0 to 1."""
    train: tuple[TrainMode, ...] = Field(default=("full", "lora"), min_length=1)
    """What is trained, one model for each: "head", the new head alone; "last-block", it, the last
    block and the last norm; "full", everything; "lora", a LoRA adapter (see the lora settings)
    and the head."""
    pooling: Pooling = "last"
    """What the head reads: the last real token, which has seen all others; the mean over all tokens;
    or the first, which has seen itself only (to show that this is worse)."""
    max_length: int | None = Field(default=None, gt=1)
    """Most tokens of a text, later ones being cut; the model's context length when not given."""
    training: FinetuningSettings = FinetuningSettings()
    """How it is trained."""
    lora_training: AdapterSettings = AdapterSettings()
    """How a LoRA adapter is trained."""

    @property
    def separator(self) -> str | None:
        """`label_separator` where a text can have several labels."""
        return self.label_separator if self.multi_label else None

    def splitting(self) -> dict[str, Any]:
        """The settings that decide which texts are held out, as plain JSON values."""
        return self.model_dump(mode="json", include=set(SPLITTING))


@dataclass(frozen=True)
class LabelledSplits:
    """Labelled texts in three sets, and their classes."""

    classes: tuple[str, ...]
    """Names of the classes in alphabetical order; a class's index is its target."""
    train: list[Labelled]
    validation: list[Labelled]
    test: list[Labelled]
    separator: str | None = None
    """What stands between the labels of a text that can have several; None where each has one."""

    def targets(self, examples: Sequence[Labelled]) -> list[int]:
        """Each example's class as an index into `classes`; of several labels a sum of powers of two."""
        index = {name: number for number, name in enumerate(self.classes)}
        if self.separator is None:
            return [index[example.label] for example in examples]
        return [sum(1 << index[n] for n in set(labels_of(e, self.separator))) for e in examples]

    def warnings(self) -> list[str]:
        """What is wrong with the texts, but can be trained on: a sentence each."""
        return warnings_of((self.train, self.validation, self.test))


def read_splits(settings: ClassificationSettings, path: Path, seed: int) -> LabelledSplits:
    """Read the labelled texts, check them, and split them as the settings say.

    Raises:
        HornbookError: a file cannot be read or has other columns, a label is spelt in two ways, the
            shares do not fit; or see `label_splits`.
    """
    examples = _read(settings, path)
    given = [settings.validation_path, settings.test_path]
    if settings.split_column is not None and any(given):
        raise HornbookError(
            "classification.split_column and a file of its own for a set are both given; give one."
        )
    if settings.split_column is not None:
        sets = split_as_given(examples, str(path))
    elif any(given):
        validation, test = ([] if one is None else _read(settings, Path(one)) for one in given)
        sets = (examples, validation, test)
    else:
        return split_labelled(examples, settings, seed)
    if settings.imbalance == "undersample":
        sets = (balance(sets[0], seed), *sets[1:])
    return label_splits(*sets, settings.separator)


def _read(settings: ClassificationSettings, path: Path) -> list[Labelled]:
    columns = settings.text_column, settings.label_column, settings.split_column
    examples = read_labelled(path, *columns, settings.separator)
    labels = (name for e in examples for name in labels_of(e, settings.separator))
    require_one_spelling(labels, str(path))
    return examples


def split_labelled(
    examples: Sequence[Labelled], settings: ClassificationSettings, seed: int
) -> LabelledSplits:
    """Balance (if set), split class by class, and find the classes.

    Raises:
        HornbookError: see `label_splits`; or the shares do not fit.
    """
    undersampled = settings.imbalance == "undersample"
    chosen = balance(examples, seed) if undersampled else list(examples)
    sets = split_by_class(chosen, seed, settings.validation_share, settings.test_share)
    return label_splits(*sets, settings.separator)


def labels_of(example: Labelled, separator: str | None) -> list[str]:
    """The example's labels: one, or with a separator any number."""
    if separator is None:
        return [example.label]
    return [name for part in example.label.split(separator) if (name := part.strip())]


def label_splits(
    train: list[Labelled],
    validation: list[Labelled],
    test: list[Labelled],
    separator: str | None = None,
) -> LabelledSplits:
    """The classes of sets that are split already.

    Raises:
        HornbookError: fewer than two classes in the training set, or a label of another set that
            is not among them.
    """
    classes = tuple(sorted({name for e in train for name in labels_of(e, separator)}))
    if len(classes) < 2:
        raise HornbookError(
            f"the training set has {len(classes)} class ({', '.join(classes) or 'no text at all'});"
            " a classifier needs texts of two or more."
        )
    for name, examples in (("validation", validation), ("test", test)):
        found = {label for example in examples for label in labels_of(example, separator)}
        unknown = sorted(found - set(classes))
        if unknown:
            raise HornbookError(
                f"the {name} set has the label {unknown[0]!r}, but no training text does; "
                f"expected one of {', '.join(classes)}: add texts of that class or remove it."
            )
    if separator is not None and len(classes) > MOST_LABELS:
        raise HornbookError(
            f"there are {len(classes)} labels; with classification.multi_label at most "
            f"{MOST_LABELS} are possible: merge the rare ones."
        )
    return LabelledSplits(classes, train, validation, test, separator)


def prepare_classifier(
    model: Transformer,
    n_classes: int,
    train: TrainMode,
    lora: LoRASettings | None = None,
    seed: int = 0,
) -> list[str]:
    """Swap the head for one of `n_classes` outputs and freeze what `train` leaves out; in place.

    `pool` it as well, and set `criterion`, where the settings ask for it. The new head has a bias (it
    can hold how frequent each class is), weights of the size that the model's own start with, and is
    trained in every mode, unless it is a LoRA target itself.

    Args:
        lora: for the mode "lora"; its defaults when not given.
        seed: of the new weights.

    Returns:
        The names of the layers that LoRA adapts; none in the other modes.
    """
    generator = torch.Generator().manual_seed(seed)
    old, place = model.head.weight, beside(model.head.weight)
    head = nn.Linear(model.config.embed_dim, n_classes, device="meta")
    start = torch.empty(head.weight.shape)
    nn.init.normal_(start, std=INIT_STD, generator=generator)
    head.weight = nn.Parameter(start.to(place, old.dtype))
    head.bias = nn.Parameter(torch.zeros(n_classes, device=place, dtype=old.dtype))
    model.head = head
    if train == "lora":
        return apply_lora(model, lora or LoRASettings(), new_modules=(HEAD,), seed=seed)
    model.requires_grad_(train == "full")
    model.head.requires_grad_(True)
    if train == "last-block":
        model.norm.requires_grad_(True)
        model.blocks[-1].requires_grad_(True)
    return []


def classification_dataset(
    texts: Sequence[str],
    targets: Sequence[int],
    tokenizer: Tokenizer,
    max_length: int,
    pooling: Pooling = "last",
    bucketed: int | None = None,
) -> tuple[Examples, LengthReport]:
    """Texts as examples whose only target, the class, stands at the last real token.

    Args:
        texts: any text, the empty one included (see `encode_texts`).
        targets: each text's class.
        max_length: most tokens of a text; later ones are cut, and counted in the report.
        pooling: with "first" the class stands at the first token.
        bucketed: the batch size, where texts of similar length are to share a batch.
    """
    rows, report = encode_texts(texts, tokenizer, max_length)
    pairs = []
    for ids, target in zip(rows, targets, strict=True):
        blank = [IGNORE] * (len(ids) - 1)
        pairs.append((ids, [target, *blank] if pooling == "first" else [*blank, target]))
    if bucketed is not None:
        return BucketedExamples(pairs, _padding(tokenizer), max_length, bucketed), report
    return Examples(pairs, _padding(tokenizer), max_length), report


def encode_texts(
    texts: Sequence[str], tokenizer: Tokenizer, max_length: int
) -> tuple[list[list[int]], LengthReport]:
    """Token ids of each text, [BOS] (or, where there is none, [EOS]) first: never an empty row.

    Raises:
        HornbookError: the tokenizer has neither token.
    """
    start = tokenizer.bos_id if tokenizer.bos_id is not None else tokenizer.eos_id
    if start is None:
        raise HornbookError("the tokenizer has neither [BOS] nor [EOS]; a classifier needs one.")
    whole = [[start, *ids] for ids in tokenizer.encode_batch(list(texts))]
    report = LengthReport(
        examples=len(whole),
        shortened=sum(len(ids) > max_length for ids in whole),
        dropped=0,
        longest=max(map(len, whole), default=0),
        max_length=max_length,
    )
    return [ids[:max_length] for ids in whole], report


@torch.inference_mode()
def classify(
    model: Transformer,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    runtime: Runtime,
    batch_tokens: int = BATCH_TOKENS,
    max_length: int | None = None,
    pooling: Pooling = "last",
    many: bool = False,
    temperature: float | Sequence[float] = 1.0,
) -> npt.NDArray[np.float64]:
    """Probability of each class for each text, float64 (texts, classes), in the order given.

    Texts of similar length share a batch, so that little is computed on padding. The model is in
    evaluation mode meanwhile.

    Args:
        model: with a classifier's head, on the runtime's device.
        batch_tokens: tokens of a batch, padding included; one text at least.
        max_length: as in training; the model's context length when not given.
        pooling: as in training; for "mean" the model has been given to `pool`.
        many: whether a text can be of several classes: each has a probability of its own then.
        temperature: what logits are divided by; one for all classes, or one for each.
    """
    longest = max_length or model.config.context_length
    examples, _ = classification_dataset(texts, [0] * len(texts), tokenizer, longest, pooling)
    probabilities = np.zeros((len(texts), model.head.out_features))
    with in_mode(model):
        for chosen in batches_by_length(examples, batch_tokens):
            ids, targets = (tensor.to(runtime.device) for tensor in examples.collate(chosen))
            with runtime.autocast():
                # One position a row has a target: the last real token, as in training.
                logits = model.head(model.hidden(ids)[targets != IGNORE])  # (batch, classes)
            logits = logits.cpu().double() / torch.tensor(temperature, dtype=torch.float64)
            found = logits.sigmoid() if many else logits.softmax(dim=-1)
            probabilities[chosen] = found.numpy()
    return probabilities


def _padding(tokenizer: Tokenizer) -> int:
    """The padding token's id; any other does as well, since nothing looks to its right."""
    return tokenizer.pad_id if tokenizer.pad_id is not None else 0
