"""Tokens per second of writing one text: Hornbook beside transformers, in turn, in one run.

    python bench/generate.py [--tokens 48] [--rounds 3]

GPT-2 124M with random weights, one text, greedy, 2 threads. "Bound" is the bytes of weights read for
a token divided by the bandwidth of copying memory, counted as bytes read and written (as STREAM does)
and as bytes copied.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from hornbook.inference.decoder import Decoder
from hornbook.inference.int8 import Int8Linear
from hornbook.inference.weights import NarrowLinear, Weights
from hornbook.model.presets import ModelSettings, resolve
from hornbook.model.transformer import Transformer

VOCAB, PROMPT = 50_257, 32


def copied_bytes_per_second() -> float:
    """The best of several copies of 256 MB."""
    source = torch.ones(1 << 26)
    target = torch.empty_like(source)
    times = []
    for _ in range(8):
        started = time.perf_counter()
        target.copy_(source)
        times.append(time.perf_counter() - started)
    return source.nbytes / min(times[1:])


def hornbook(weights: Weights) -> tuple[Callable[[int], float], int]:
    """A function that writes so many tokens, and the bytes of weights that each of them reads."""
    model = Transformer(resolve(ModelSettings(preset="gpt2-small"), VOCAB)).eval()
    decoder = Decoder(model, 1, weights=weights)
    read = sum(
        module.weight.nbytes
        for module in decoder.model.modules()
        if isinstance(module, torch.nn.Linear | NarrowLinear | Int8Linear)
    )

    def write(count: int) -> float:
        cache = decoder.new_cache()
        logits = decoder.read([1] * PROMPT, cache)
        decoder.cache.join(cache)
        started = time.perf_counter()
        for _ in range(count):
            logits = decoder.step([int(logits.argmax())])
        seconds = time.perf_counter() - started
        decoder.cache.leave(0)
        return count / seconds

    return write, read


def transformers(dtype: torch.dtype) -> Callable[[int], float]:
    """The same by transformers' `generate`; its first token, which reads the prompt, is not timed."""
    from transformers import GPT2Config, GPT2LMHeadModel

    model: Any = GPT2LMHeadModel(GPT2Config()).to(dtype).eval()
    ids = torch.ones(1, PROMPT, dtype=torch.int64)
    mask = torch.ones_like(ids)

    def seconds(count: int) -> float:
        started = time.perf_counter()
        model.generate(
            ids, attention_mask=mask, max_new_tokens=count, min_new_tokens=count, do_sample=False,
            pad_token_id=0,
        )  # fmt: skip
        return time.perf_counter() - started

    return lambda count: count / (seconds(count + 1) - seconds(1))


def main() -> None:
    """Measure all contestants in turn and print tokens per second and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    torch.manual_seed(1)
    writers: dict[str, Callable[[int], float]] = {}
    bytes_read: dict[str, int] = {}
    for weights in ("float32", "bfloat16", "int8"):
        name = f"hornbook {weights}"
        writers[name], bytes_read[name] = hornbook(weights)
    writers["transformers float32"] = transformers(torch.float32)
    writers["transformers bfloat16"] = transformers(torch.bfloat16)
    rates: dict[str, list[float]] = {name: [] for name in writers}
    with torch.inference_mode():
        for write in writers.values():
            write(4)
        for _ in range(arguments.rounds):
            for name, write in writers.items():
                rates[name].append(write(arguments.tokens))
    median = {name: statistics.median(found) for name, found in rates.items()}
    copied = copied_bytes_per_second()
    for name, rate in median.items():
        line = {"name": name, "tokens_per_second": round(rate, 1)}
        for peer in ("transformers float32", "transformers bfloat16"):
            line[f"times {peer}"] = round(rate / median[peer], 2)
        if name in bytes_read:
            line["share of bound (read + written)"] = round(rate * bytes_read[name] / copied / 2, 2)
            line["share of bound (copied)"] = round(rate * bytes_read[name] / copied, 2)
        print(json.dumps(line))
    print(json.dumps({"copied GB/s": round(copied / 1e9, 1)}))


if __name__ == "__main__":
    main()
