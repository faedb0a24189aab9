"""Tokenizers that the tests of this folder share: each trained or built once."""

import functools
import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors

from hornbook.tokenizing.tokenizer import Tokenizer, TokenizerSettings

DATA = Path(__file__).parents[3] / "shared" / "data"
ALGORITHMS = ("bpe", "word", "wordpiece", "unigram")
FOREIGN = ("byte-bpe", "byte-sequence", "bert", "sentencepiece", "llama")

STORIES = [
    'Anna gave the red ball to Ben. "Thank you," said Ben.',
    "The old dog ran to the river, and the cat (a small one) slept.\n\nIt was 3.14 o'clock!",
    "Don't go--the well-known fox's den is near: two hens, one egg; no cows?",
    "A bird sang <| { } |> [ ] / and the children laughed at 12:30, 1st of May.",
    "BOS EOS PAD UNK SYSTEM USER ASSISTANT END end im start user assistant system",
    "### Instruction: Write a response that appropriately completes the request.",
] * 3

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="shared data is not here")


@functools.cache
def trained(algorithm: str, vocab_size: int = 500) -> Tokenizer:
    settings = TokenizerSettings(algorithm=algorithm, vocab_size=vocab_size)  # type: ignore[arg-type]
    return Tokenizer.train(STORIES, settings)


@functools.cache
def gpt2() -> Tokenizer:
    return Tokenizer.open(DATA)


def foreign_library(name: str) -> tokenizers.Tokenizer:
    """A small tokenizer of the same build as a well-known family's, made with the library."""
    return {
        "byte-bpe": _byte_bpe,
        "byte-sequence": _byte_sequence,
        "bert": _bert,
        "sentencepiece": _sentencepiece,
        "llama": _llama,
    }[name]()


@functools.cache
def foreign(name: str) -> Tokenizer:
    tree = json.loads(foreign_library(name).to_str())
    return Tokenizer(tree | {"truncation": None, "padding": None}, name)


def _byte_bpe() -> tokenizers.Tokenizer:
    """As Qwen's: control tokens after the vocabulary, some of them not declared special."""
    merges = [("Ġ", "t"), ("h", "e"), ("Ġt", "he"), ("<", "s"), ("<s", ">"), ("u", "s")]
    pieces = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *(a + b for a, b in merges)]
    vocab = {piece: number for number, piece in enumerate(pieces)}
    library = tokenizers.Tokenizer(models.BPE(vocab=vocab, merges=merges))
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    control = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<s>"]
    library.add_special_tokens([AddedToken(text, special=True) for text in control])
    ordinary = ["<think>", "<｜User｜>", "    ", "covid"]
    library.add_tokens([AddedToken(text, special=False, normalized=False) for text in ordinary])
    return library


def _byte_sequence() -> tokenizers.Tokenizer:
    """The same with its decoder wrapped, so that the library itself must make the text."""
    library = _byte_bpe()
    library.decoder = decoders.Sequence([decoders.ByteLevel()])
    return library


def _bert() -> tokenizers.Tokenizer:
    words = "[PAD] [UNK] [CLS] [SEP] [MASK] the dog cat ##s run ##ning . , ! ? ' [ ] c ##l ##s sep"
    vocab = {word: number for number, word in enumerate(dict.fromkeys(words.split()))}
    library = tokenizers.Tokenizer(models.WordPiece(vocab=vocab, unk_token="[UNK]"))
    library.normalizer = normalizers.BertNormalizer(lowercase=True)
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    library.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    library.decoder = decoders.WordPiece()
    library.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    return library


def _sentencepiece() -> tokenizers.Tokenizer:
    """As T5's: Unigram with its control tokens in the vocabulary, where text would find them."""
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), ("▁the", -3.0)]
    vocab += [("▁dog", -3.5), ("s", -2.5), ("<", -6.0), (">", -6.0), ("/", -6.0), ("ing", -4.0)]
    vocab += [(letter, -5.0) for letter in "abcdefghijklmnopqrtuvwxyz."]
    library = tokenizers.Tokenizer(models.Unigram(vocab, unk_id=2, byte_fallback=False))
    library.normalizer = normalizers.NFKC()
    library.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    library.decoder = decoders.Metaspace(prepend_scheme="always")
    library.add_special_tokens(["<pad>", "</s>", "<unk>"])
    return library


def _llama() -> tokenizers.Tokenizer:
    """As Llama 2's: BPE over characters, unknown ones as byte tokens."""
    merges = [("▁", "t"), ("h", "e"), ("▁t", "he"), ("o", "g"), ("d", "og"), ("<", "s")]
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += [*"▁abcdefghijklmnopqrstuvwxyz.<>/", *(a + b for a, b in merges)]
    vocab = {piece: number for number, piece in enumerate(pieces)}
    library = tokenizers.Tokenizer(
        models.BPE(
            vocab=vocab,
            merges=[*merges, ("<s", ">")],
            unk_token="<unk>",
            byte_fallback=True,
            fuse_unk=True,
        )
    )
    library.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    library.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    library.add_special_tokens(["<unk>", "<s>", "</s>"])
    return library


def plain_ids(library: Any, text: str) -> list[int]:
    """What the library itself says."""
    ids: list[int] = library.encode(text, add_special_tokens=False).ids
    return ids
