"""Text that spells a special token never becomes that token.

The library has a switch for this, `encode_special_tokens`, which is not enough: it is not kept in
a tokenizer.json; it does not cover added tokens that are not declared special; and it does not
cover the model's own vocabulary, where Unigram finds the piece "</s>" and a word-level model the
word "[UNK]". So ordinary text is encoded by a disguised copy of the tokenizer, in which each such
token has the same id and another, unguessable spelling.
"""

import secrets
from collections.abc import Collection
from typing import Any


def disguise(tree: dict[str, Any], control: Collection[str]) -> dict[str, Any]:
    """A tokenizer.json's content in which no text can spell one of the `control` tokens.

    Every other token and every id stays as it is, so ordinary text gets the same ids. The copy
    lives in memory only, and its spellings differ each time.
    """
    masks = {spelling: secrets.token_hex(16) for spelling in control}
    added = [
        token | {"content": masks.get(token["content"], token["content"])}
        for token in tree.get("added_tokens") or []
    ]
    # The post-processor only adds tokens and trims offsets, neither of which is wanted here.
    return tree | {
        "added_tokens": added,
        "model": _disguise_model(tree["model"], masks),
        "post_processor": None,
    }


def _disguise_model(model: dict[str, Any], masks: dict[str, str]) -> dict[str, Any]:
    vocab: Any = model.get("vocab")
    if isinstance(vocab, list):  # Unigram: [piece, score] by id
        vocab = [[masks.get(piece, piece), score] for piece, score in vocab]
    elif isinstance(vocab, dict):  # the others: id by piece
        vocab = {masks.get(piece, piece): number for piece, number in vocab.items()}
    disguised = model | {"vocab": vocab}
    if isinstance(model.get("unk_token"), str):
        disguised["unk_token"] = masks.get(model["unk_token"], model["unk_token"])
    if model.get("merges"):
        disguised["merges"] = [
            merge for merge in model["merges"] if not _spells(merge, masks, model)
        ]
    return disguised


def _spells(merge: str | list[str], masks: dict[str, str], model: dict[str, Any]) -> bool:
    """Whether a BPE merge makes, or is made of, a disguised token."""
    left, right = merge.split(" ", 1) if isinstance(merge, str) else merge
    joined = left + right.removeprefix(model.get("continuing_subword_prefix") or "")
    return left in masks or right in masks or joined in masks
