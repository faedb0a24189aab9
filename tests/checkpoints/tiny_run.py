"""A run small enough to be trained, saved and resumed in a test."""

from pathlib import Path

import torch

from hornbook.checkpoints.store import save_checkpoint
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime
from hornbook.sampling.loader import Loader
from hornbook.sampling.windows import Windows
from hornbook.training.loop import Step, train_steps
from hornbook.training.optimizer import Optimizer
from hornbook.training.schedule import plan_training
from hornbook.training.settings import TrainingSettings

CPU = Runtime(torch.device("cpu"), torch.float32, seed=1, reason="a test")
VOCAB = 23


def tiny_model(seed: int = 0, **changes: object) -> Transformer:
    sizes = {"vocab_size": VOCAB, "context_length": 8, "embed_dim": 16, "n_layers": 2, "n_heads": 2}
    torch.manual_seed(seed)
    return Transformer(ModelConfig.model_validate({**sizes, **changes}))


def tiny_loader() -> Loader:
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randint(0, VOCAB, (200,), generator=generator).numpy()
    return Loader(Windows(tokens, max_length=8, stride=8), batch_size=4, seed=5)


class TinyRun:
    """What a process holds while it trains."""

    def __init__(self, settings: TrainingSettings, seed: int = 0, **changes: object) -> None:
        self.settings = settings
        self.model = tiny_model(seed, **changes)
        self.optimizer = Optimizer(self.model, settings, CPU.dtype)

    def train(self, position: int, start_step: int, stop_step: int) -> list[Step]:
        loader = tiny_loader()
        plan = plan_training(self.settings, loader.batches_per_epoch, 32)
        batches = loader.batches(position)
        steps = train_steps(
            self.model, self.optimizer, batches, self.settings, CPU, plan, start_step
        )
        return [next(steps) for _ in range(stop_step - start_step)]


def saved(directory: Path, model: Transformer | None = None, **more: object) -> Path:
    """A checkpoint of a model at `directory`."""
    model = model or tiny_model()
    save_checkpoint(directory, model, tokenizer_fingerprint="a" * 64, **more)  # type: ignore[arg-type]
    return directory
