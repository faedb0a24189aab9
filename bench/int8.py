"""Weights in int8: speed of writing against float32, bfloat16 and torchao, and what it costs in perplexity.

    python bench/int8.py [MODEL TEXT]

Speed: GPT-2 124M with random weights writes 24 tokens after a prompt of 24, one text at a time, on one
thread, each form in turn, three rounds, medians. Perplexity: MODEL's on TEXT, with each kind of weights.
"""

import copy
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch

from hornbook.evaluation.perplexity import sliding_window_perplexity
from hornbook.inference.generate import GenerationSettings, generate
from hornbook.inference.int8 import quantize_int8
from hornbook.model.presets import ModelSettings, resolve
from hornbook.model.transformer import Transformer
from hornbook.pipeline.models.bundle import default_runtime, load_bundle

ROUNDS, TOKENS = 3, 24
SETTINGS = GenerationSettings(max_new_tokens=TOKENS, temperature=0.0)


def torchao_int8(model: Transformer) -> Transformer:
    """torchao's int8 weight-only form of the same layers."""
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    quantize_(model, Int8WeightOnlyConfig())
    return model


def seconds(model: Transformer) -> float:
    """Of one text."""
    started = time.perf_counter()
    list(generate(model, list(range(TOKENS)), SETTINGS))
    return time.perf_counter() - started


def speed() -> None:
    """Print tokens a second of each form."""
    model = Transformer(resolve(ModelSettings(preset="gpt2-small"), 50_257)).eval()
    forms = {
        "float32": model,
        "bfloat16": copy.deepcopy(model).bfloat16(),
        "int8": quantize_int8(copy.deepcopy(model)),
        "torchao int8": torchao_int8(copy.deepcopy(model)),
    }
    times: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(ROUNDS):
        for name, form in forms.items():
            times[name].append(seconds(form))
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, median in medians.items():
        ratio = medians["float32"] / median
        print(f"{name:>14}: {TOKENS / median:6.1f} tokens/s, {ratio:.2f} times float32")


def loss(path: Path, text: Path) -> None:
    """Print a model's perplexity with its own weights and with narrower ones."""
    bundle = load_bundle(path, default_runtime())
    ids = np.array(bundle.tokenizer.encode(text.read_text(encoding="utf-8")))
    forms = {
        "float32": bundle.model,
        "bfloat16": copy.deepcopy(bundle.model).bfloat16(),
        "int8": quantize_int8(copy.deepcopy(bundle.model)),
    }
    for name, model in forms.items():
        score = sliding_window_perplexity(model, ids, bundle.runtime, batch_size=1)
        print(f"{name:>14}: perplexity {score.perplexity:.4f}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if len(sys.argv) == 3:
        loss(Path(sys.argv[1]), Path(sys.argv[2]))
    speed()
