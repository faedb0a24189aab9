"""The part `write` of `bench/gpu.py`: tokens a second with and without a CUDA graph."""

import contextlib
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch

from hornbook.inference import decoder
from hornbook.inference.cuda_graph import Recorder, Work, recorder_for
from hornbook.inference.generate import GenerationSettings, generate_batch
from hornbook.inference.weights import prepared
from hornbook.model.transformer import Transformer

Found = dict[str, Any]
PROMPT = 16


class Counting:
    """A recorder that counts; without another one it does work anew in place of recording it."""

    def __init__(self, recorder: Recorder | None) -> None:
        self._recorder = recorder
        self.recorded = 0

    def warm_up(self, work: Work) -> None:
        """See `Recorder`."""
        if self._recorder is None:
            work()
        else:
            self._recorder.warm_up(work)

    def record(self, work: Work) -> Work:
        """See `Recorder`."""
        again = work if self._recorder is None else self._recorder.record(work)
        self.recorded += 1
        return again


@contextlib.contextmanager
def recording(on: bool) -> Iterator[list[Counting]]:
    """Have decoders record, or not; gives their recorders."""
    made: list[Counting] = []

    def make(device: torch.device) -> Counting | None:
        if on:
            made.append(Counting(recorder_for(device)))
        return made[-1] if on else None

    kept = decoder.recorder_for
    decoder.recorder_for = make
    try:
        yield made
    finally:
        decoder.recorder_for = kept


def copied_bytes_per_second(device: torch.device) -> float:
    """The best of several copies, of 1 GiB on a GPU."""
    source = torch.ones(1 << (28 if device.type == "cuda" else 20), device=device)
    target = torch.empty_like(source)

    def once() -> float:
        wait(device)
        started = time.perf_counter()
        target.copy_(source)
        wait(device)
        return time.perf_counter() - started

    return source.nbytes / min([once() for _ in range(8)][1:])


def wait(device: torch.device) -> None:
    """Until the device has done all."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def measure(model: Transformer, device: torch.device, tiny: bool) -> Found:
    """One text and sixteen at once, greedy, bfloat16, in turn; and transformers' generate for one."""
    model = prepared(model.eval(), "bfloat16")
    weights = sum(
        layer.in_features * layer.out_features * 2
        for layer in model.modules()
        if hasattr(layer, "in_features")
    )
    few, many = (4, 12) if tiny else (32, 224)  # up to 256 places: one recording in either
    copied = copied_bytes_per_second(device)
    found: Found = {"copied_gb_per_second": round(copied / 1e9, 1)}
    for rows in (1, 16):
        written: dict[bool, list[list[int]]] = {}

        def write(count: int, on: bool, rows: int = rows, written: Any = written) -> int:
            prompts = [[row + 1] * PROMPT for row in range(rows)]
            settings = GenerationSettings(temperature=0, max_new_tokens=count)
            with recording(on) as made:
                written[on] = generate_batch(model, prompts, settings)
            return sum(one.recorded for one in made)

        times: dict[bool, list[float]] = {True: [], False: []}
        recorded = 0
        for _ in range(4):
            for on, taken in times.items():
                taken.append(difference(lambda count, on=on: write(count, on), few, many, device))  # type: ignore[misc]
        recorded = write(few, True)
        rates = {on: (many - few) / statistics.median(taken[1:]) for on, taken in times.items()}
        found[f"{rows} at once"] = {
            "tokens_per_second": round(rows * rates[True], 1),
            "without_a_graph": round(rows * rates[False], 1),
            "graphs_recorded": recorded,
            "same_tokens": written_alike(write, written, few),
            "share_of_bound": round(rates[True] * weights / copied, 3),
            "waits_a_token": round(waits(lambda: write(few, True), device) / few, 2),
        }
    if not tiny:
        found["transformers_bfloat16"] = transformers(model, few, many, device)
    return found


def difference(write: Callable[[int], Any], few: int, many: int, device: torch.device) -> float:
    """Seconds that many tokens take more than few, both recorded anew: what reading takes drops out."""
    seconds = []
    for count in (few, many):
        wait(device)
        started = time.perf_counter()
        write(count)
        wait(device)
        seconds.append(time.perf_counter() - started)
    return seconds[1] - seconds[0]


def written_alike(write: Callable[[int, bool], int], written: Any, count: int) -> bool:
    """Whether the same tokens are written either way."""
    write(count, True)
    write(count, False)
    return bool(written[True] == written[False])


def waits(work: Callable[[], Any], device: torch.device) -> int:
    """How often torch says that the host has waited for the device."""
    if device.type == "cuda":
        torch.cuda.set_sync_debug_mode("warn")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        work()
    if device.type == "cuda":
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(one.message) for one in caught)


def transformers(model: Transformer, few: int, many: int, device: torch.device) -> float:
    """Tokens a second of its `generate`, for one text, with a GPT-2 of the same shape."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=model.config.vocab_size)
    theirs: Any = GPT2LMHeadModel(config).to(device, torch.bfloat16).eval()
    ids = torch.ones(1, PROMPT, dtype=torch.int64, device=device)

    def write(count: int) -> None:
        theirs.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, min_new_tokens=count,
            do_sample=False, pad_token_id=0,
        )  # fmt: skip

    taken = [difference(write, few, many, device) for _ in range(4)]
    return round((many - few) / statistics.median(taken[1:]), 1)
