"""The peaks of trainings as estimated and as measured, in forks of one process: JSON on standard output.

    python -m tests.training.forked_peaks

A fork begins with all that was imported and nothing that was allocated since, so its peak is the same
each time, and no library is loaded again.
"""

import json
import os
from typing import Any

import torch

from hornbook.model.config import ModelConfig
from hornbook.model.presets import ModelSettings, resolve
from hornbook.training import process_memory
from hornbook.training.settings import TrainingSettings
from tests.training.tiny_training import CPU

ROWS, WIDTH, VOCAB_SIZE = 6, 128, 1024
LAYERS = (1, process_memory.TURNS, 8)
"""Of the models tried, and of the whole."""
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nano": ({"preset": "nano"}, {}),
    "gpt2-mini": ({"preset": "gpt2-mini"}, {"optimizer": "adamw"}),
    "grouped heads": (
        {
            "preset": "modern-124m",
            "embed_dim": 128,
            "n_heads": 4,
            "n_kv_heads": 2,
            "hidden_dim": 384,
        },
        {},
    ),
}
"""By a name: the model's settings, and the training's."""


def forked_peak(config: ModelConfig, settings: TrainingSettings) -> int:
    """As `tried_peak`, in a fork of this process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        trial = {
            "config": config.model_dump(mode="json"),
            "settings": settings.model_dump(mode="json"),
            "rows": ROWS,
            "width": WIDTH,
            "threads": 1,
        }
        process_memory.train_briefly(trial)
        os.write(writing, str(process_memory.peak_bytes()).encode())
        os._exit(0)
    os.close(writing)
    with open(reading) as answer:
        found = int(answer.read())
    os.waitpid(child, 0)
    return found


def main() -> None:
    """Print, for each case, the estimate and the measured peak of a process of the whole model."""
    torch.set_num_threads(1)
    # All forks before the first estimate, which takes memory here.
    cases = {name: _case(*changes) for name, changes in CASES.items()}
    peaks = {
        name: {n: forked_peak(config.model_copy(update={"n_layers": n}), settings) for n in LAYERS}
        for name, (config, settings) in cases.items()
    }
    found = {}
    for name, (config, settings) in cases.items():
        process_memory.tried_peak = lambda few, *_, known=peaks[name]: known[few.n_layers]
        sizes = config, settings, ROWS, WIDTH
        estimated = process_memory.process_peak(*sizes, CPU, tries=1)
        found[name] = (estimated, peaks[name][config.n_layers])
    print(json.dumps(found))


def _case(shape: dict[str, Any], changes: dict[str, Any]) -> tuple[ModelConfig, TrainingSettings]:
    config = resolve(ModelSettings(**shape, n_layers=LAYERS[-1]), VOCAB_SIZE)
    return config, TrainingSettings(batch_size=ROWS, **changes)


if __name__ == "__main__":
    main()
