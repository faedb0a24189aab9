"""Tokens per second of writing one text, and of reading a prompt of 512 tokens: Hornbook beside
transformers, in turn, in one run.

    python bench/generate.py [--tokens 48] [--rounds 3]

GPT-2 124M with random weights, one text, greedy, 2 threads. "transformers" is in the dtype that its
`from_pretrained` takes of itself. "Bound" is the bytes of weights read for a token divided by the
bandwidth of copying memory: bytes copied in a second (each is read once and written once).
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch

from hornbook.inference.generate import GenerationSettings, generate
from hornbook.inference.weights import Weights, laid_out, prepared
from hornbook.model.presets import ModelSettings, resolve
from hornbook.model.transformer import Transformer
from hornbook.runtime import RuntimeSettings, choose_runtime

VOCAB, PROMPT, LONG_PROMPT = 50_257, 32, 512
WIDTHS: dict[Weights, int] = {"float32": 4, "bfloat16": 2, "int8": 1}
"""Bytes of a weight."""


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


class Program:
    """What is measured of one program, from the seconds that it takes to write so many tokens."""

    def __init__(self, seconds: Callable[[list[int], int], float]) -> None:
        self._seconds = seconds

    def written(self, count: int) -> float:
        """Tokens a second; the first one, which reads the prompt, is not timed."""
        short = [1] * PROMPT
        return count / (self._seconds(short, count + 1) - self._seconds(short, 1))

    def read(self) -> float:
        """Tokens a second of a prompt, to the first token that follows."""
        return LONG_PROMPT / self._seconds([1] * LONG_PROMPT, 1)


def hornbook(weights: Weights) -> tuple[Program, int]:
    """Hornbook, and the bytes of weights that each token reads."""
    model = Transformer(resolve(ModelSettings(preset="gpt2-small"), VOCAB)).eval()
    bytes_read = sum(
        layer.weight.numel() * WIDTHS[weights]
        for layer in model.modules()
        if isinstance(layer, torch.nn.Linear)
    )
    model = laid_out(model) if weights == "float32" else prepared(model, weights)

    def seconds(prompt: list[int], count: int) -> float:
        settings = GenerationSettings(temperature=0, max_new_tokens=count)
        started = time.perf_counter()
        assert len(list(generate(model, prompt, settings))) == count
        return time.perf_counter() - started

    return Program(seconds), bytes_read


def transformers(dtype: torch.dtype | None) -> tuple[Program, torch.dtype]:
    """transformers' `generate`, and the dtype; without one, that of `from_pretrained` for a model
    stored in float32, as GPT-2 is published.
    """
    from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

    model: Any = GPT2LMHeadModel(GPT2Config())
    if dtype is None:
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder)
            model = AutoModelForCausalLM.from_pretrained(folder)
    model = model.to(dtype or model.dtype).eval()

    def seconds(prompt: list[int], count: int) -> float:
        ids = torch.tensor([prompt])
        started = time.perf_counter()
        model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, min_new_tokens=count, do_sample=False,
            pad_token_id=0,
        )  # fmt: skip
        return time.perf_counter() - started

    return Program(seconds), model.dtype


def main() -> None:
    """Measure all contestants in turn and print tokens per second and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    torch.manual_seed(1)
    programs: dict[str, Program] = {}
    bytes_read: dict[str, int] = {}
    for weights in WIDTHS:
        name = f"hornbook {weights}"
        programs[name], bytes_read[name] = hornbook(weights)
    chosen = str(choose_runtime(RuntimeSettings(device="cpu")).dtype).removeprefix("torch.")
    programs["transformers"], dtype = transformers(None)
    programs["transformers bfloat16"], _ = transformers(torch.bfloat16)
    print(json.dumps({"hornbook's choice": chosen, "transformers' default": str(dtype)}))
    rates: dict[str, list[float]] = {name: [] for name in programs}
    read: dict[str, list[float]] = {name: [] for name in programs}
    with torch.inference_mode():
        for program in programs.values():
            program.written(4)
        for _ in range(arguments.rounds):
            for name, program in programs.items():
                rates[name].append(program.written(arguments.tokens))
                read[name].append(program.read())
    median = {name: statistics.median(found) for name, found in rates.items()}
    prompt = {name: statistics.median(found) for name, found in read.items()}
    copied = copied_bytes_per_second()
    for name, rate in median.items():
        line = {"name": name, "tokens_per_second": round(rate, 1)}
        for peer in ("transformers", "transformers bfloat16"):
            line[f"times {peer}"] = round(rate / median[peer], 2)
        if name in bytes_read:
            line["share of bound"] = round(rate * bytes_read[name] / copied, 2)
        line["prompt_tokens_per_second"] = round(prompt[name])
        for peer in ("transformers", "transformers bfloat16"):
            line[f"prompt, times {peer}"] = round(prompt[name] / prompt[peer], 2)
        print(json.dumps(line))
    print(json.dumps({"copied GB/s": round(copied / 1e9, 1)}))


if __name__ == "__main__":
    main()
