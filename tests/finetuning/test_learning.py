"""Small models learn small tasks: a classifier in every mode, a follower its instructions."""

import random

import numpy as np
import pytest
import torch

from hornbook.corpus.tables import Instruction
from hornbook.finetuning.classification import (
    TrainMode,
    classification_dataset,
    classify,
    prepare_classifier,
)
from hornbook.finetuning.conversations import of_instructions
from hornbook.finetuning.instruction import (
    answer_prompts,
    instruction_dataset,
    prepare_follower,
)
from hornbook.finetuning.lora import LoRASettings
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime
from hornbook.sampling.dataset import Examples
from hornbook.sampling.loader import Loader
from hornbook.tokenizing.templates import stop_ids
from hornbook.tokenizing.tokenizer import Tokenizer, TokenizerSettings
from hornbook.training.loop import train_steps
from hornbook.training.optimizer import Optimizer
from hornbook.training.schedule import plan_training
from hornbook.training.settings import TrainingSettings

RUNTIME = Runtime(torch.device("cpu"), torch.float32, 0, "test")
GOOD, BAD = ["sunny", "kind", "happy", "warm"], ["gloomy", "mean", "sad", "cold"]


def tiny(vocab_size: int, context_length: int) -> Transformer:
    config = ModelConfig(
        vocab_size=vocab_size,
        context_length=context_length,
        embed_dim=32,
        n_layers=2,
        n_heads=2,
        positions="rotary",
        norm="rmsnorm",
        qk_norm=True,
    )
    return Transformer(config, torch.Generator().manual_seed(1))


def train(model: Transformer, examples: Examples, steps: int, lr: float) -> None:
    settings = TrainingSettings(steps=steps, batch_size=8, lr=lr, weight_decay=0.0)
    loader = Loader(examples, settings.batch_size, seed=1)
    plan = plan_training(settings, loader.batches_per_epoch, tokens_per_batch=1)
    optimizer = Optimizer(model, settings)
    for _ in train_steps(model, optimizer, loader.batches(), settings, RUNTIME, plan):
        pass


def moods(n: int, seed: int, pattern: str) -> tuple[list[str], list[int]]:
    generator = random.Random(seed)
    targets = [generator.randrange(2) for _ in range(n)]
    words = [generator.choice((BAD, GOOD)[target]) for target in targets]
    fillers = [generator.choice(["day", "walk", "friend"]) for _ in targets]
    texts = [pattern.format(word, filler) for word, filler in zip(words, fillers, strict=True)]
    return texts, targets


# A head alone cannot teach an untrained attention to look back, so there the word stands last.
@pytest.mark.parametrize(
    ("mode", "lr", "pattern"),
    [
        ("full", 3e-3, "a {0} {1}"),
        ("last-block", 3e-3, "a {0} {1}"),
        ("lora", 1e-2, "a {0} {1}"),
        ("head", 3e-2, "a {1} so {0}"),
    ],
)
def test_a_classifier_learns_two_moods(mode: TrainMode, lr: float, pattern: str) -> None:
    texts, targets = moods(64, 1, pattern)
    held_out, expected = moods(50, 2, pattern)
    tokenizer = Tokenizer.train(texts, TokenizerSettings(algorithm="word", vocab_size=100))
    model = tiny(tokenizer.vocab_size, context_length=16)
    prepare_classifier(model, 2, mode, LoRASettings(rank=4))
    examples, _ = classification_dataset(texts, targets, tokenizer, 16)
    train(model, examples, steps=60, lr=lr)
    given = classify(model, tokenizer, held_out, RUNTIME).argmax(axis=1)
    assert np.mean(given == np.array(expected)) > 0.8


@pytest.mark.parametrize(("mode", "lr"), [("full", 3e-3), ("lora", 5e-3)])
def test_a_follower_memorises_eight_instructions(mode: str, lr: float) -> None:
    animals = ["cat", "dog", "cow", "owl", "fox", "hen", "pig", "bee"]
    sounds = ["miaow", "woof", "moo", "hoot", "yelp", "cluck", "oink", "buzz"]
    asked = [
        Instruction("What does it say?", animal, f"It says {sound}!")
        for animal, sound in zip(animals, sounds, strict=True)
    ]
    text = [f"{e.instruction} {e.input} {e.output}" for e in asked]
    tokenizer = Tokenizer.train(text, TokenizerSettings(algorithm="bpe", vocab_size=350))
    model = tiny(tokenizer.vocab_size, context_length=64)
    prepare_follower(model, "lora" if mode == "lora" else "full", LoRASettings(rank=16))
    conversations = of_instructions(asked)
    examples, report = instruction_dataset(conversations, tokenizer, "hornbook", 64)
    assert report.ends_trained == 8
    train(model, examples, steps=200, lr=lr)
    model.eval()
    stops = stop_ids(tokenizer, "hornbook")
    prompts = answer_prompts(conversations, tokenizer, "hornbook")
    assert [greedy(model, tokenizer, prompt, stops) for prompt in prompts] == [
        example.output for example in asked
    ]


@torch.no_grad()
def greedy(model: Transformer, tokenizer: Tokenizer, prompt: list[int], stops: set[int]) -> str:
    """The likeliest continuation up to a stop token."""
    ids = list(prompt)
    while len(ids) < model.config.context_length:
        following = int(model(torch.tensor([ids]))[0, -1].argmax())
        if following in stops:
            return tokenizer.decode(ids[len(prompt) :]).strip()
        ids.append(following)
    return "did not stop"
