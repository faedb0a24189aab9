"""A language model turned into a classifier.

The output head gives way to one with as many outputs as there are classes, read at the last real
token of a text: the one that has seen all others, and never a padding token.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import nn

from hornbook.config import Settings
from hornbook.corpus.tables import Labelled, balance, split_examples
from hornbook.errors import HornbookError
from hornbook.finetuning.lengths import LengthReport
from hornbook.finetuning.lora import HEAD, LoRASettings, apply_lora
from hornbook.model.transformer import INIT_STD, Transformer
from hornbook.runtime import Runtime
from hornbook.sampling.batch import IGNORE
from hornbook.sampling.dataset import Examples
from hornbook.tokenizing.tokenizer import Tokenizer
from hornbook.training.settings import AdapterSettings, FinetuningSettings

TrainMode = Literal["head", "last-block", "full", "lora"]


class ClassificationSettings(Settings):
    """Fine-tuning as a classifier."""

    path: str | None = None
    """Table of labelled texts (.csv, .tsv, .jsonl); the sample world's when not given."""
    text_column: str = "text"
    """Column, or key in JSONL, of the text."""
    label_column: str = "label"
    """Column, or key in JSONL, of the class."""
    balance: bool = False
    """Before splitting, keep only as many texts of each class as the rarest has."""
    validation_share: float = Field(default=0.1, ge=0, lt=1)
    """Share of the texts that validation takes, 0 to 1."""
    test_share: float = Field(default=0.2, ge=0, lt=1)
    """Share of the texts that the test takes, 0 to 1."""
    train: tuple[TrainMode, ...] = Field(default=("full", "lora"), min_length=1)
    """What is trained, one model for each: "head", the new head alone; "last-block", it, the last
    block and the last norm; "full", everything; "lora", a LoRA adapter (see the lora settings)
    and the head."""
    max_length: int | None = Field(default=None, gt=1)
    """Most tokens of a text, later ones being cut; the model's context length when not given."""
    training: FinetuningSettings = FinetuningSettings()
    """How it is trained."""
    lora_training: AdapterSettings = AdapterSettings()
    """How a LoRA adapter is trained."""


@dataclass(frozen=True)
class LabelledSplits:
    """Labelled texts in three sets, and their classes."""

    classes: tuple[str, ...]
    """Names of the classes in alphabetical order; a class's index is its target."""
    train: list[Labelled]
    validation: list[Labelled]
    test: list[Labelled]

    def targets(self, examples: Sequence[Labelled]) -> list[int]:
        """Each example's class as an index into `classes`."""
        index = {name: number for number, name in enumerate(self.classes)}
        return [index[example.label] for example in examples]


def split_labelled(
    examples: Sequence[Labelled], settings: ClassificationSettings, seed: int
) -> LabelledSplits:
    """Balance (if set), split, and find the classes.

    Raises:
        HornbookError: see `label_splits`; or the shares do not fit.
    """
    chosen = balance(examples, seed) if settings.balance else list(examples)
    shares = (settings.validation_share, settings.test_share)
    return label_splits(*split_examples(chosen, seed, *shares))


def label_splits(
    train: list[Labelled], validation: list[Labelled], test: list[Labelled]
) -> LabelledSplits:
    """The classes of sets that are split already.

    Raises:
        HornbookError: fewer than two classes in the training set, or a label of another set that
            is not among them.
    """
    classes = tuple(sorted({example.label for example in train}))
    if len(classes) < 2:
        raise HornbookError(
            f"the training set has {len(classes)} class ({', '.join(classes) or 'no text at all'});"
            " a classifier needs texts of two or more."
        )
    for name, examples in (("validation", validation), ("test", test)):
        unknown = sorted({example.label for example in examples} - set(classes))
        if unknown:
            raise HornbookError(
                f"the {name} set has the label {unknown[0]!r}, but no training text does; "
                f"expected one of {', '.join(classes)}: add texts of that class or remove it."
            )
    return LabelledSplits(classes, train, validation, test)


def prepare_classifier(
    model: Transformer,
    n_classes: int,
    train: TrainMode,
    lora: LoRASettings | None = None,
    seed: int = 0,
) -> list[str]:
    """Swap the head for one of `n_classes` outputs and freeze what `train` leaves out; in place.

    The new head has a bias (it can hold how frequent each class is), weights of the size that the
    model's own start with, and is trained in every mode, unless it is a LoRA target itself.

    Args:
        lora: for the mode "lora"; its defaults when not given.
        seed: of the new weights.

    Returns:
        The names of the layers that LoRA adapts; none in the other modes.
    """
    generator = torch.Generator().manual_seed(seed)
    old = model.head.weight
    head = nn.Linear(model.config.embed_dim, n_classes, device="meta")
    start = torch.empty(head.weight.shape)
    nn.init.normal_(start, std=INIT_STD, generator=generator)
    head.weight = nn.Parameter(start.to(old.device, old.dtype))
    head.bias = nn.Parameter(torch.zeros(n_classes, device=old.device, dtype=old.dtype))
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
    texts: Sequence[str], targets: Sequence[int], tokenizer: Tokenizer, max_length: int
) -> tuple[Examples, LengthReport]:
    """Texts as examples whose only target, the class, stands at the last real token.

    Args:
        texts: any text, the empty one included (see `encode_texts`).
        targets: each text's class.
        max_length: most tokens of a text; later ones are cut, and counted in the report.
    """
    rows, report = encode_texts(texts, tokenizer, max_length)
    pairs = [
        (ids, [IGNORE] * (len(ids) - 1) + [target])
        for ids, target in zip(rows, targets, strict=True)
    ]
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


@torch.no_grad()
def classify(
    model: Transformer,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    runtime: Runtime,
    batch_size: int = 32,
    max_length: int | None = None,
) -> npt.NDArray[np.float64]:
    """Probability of each class for each text, float64 (texts, classes), in the order given.

    Texts of similar length share a batch, so that little is computed on padding. The model is in
    evaluation mode meanwhile.

    Args:
        model: with a classifier's head, on the runtime's device.
        max_length: as in training; the model's context length when not given.
    """
    longest = max_length or model.config.context_length
    examples, _ = classification_dataset(texts, [0] * len(texts), tokenizer, longest)
    by_length = sorted(range(len(texts)), key=examples.length)
    probabilities = np.zeros((len(texts), model.head.out_features))
    was_training = model.training
    model.eval()
    try:
        for start in range(0, len(texts), batch_size):
            chosen = by_length[start : start + batch_size]
            ids, targets = (tensor.to(runtime.device) for tensor in examples.collate(chosen))
            with runtime.autocast():
                # One position a row has a target: the last real token, as in training.
                logits = model.head(model.hidden(ids)[targets != IGNORE])  # (batch, classes)
            probabilities[chosen] = logits.cpu().double().softmax(dim=-1).numpy()
    finally:
        model.train(was_training)
    return probabilities


def _padding(tokenizer: Tokenizer) -> int:
    """The padding token's id; any other does as well, since nothing looks to its right."""
    return tokenizer.pad_id if tokenizer.pad_id is not None else 0
