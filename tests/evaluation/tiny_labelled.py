"""Two classes of little texts, and a model small enough to learn them in a test."""

import random
from collections.abc import Sequence

import torch

from hornbook.corpus.tables import Labelled
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime
from hornbook.tokenizing.settings import TokenizerSettings
from hornbook.tokenizing.tokenizer import Tokenizer

CPU = Runtime(torch.device("cpu"), torch.float32, seed=1, reason="a test")
WORDS = {
    "land": ["hill", "field", "tree", "road", "farm", "stone", "grass", "barn"],
    "sea": ["wave", "boat", "fish", "tide", "shore", "sail", "storm", "gull"],
}
COMMON = ["the", "a", "and", "of", "we", "saw", "one", "big", "old", "near"]


def labelled(count: int, seed: int) -> list[Labelled]:
    """Texts of ten words, three of which say which class it is."""
    rng = random.Random(seed)
    found = []
    for number in range(count):
        label = ("land", "sea")[number % 2]
        words = [*rng.choices(WORDS[label], k=3), *rng.choices(COMMON, k=7)]
        rng.shuffle(words)
        found.append(Labelled(" ".join(words), label))
    return found


def tokenizer_for(texts: Sequence[str]) -> Tokenizer:
    return Tokenizer.train([*texts, "zz qzx"], TokenizerSettings(vocab_size=350))


def tiny_model(tokenizer: Tokenizer) -> Transformer:
    """A language model, still; with weights of its own."""
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size, context_length=64, embed_dim=32, n_layers=1, n_heads=2
    )
    return Transformer(config, torch.Generator().manual_seed(1))
