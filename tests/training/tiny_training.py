"""A model and data small enough to train in a test."""

from collections.abc import Iterator

import torch

from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime
from hornbook.sampling.batch import IGNORE, Batch
from hornbook.training.loop import Step, train_steps
from hornbook.training.optimizer import Optimizer
from hornbook.training.schedule import plan_training
from hornbook.training.settings import TrainingSettings

CPU = Runtime(torch.device("cpu"), torch.float32, seed=1, reason="a test")
VOCAB = 23


def tiny_config(**changes: object) -> ModelConfig:
    sizes = {"vocab_size": VOCAB, "context_length": 8, "embed_dim": 16, "n_layers": 2, "n_heads": 2}
    return ModelConfig.model_validate({**sizes, **changes})


def tiny_model(**changes: object) -> Transformer:
    torch.manual_seed(0)
    return Transformer(tiny_config(**changes))


def random_batch(position: int = 1, rows: int = 4, untrained: float = 0.0) -> Batch:
    generator = torch.Generator().manual_seed(position)
    ids = torch.randint(0, VOCAB, (rows, 9), generator=generator)
    targets = ids[:, 1:].clone()
    targets[torch.rand(targets.shape, generator=generator) < untrained] = IGNORE
    return Batch(ids[:, :-1], targets, position)


def random_batches(start: int = 0, untrained: float = 0.0) -> Iterator[Batch]:
    position = start
    while True:
        position += 1
        yield random_batch(position, untrained=untrained)


def train(
    model: Transformer, settings: TrainingSettings, batches: Iterator[Batch], epoch: int = 5
) -> list[Step]:
    plan = plan_training(settings, batches_per_epoch=epoch, tokens_per_batch=32)
    optimizer = Optimizer(model, settings, CPU.dtype)
    return list(train_steps(model, optimizer, batches, settings, CPU, plan))
