"""A classifier as `AutoModelForSequenceClassification` of `transformers` computes it.

Its classes for sequence classification read the last token that is no padding, through a matrix without
a bias. So the head's bias moves into the shift of the last normalization, where there is one: a vector
that the matrix turns into the bias, added before the matrix.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from hornbook.checkpoints.export.vocabulary import Vocabulary
from hornbook.checkpoints.families.family import Family
from hornbook.checkpoints.families.weights import Weight
from hornbook.errors import HornbookError
from hornbook.model.norm import LayerNorm
from hornbook.model.transformer import Transformer

SCORE = Weight("score.weight", ("head.weight",))
LARGEST_REST = 1e-5
"""Most of a bias that may be left over, as a share of its largest number."""
CLASSES = {"gemma3_text": "Gemma3TextForSequenceClassification"}
"""Names that do not follow from that of the family's language model."""


def classifying(family: Family) -> Family:
    """The family's class for sequence classification: another head, all else the same."""
    stem = family.architecture.removesuffix("ForCausalLM").removesuffix("LMHeadModel")
    return replace(
        family,
        architecture=CLASSES.get(family.name, f"{stem}ForSequenceClassification"),
        weights=(*(row for row in family.weights if row.ours != ("head.weight",)), SCORE),
    )


@torch.no_grad()
def without_bias(model: Transformer, temperature: float) -> None:
    """Have a head without a bias give the same logits, divided by `temperature`; in place.

    Raises:
        HornbookError: the last normalization has no shift to take the bias, or too few dimensions.
    """
    weight, bias = model.head.weight.double(), model.head.bias
    if bias is not None and bias.any():
        if not isinstance(model.norm, LayerNorm):
            raise HornbookError(
                "its head has a bias, for which the classifiers of transformers have no place in a "
                "model with RMSNorm; train it on one of GPT-2's shape (presets gpt2-...), or use it by "
                "`hornbook classify` or `hornbook serve`."
            )
        # The shortest vector that the matrix turns into the bias.
        shift = torch.linalg.lstsq(weight, bias.double()[:, None], driver="gelsd").solution[:, 0]
        rest = (weight @ shift - bias.double()).abs().max() / bias.abs().max()
        if not rest <= LARGEST_REST:
            raise HornbookError(
                f"its head's bias cannot be moved before its matrix: {len(weight):,} classes are more "
                f"than {weight.shape[1]:,} dimensions can tell apart."
            )
        model.norm.bias.add_(shift.to(model.norm.bias))
    with torch.device("meta"):
        head = nn.Linear(weight.shape[1], len(weight), bias=False)
    head.weight = nn.Parameter((weight / temperature).to(model.head.weight))
    model.head = head


def head_fields(labels: Sequence[str], many: bool, padding: int) -> dict[str, Any]:
    """What config.json says of a classifier: its classes, and which token is padding."""
    kind = "multi_label_classification" if many else "single_label_classification"
    return {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: number for number, label in enumerate(labels)},
        "problem_type": kind,
        "pad_token_id": padding,
    }


def opened_vocabulary(vocabulary: Vocabulary) -> Vocabulary:
    """The tokenizer that puts before each text the token with which a classifier's texts begin.

    Texts are padded with the end of text where there is no token for it: then the last other token
    is the text's last, too.
    """
    roles = dict(vocabulary.roles)
    start = roles.get("bos_token", roles.get("eos_token"))
    assert start is not None  # or there would be no classifier
    roles.setdefault("pad_token", roles.get("eos_token", start))
    number = vocabulary.tokens()[start]
    first, text = {"SpecialToken": {"id": start, "type_id": 0}}, _sequence("A")
    opening = {
        "type": "TemplateProcessing",
        "single": [first, text],
        "pair": [first, text, _sequence("B")],
        "special_tokens": {start: {"id": start, "ids": [number], "tokens": [start]}},
    }
    tree: Mapping[str, Any] = {**vocabulary.tree, "post_processor": opening}
    return replace(vocabulary, tree=tree, roles=roles, chat_template=None)


def _sequence(name: str) -> dict[str, Any]:
    return {"Sequence": {"id": name, "type_id": 0}}
