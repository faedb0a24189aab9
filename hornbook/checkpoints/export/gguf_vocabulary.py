"""A tokenizer inside a GGUF file: byte-level BPE, split into words as llama.cpp knows how to, or
SentencePiece's BPE (see `gguf_sentencepiece`).

llama.cpp does not read a tokenizer's pattern: it has a name for each that it was built with. A
tokenizer with another pattern would give other ids there, so it is refused.
"""

from typing import Any

from hornbook.checkpoints.export.gguf_sentencepiece import (
    is_byte,
    is_sentencepiece,
    puts_space_ahead,
    scores,
)
from hornbook.checkpoints.export.vocabulary import Vocabulary
from hornbook.errors import HornbookError

GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
GPT2_SPELT_OUT = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
PATTERNS = {GPT2: "gpt-2", GPT2_SPELT_OUT: "gpt-2", LLAMA3: "llama-bpe", QWEN2: "qwen2"}
"""llama.cpp's names (src/llama-vocab.cpp) of the patterns that tokenizers have."""
WHOLE_WORDS = {"llama-bpe"}
"""Names under which llama.cpp takes a word that is a token as it is, without merging."""
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
"""Kinds of tokens (gguf, `TokenType`)."""
END_KEYS = ("eos", "eot", "eom")
"""Under which a file can name ids that end an answer."""


def add_vocabulary(writer: Any, vocabulary: Vocabulary, size: int) -> None:
    """Write a tokenizer; `writer` is a `gguf.GGUFWriter`, `size` the model's number of ids.

    Raises:
        HornbookError: llama.cpp has no tokenizer that gives the same ids.
    """
    tokens, kinds = _listed(vocabulary, size)
    writer.add_token_list(tokens)
    if is_sentencepiece(vocabulary.tree):
        kinds = _add_sentencepiece(writer, vocabulary, tokens, kinds)
    else:
        _add_byte_level(writer, vocabulary.tree)
    writer.add_token_types(kinds)
    _add_roles(writer, vocabulary)
    if vocabulary.chat_template is not None:
        writer.add_chat_template(vocabulary.chat_template)


def _add_sentencepiece(
    writer: Any, vocabulary: Vocabulary, tokens: list[str], kinds: list[int]
) -> list[int]:
    """Write scores and the space ahead; give the kinds of tokens anew."""
    writer.add_add_space_prefix(puts_space_ahead(vocabulary.tree))
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    known, unknown = scores(vocabulary), vocabulary.tree["model"].get("unk_token")
    writer.add_token_scores([known.get(token, 0.0) for token in tokens])
    own = {token: BYTE for token in tokens if is_byte(token)} | {unknown: UNKNOWN}
    return [own.get(token, kind) for token, kind in zip(tokens, kinds, strict=True)]


def _add_byte_level(writer: Any, tree: Any) -> None:
    """Write merges and the name of the pattern that makes words."""
    model = tree["model"]
    if model.get("type", "BPE") != "BPE":
        raise HornbookError(
            f"the tokenizer is {model.get('type')}, and only BPE is written as GGUF, byte-level or "
            "SentencePiece's; export the model as a folder (hornbook export hf)."
        )
    name = pattern_name(tree)
    if bool(model.get("ignore_merges")) != (name in WHOLE_WORDS):
        raise HornbookError(
            f"the tokenizer's pattern is {name}, but it merges words as llama.cpp does not with "
            "that pattern; export the model as a folder (hornbook export hf)."
        )
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(name)
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in model["merges"]])
    writer.add_add_space_prefix(False)


def pattern_name(tree: Any) -> str:
    """llama.cpp's name for how the tokenizer splits text into words.

    Raises:
        HornbookError: it has none.
    """
    name = _pattern_name(tree.get("pre_tokenizer"))
    normalizer = (tree.get("normalizer") or {}).get("type")
    if name is None or normalizer not in (None, "NFC"):  # Qwen's, which llama.cpp leaves out too
        raise HornbookError(
            "the tokenizer splits text into words in a way that llama.cpp has no name for, so it "
            "would give other ids there; train one with tokenizer.algorithm=bpe, or export the "
            "model as a folder (hornbook export hf)."
        )
    return name


def _pattern_name(step: Any) -> str | None:
    steps = step.get("pretokenizers", []) if (step or {}).get("type") == "Sequence" else [step]
    kinds = [(part or {}).get("type") for part in steps]
    if not kinds or kinds[-1] != "ByteLevel" or steps[-1].get("add_prefix_space"):
        return None
    splits_itself = steps[-1].get("use_regex", True)
    if kinds == ["ByteLevel"] and splits_itself:
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and splits_itself and steps[0].get("individual_digits"):
        return "smollm"
    if kinds == ["Split", "ByteLevel"] and not splits_itself:
        stated = (steps[0].get("pattern") or {}).get("Regex")
        kept = steps[0].get("behavior") == "Isolated" and not steps[0].get("invert")
        return PATTERNS.get(str(stated)) if kept else None
    return None


def _listed(vocabulary: Vocabulary, size: int) -> tuple[list[str], list[int]]:
    """All tokens in the order of their ids, and their kinds; ids without a token get a name."""
    added = {t["id"]: bool(t.get("special")) for t in vocabulary.tree["added_tokens"]}
    by_id = {number: token for token, number in vocabulary.tokens().items()}
    tokens = [by_id.get(number, f"[PAD{number}]") for number in range(size)]
    kinds = [
        UNUSED
        if number not in by_id
        else {True: CONTROL, False: USER_DEFINED, None: NORMAL}[added.get(number)]
        for number in range(size)
    ]
    return tokens, kinds


def _add_roles(writer: Any, vocabulary: Vocabulary) -> None:
    ids = vocabulary.role_ids()
    for role, add in (
        ("bos_token", writer.add_bos_token_id),
        ("unk_token", writer.add_unk_token_id),
        ("pad_token", writer.add_pad_token_id),
    ):
        if role in ids:
            add(ids[role])
    # More than three are named in the Modelfile alone.
    for key, number in zip(END_KEYS, vocabulary.stops, strict=False):
        writer.add_uint32(f"tokenizer.ggml.{key}_token_id", number)
    writer.add_add_bos_token(_adds_bos(vocabulary))


def _adds_bos(vocabulary: Vocabulary) -> bool:
    """Whether the tokenizer itself puts a beginning-of-text token before a text."""
    steps = vocabulary.tree.get("post_processor") or {}
    for step in steps.get("processors", [steps]):
        for part in step.get("single", []) if step.get("type") == "TemplateProcessing" else []:
            if "SpecialToken" in part:
                return bool(part["SpecialToken"].get("id") == vocabulary.roles.get("bos_token"))
            break
    return False
