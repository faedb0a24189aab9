"""Special tokens: those of every tokenizer trained here, and other people's names for the same."""

import re
from typing import Literal

BOS = "[BOS]"
EOS = "[EOS]"
PAD = "[PAD]"
UNK = "[UNK]"
SYSTEM = "[SYSTEM]"
USER = "[USER]"
ASSISTANT = "[ASSISTANT]"
END = "[END]"

SPECIAL = (BOS, EOS, PAD, UNK, SYSTEM, USER, ASSISTANT, END)
"""The first ids of a trained tokenizer, in this order; [END] closes a turn of a conversation."""

Role = Literal["bos", "eos", "pad", "unk"]

WELL_KNOWN: dict[Role, tuple[str, ...]] = {
    "bos": (
        *(BOS, "<s>", "<bos>", "<|begin_of_text|>", "<|startoftext|>"),
        *("<｜begin▁of▁sentence｜>", "[CLS]", "<|endoftext|>"),
    ),
    "eos": (
        *(EOS, "</s>", "<eos>", "<|end_of_text|>", "<|endoftext|>"),
        *("<｜end▁of▁sentence｜>", "[SEP]"),
    ),
    "pad": (PAD, "<pad>", "<|pad|>", "<|padding|>", "<|finetune_right_pad_id|>"),
    "unk": (UNK, "<unk>", "<|unk|>"),
}
"""Spellings to look for among the added tokens, best first, where nothing else says."""

_BRACKETED = re.compile(r"\s*(<.+>|\[.+\]|\{.+\}|\|.+\|)\s*", re.DOTALL)


def looks_like_control(spelling: str) -> bool:
    """Whether an added token that is not declared special is control text all the same.

    DeepSeek's `<｜User｜>`, Qwen's `<think>` and Phi-3's `</s>` are not declared special, though
    a model takes orders from them. The runs of spaces that GPT-NeoX adds are ordinary text.
    """
    return _BRACKETED.fullmatch(spelling) is not None
