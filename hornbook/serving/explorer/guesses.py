"""What the model thinks: after every layer, of the next token, and of a text's class as it is read."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hornbook.inference.logits import keep_top_k, keep_top_p, scale_temperature
from hornbook.model.transformer import Transformer
from hornbook.serving.explorer.tokens import named
from hornbook.tokenizing.tokenizer import Tokenizer

BEST = 5
"""Guesses shown of each layer at each place."""
LIKELIEST = 24
"""Next tokens shown."""


@torch.no_grad()
def logit_lens(model: Transformer, tokenizer: Tokenizer, ids: Tensor) -> list[dict[str, Any]]:
    """What the head would say of the stream after the embedding and after each layer.

    The last norm and the head are put on the stream as it is there (nostalgebraist 2020, "interpreting
    GPT: the logit lens").

    Args:
        ids: int64 (1, tokens).

    Returns:
        Of each layer: name, and places, the best guesses after each token: id, text, probability;
        and of `actual`, the probability of the token that comes next.
    """
    layers = []
    for number, stream in enumerate(model.residual_streams(ids)):
        logits = model.head(model.norm(stream))[0].float()  # (tokens, vocab)
        probabilities = logits[:, : tokenizer.vocab_size].softmax(dim=-1)
        layers.append(
            {
                "name": f"layer {number}" if number else "embedding",
                "places": _guesses(tokenizer, probabilities, ids[0].tolist()),
            }
        )
    return layers


def _guesses(
    tokenizer: Tokenizer, probabilities: Tensor, ids: Sequence[int]
) -> list[dict[str, Any]]:
    values, best = probabilities.topk(min(BEST, probabilities.shape[-1]), dim=-1)
    following = [*ids[1:], None]
    return [
        {
            "guesses": [
                {**token, "probability": p}
                for token, p in zip(named(tokenizer, found), row, strict=True)
            ],
            "actual": None if next_id is None else float(probabilities[place, next_id]),
        }
        for place, (found, row, next_id) in enumerate(
            zip(best.tolist(), values.tolist(), following, strict=True)
        )
    ]


def next_tokens(
    logits: Tensor,
    tokenizer: Tokenizer,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
) -> dict[str, Any]:
    """The likeliest next tokens, with the probability that the model gives and the one that is
    drawn from under the settings; temperature 0 leaves the likeliest only.

    Args:
        logits: float32 (vocab,), the model's after a text.
    """
    before = logits.softmax(dim=-1)
    if temperature == 0:
        changed = keep_top_k(logits, 1)
    else:
        changed = scale_temperature(logits, temperature)
        changed = keep_top_k(changed, top_k) if top_k else changed
        changed = keep_top_p(changed, top_p) if top_p is not None else changed
    after = changed.softmax(dim=-1)
    found = before.topk(min(LIKELIEST, len(before))).indices.tolist()
    return {
        "tokens": [
            {**one, "before": float(before[one["id"]]), "after": float(after[one["id"]])}
            for one in named(tokenizer, found)
        ],
        "left": int((changed > -torch.inf).sum()),
        "entropy_before": _bits(before),
        "entropy_after": _bits(after),
    }


def _bits(probabilities: Tensor) -> float:
    """Entropy: the bits that it takes to say which token came."""
    return float(-(probabilities * probabilities.clamp(min=1e-30).log2()).sum())


@torch.no_grad()
def classes_while_reading(model: Transformer, ids: Tensor) -> list[list[float]]:
    """The probability of each class if the text ended after each token: (tokens, classes).

    Each is what `classify` says of the text up to there, as later tokens change nothing earlier.

    Args:
        ids: int64 (1, tokens), as `encode_texts` makes them.
    """
    logits = model.head(model.hidden(ids))[0].float()
    probabilities: list[list[float]] = logits.softmax(dim=-1).tolist()
    return probabilities
