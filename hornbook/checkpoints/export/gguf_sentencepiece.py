"""SentencePiece's byte-pair encoding, as Llama 2, Mistral and Gemma have it, in a GGUF file.

A tokenizer.json lists which pairs of pieces are joined, in order. llama.cpp, like SentencePiece,
knows no pairs: it joins any two neighbours that make a piece, the piece with the highest score first.
Both give the same ids where every way to make a piece is among the pairs, and all pairs of a piece
stand together: this is made sure of, and a piece's score is its place in that order.

Source: llama.cpp, src/llama-vocab.cpp (`llm_tokenizer_spm`); transformers, convert_slow_tokenizer.py,
which makes such pairs from a SentencePiece model.
"""

import re
from collections.abc import Mapping
from typing import Any

from hornbook.checkpoints.export.vocabulary import Vocabulary
from hornbook.errors import HornbookError

SPACE = "\u2581"
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
"""Pieces for what no other piece covers."""
SPACES_REPLACED = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
SPACE_AHEAD = {"type": "Prepend", "prepend": SPACE}


def is_sentencepiece(tree: Mapping[str, Any]) -> bool:
    """Whether a tokenizer.json's content is one of SentencePiece's byte-pair encodings."""
    model = tree["model"]
    return model.get("type", "BPE") == "BPE" and bool(model.get("byte_fallback"))


def puts_space_ahead(tree: Mapping[str, Any]) -> bool:
    """Whether a space is put before every text.

    Raises:
        HornbookError: text is prepared in a way that llama.cpp has not.
    """
    steps = _steps(tree.get("normalizer"), "normalizers")
    split = _steps(tree.get("pre_tokenizer"), "pretokenizers")
    no_split = {"type": "Split", "pattern": {"String": " "}}  # Gemma's: no space is left by then
    replaced = steps in ([SPACES_REPLACED], [SPACE_AHEAD, SPACES_REPLACED])
    if replaced and all(no_split.items() <= step.items() for step in split):
        return bool(steps[0] == SPACE_AHEAD)
    if not steps and len(split) == 1 and split[0].get("type") == "Metaspace":
        scheme = split[0].get("prepend_scheme", "always")
        inside = split[0].get("split", True) and any(SPACE in p[1:] for p in tree["model"]["vocab"])
        if split[0].get("replacement", SPACE) == SPACE and scheme != "first" and not inside:
            return bool(scheme == "always")
    raise _refusal("prepares text")


def _steps(step: Any, name: str) -> list[Any]:
    if step is None:
        return []
    return list(step.get(name, [])) if step.get("type") == "Sequence" else [step]


def scores(vocabulary: Vocabulary) -> dict[str, float]:
    """Each piece's score, highest for those that are joined first.

    Raises:
        HornbookError: no scores make llama.cpp join as the tokenizer does.
    """
    model = vocabulary.tree["model"]
    vocab, places = model["vocab"], dict[str, int]()
    pairs, last = set[tuple[str, str]](), ""
    if not all(piece in vocab for piece in BYTES):
        raise _refusal("covers rare characters")
    for merge in model["merges"]:
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        piece = left + right
        if piece != last and piece in places:
            raise _refusal("joins pieces")
        places.setdefault(piece, len(places))
        pairs.add((left, right))
        last = piece
    apart = {token["content"] for token in vocabulary.tree["added_tokens"]} | set(BYTES)
    if any(not _all_ways(piece, vocab, pairs) for piece in vocab.keys() - apart):
        raise _refusal("joins pieces")
    return {piece: float(-places.get(piece, len(places))) for piece in vocab}


def _all_ways(piece: str, vocab: Mapping[str, int], pairs: set[tuple[str, str]]) -> bool:
    """Whether each two pieces, or characters, that make up a piece are a pair."""

    def stands(part: str) -> bool:
        return part in vocab or len(part) == 1

    splits = ((piece[:place], piece[place:]) for place in range(1, len(piece)))
    return all(split in pairs for split in splits if stands(split[0]) and stands(split[1]))


def _refusal(what: str) -> HornbookError:
    return HornbookError(
        f"the tokenizer is SentencePiece's kind but {what} in a way that llama.cpp has not, so it "
        "would give other ids there; export the model as a folder (hornbook export hf)."
    )


def is_byte(token: str) -> bool:
    """Whether a piece stands for a byte."""
    return re.fullmatch(r"<0x[0-9A-F]{2}>", token) is not None
