"""The parts of `bench/gpu.py`, each in a process of its own: `gpu_parts.py PART OUT.json ...`.

Both programs train the same shape in bfloat16, compiled, with their own optimizers: nanoGPT as its
train.py does with config/train_gpt2.py, Hornbook in its defaults. MFU counts 6 N + 12 L d T FLOPs a
token, N without look-ups in embeddings, of the peak in the GPU's data sheet.
"""

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_writing import measure
from torch import Tensor

from hornbook.checkpoints.store import load_training_state, load_weights, save_checkpoint
from hornbook.corpus.world.story import stories
from hornbook.model.presets import ModelSettings, resolve
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime, RuntimeSettings, choose_runtime
from hornbook.sampling.batch import Batch
from hornbook.sampling.loader import Loader
from hornbook.sampling.prefetch import prefetched
from hornbook.sampling.windows import Windows
from hornbook.tokenizing.tokenizer import Tokenizer, TokenizerSettings
from hornbook.training.acceleration import accelerate
from hornbook.training.evaluation import evaluate
from hornbook.training.flops import training_cost
from hornbook.training.loop import train_steps
from hornbook.training.optimizer import Optimizer
from hornbook.training.schedule import plan_training
from hornbook.training.selftest import OPERATIONS, find_fault
from hornbook.training.settings import TrainingSettings

Found = dict[str, Any]
Stepping = Callable[[Iterator[Batch], int], float]
"""Trains on so many batches; seconds, the device's work included."""


@dataclass(frozen=True)
class Case:
    """What is measured, on what."""

    device: torch.device
    nanogpt: Path | None
    text: Path | None
    rows: int
    tokens: int
    """That nanoGPT reads for its loss."""
    tiny: bool
    fp8: bool = False

    @property
    def context(self) -> int:
        """Tokens of a sequence."""
        return 32 if self.tiny else 1024

    @property
    def vocab(self) -> int:
        """nanoGPT's: GPT-2's 50,257 and some that are never read."""
        return 512 if self.tiny else 50_304

    @property
    def shape(self) -> dict[str, Any]:
        """Layers, heads and width of the model, where they are not GPT-2's."""
        return {"n_layers": 2, "n_heads": 2, "embed_dim": 32} if self.tiny else {}

    @property
    def few(self) -> int:
        """Steps timed at once."""
        return 2 if self.tiny else 20

    def runtime(self) -> Runtime:
        """bfloat16, compiled where the default is to compile."""
        return Runtime(self.device, torch.bfloat16, 1, "a benchmark", compile="auto")

    def model(self, preset: str = "gpt2-small") -> Transformer:
        """Hornbook's, on the device."""
        shape = {"context_length": self.context, **self.shape}
        if self.tiny and preset != "gpt2-small":
            shape |= {"n_kv_heads": 2, "hidden_dim": 64}
        config = resolve(ModelSettings(preset=preset, **shape), self.vocab)
        return Transformer(config, torch.Generator().manual_seed(1)).to(self.device)

    def wait(self) -> None:
        """Until the device has done all."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def random_batches(case: Case) -> Iterator[Batch]:
    """Of random ids, on the CPU; made beforehand, as making them is not what is measured."""
    generator = torch.Generator().manual_seed(1)
    made = []
    for position in range(1, 9):
        ids = torch.randint(case.vocab, (case.rows, case.context + 1), generator=generator)
        made.append(Batch(ids[:, :-1].contiguous(), ids[:, 1:].contiguous(), position))
    while True:
        yield from made


def hornbook(case: Case, model: Transformer, settings: TrainingSettings) -> Stepping:
    """A training as `hornbook pretrain` steps through it."""
    runtime = case.runtime()
    for line in accelerate(model, settings, runtime, same_width=True):
        print(f"   {line}", file=sys.stderr)
    optimizer = Optimizer(model, settings, runtime.dtype)
    plan = plan_training(settings, 1000, case.rows * case.context)
    done = 0

    def train(batches: Iterator[Batch], steps: int) -> float:
        nonlocal done
        case.wait()
        started = time.perf_counter()
        with prefetched(batches, case.device) as ready:
            going = train_steps(model, optimizer, ready, settings, runtime, plan, done)
            for _ in islice(going, steps):
                done += 1
        case.wait()
        return time.perf_counter() - started

    return train


def nanogpt(case: Case, total: int) -> tuple[Stepping, Any]:
    """A training as nanoGPT's train.py steps through it, and its model; `total` steps of cosine."""
    sys.path.insert(0, str(case.nanogpt))
    import model as theirs  # type: ignore[import-not-found]

    torch.manual_seed(1)
    names = {"n_layers": "n_layer", "n_heads": "n_head", "embed_dim": "n_embd"}
    shape = {names[name]: value for name, value in case.shape.items()}
    config = theirs.GPTConfig(block_size=case.context, vocab_size=case.vocab, bias=False, **shape)
    plain: Any = theirs.GPT(config).to(case.device).train()
    optimizer = plain.configure_optimizers(0.1, 6e-4, (0.9, 0.95), case.device.type)
    model = torch.compile(plain) if case.device.type == "cuda" else plain
    done = 0

    def train(batches: Iterator[Batch], steps: int) -> float:
        nonlocal done
        case.wait()
        started = time.perf_counter()
        for batch in islice(batches, steps):
            done += 1
            for group in optimizer.param_groups:
                group["lr"] = 6e-4 * _cosine(done, total)
            x, y = (_sent(ids, case.device) for ids in (batch.inputs, batch.targets))
            with torch.autocast(case.device.type, torch.bfloat16):
                _, loss = model(x, y)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        case.wait()
        return time.perf_counter() - started

    return train, plain


def _sent(ids: Tensor, device: torch.device) -> Tensor:
    return ids.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else ids


def _cosine(step: int, total: int) -> float:
    """nanoGPT's: 2,000 of 600,000 steps up, here 5 % of a short run, then down to a tenth."""
    warm_up = max(total // 20, 1)
    if step < warm_up:
        return step / warm_up
    return 0.1 + 0.45 * (1 + math.cos(math.pi * (step - warm_up) / max(total - warm_up, 1)))


def selftest(case: Case) -> Found:
    """Nine operations beside the CPU's float32."""
    return {"operations": list(OPERATIONS), "fault": find_fault(case.runtime())}


def step(case: Case) -> Found:
    """Tokens a second and MFU, both programs in turn."""
    settings = TrainingSettings(steps=10_000, fp8=case.fp8)
    model = case.model()
    cost = training_cost(model, case.context, case.runtime())
    contestants = {"hornbook": hornbook(case, model, settings)}
    if case.nanogpt is not None:
        contestants["nanogpt"] = nanogpt(case, 10_000)[0]
    peaks = {}
    for name, train in contestants.items():
        if case.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        train(random_batches(case), case.few)  # compiled, and warm
        used = torch.cuda.max_memory_allocated() if case.device.type == "cuda" else 0
        peaks[name] = round(used / 2**30, 2)
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(5):
        for name, train in contestants.items():
            times[name].append(train(random_batches(case), case.few) / case.few)
    found: Found = {"peak": cost.peak.source, "rows": case.rows, "context": case.context}
    for name, seconds in times.items():
        rate = case.rows * case.context / statistics.median(seconds)
        found[name] = {
            "tokens_per_second": round(rate),
            "mfu": round(cost.utilization(rate), 4),
            "ms_a_step": [round(1000 * one, 2) for one in seconds],
            "peak_gib_with_what_stood_before": peaks[name],
        }
    if "nanogpt" in found:
        ours, theirs = (found[n]["tokens_per_second"] for n in ("hornbook", "nanogpt"))
        found["hornbook / nanogpt"] = round(ours / theirs, 3)
    return found


def fp8(case: Case) -> Found:
    """The step in 8 bits, and the loss of a short training with and without."""
    tokens = text_tokens(case)
    found: Found = {}
    for name, on in (("bfloat16", False), ("fp8", True)):
        steps = 10 if case.tiny else 300
        settings = TrainingSettings(steps=steps, batch_size=case.rows, fp8=on)
        model = case.model("modern-124m")
        seconds = hornbook(case, model, settings)(loader(case, tokens).batches(), steps)
        found[name] = {"validation_loss": held_out(case, tokens, model), "seconds": seconds}
    found["step"] = step(Case(**{**vars(case), "nanogpt": None, "fp8": True}))
    return found


def waits(case: Case) -> Found:
    """How often torch says that the host has waited for the device, in so many steps."""
    train = hornbook(case, case.model(), TrainingSettings(steps=10_000))
    train(random_batches(case), 3)
    if case.device.type == "cuda":
        torch.cuda.set_sync_debug_mode("warn")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train(random_batches(case), case.few)
    if case.device.type == "cuda":
        torch.cuda.set_sync_debug_mode("default")
    said = [str(one.message) for one in caught if "synchroniz" in str(one.message)]
    return {"steps": case.few, "waits": len(said), "said": sorted(set(said))[:3]}


def exact(case: Case) -> Found:
    """Losses of a training, and of one that goes on from its checkpoint: the same bits?"""
    settings = RuntimeSettings(device=case.device.type, deterministic=True, compile=False)  # type: ignore[arg-type]
    runtime = choose_runtime(settings)
    training = TrainingSettings(steps=12, batch_size=case.rows)
    plan = plan_training(training, 1000, case.rows * case.context)
    folder = Path(tempfile.mkdtemp()) / "checkpoint"

    def losses(start: int, stop: int, save: bool) -> list[float]:
        model = case.model()
        optimizer = Optimizer(model, training, runtime.dtype)
        if start:
            load_weights(folder, model)
            load_training_state(folder, optimizer)
        batches = islice(random_batches(case), start, None)
        going = train_steps(model, optimizer, batches, training, runtime, plan, start)
        found = [one.loss for one in islice(going, stop - start)]
        if save:
            state = {"step": stop}
            save_checkpoint(
                folder, model, tokenizer_fingerprint="a", optimizer=optimizer, state=state
            )
        return found

    whole, first = losses(0, 12, False), losses(0, 6, True)
    resumed = [*first, *losses(6, 12, False)]
    return {"same": resumed == whole, "losses": whole, "resumed": resumed}


def text_tokens(case: Case) -> np.ndarray[Any, Any]:
    """The text as ids of a tokenizer trained on it, int64 (tokens,)."""
    if case.text is not None:
        texts = case.text.read_text("utf-8").split("\n\n")
    else:
        texts = [one.text for one in stories(seed=1, start=0, stop=300 if case.tiny else 60_000)]
    tokenizer = Tokenizer.train(texts, TokenizerSettings(vocab_size=min(case.vocab, 8192)))
    rows = tokenizer.encode_batch(texts)
    return np.concatenate([np.array([*ids, tokenizer.eos_id]) for ids in rows])


def loader(case: Case, tokens: np.ndarray[Any, Any]) -> Loader:
    """Batches of the first nine tenths."""
    cut = len(tokens) * 9 // 10
    return Loader(Windows(tokens[:cut], case.context), case.rows, seed=1)


def held_out(case: Case, tokens: np.ndarray[Any, Any], model: Transformer) -> float:
    """The loss on the last tenth, of a million tokens at most."""
    rest = Windows(tokens[len(tokens) * 9 // 10 :][:1_000_000], case.context)
    batches = Loader(rest, case.rows, 0, shuffle=False, drop_last=False).epoch()
    return evaluate(model, batches, case.runtime()).loss


def loss(case: Case) -> Found:
    """nanoGPT's validation loss after some tokens; Hornbook's after half of them."""
    tokens = text_tokens(case)
    steps = 20 if case.tiny else max(case.tokens // (case.rows * case.context), 2)
    found: Found = {"tokens_of_the_text": len(tokens), "nanogpt_steps": steps}
    if case.nanogpt is not None:
        train, model = nanogpt(case, steps)
        seconds = train(loader(case, tokens).batches(), steps)
        found["nanogpt"] = {"validation_loss": held_out_of(case, tokens, model), "seconds": seconds}
    for share in (2, 1):
        settings = TrainingSettings(steps=steps // share, batch_size=case.rows)
        ours = case.model("modern-124m")
        seconds = hornbook(case, ours, settings)(loader(case, tokens).batches(), steps // share)
        found[f"hornbook, 1/{share} of the tokens"] = {
            "validation_loss": held_out(case, tokens, ours),
            "seconds": seconds,
        }
    return found


@torch.no_grad()
def held_out_of(case: Case, tokens: np.ndarray[Any, Any], model: Any) -> float:
    """nanoGPT's loss over the same windows as `held_out`."""
    rest = Windows(tokens[len(tokens) * 9 // 10 :][:1_000_000], case.context)
    total, count = 0.0, 0
    model.eval()
    for batch in Loader(rest, case.rows, 0, shuffle=False, drop_last=False).epoch():
        kept = batch.targets.ge(0)
        targets = batch.targets.where(kept, torch.tensor(-1))  # what nanoGPT ignores
        with torch.autocast(case.device.type, torch.bfloat16):
            mean = model(batch.inputs.to(case.device), targets.to(case.device))[1]
        total, count = total + float(mean) * int(kept.sum()), count + int(kept.sum())
    return total / count


def write(case: Case) -> Found:
    """Writing with and without a CUDA graph."""
    return measure(case.model(), case.device, case.tiny)


PARTS: dict[str, Callable[[Case], Found]] = {
    "selftest": selftest,
    "step": step,
    "fp8": fp8,
    "waits": waits,
    "exact": exact,
    "loss": loss,
    "write": write,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("out", type=Path)
    parser.add_argument("--nanogpt", type=Path)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=32_000_000)
    parser.add_argument("--tiny", action="store_true")
    given = parser.parse_args()
    if not (torch.cuda.is_available() or given.tiny):
        sys.exit("there is no GPU here; --tiny tries the program on the CPU")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_float32_matmul_precision("high")  # as nanoGPT sets it; bfloat16 is not touched
    rows = 2 if given.tiny else given.rows
    case = Case(device, given.nanogpt, given.text, rows, given.tokens, given.tiny)
    given.out.write_text(json.dumps(PARTS[given.part](case)))


if __name__ == "__main__":
    main()
