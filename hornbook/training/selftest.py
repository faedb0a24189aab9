"""A test of the device before it is trusted: what it computes, against the CPU's float32.

Drivers and kernels have given wrong numbers without a word, above all on Apple's MPS: training then
runs, and its losses are nonsense. A few operations, and the gradient of a tiny model, are computed
on the device and, from the same numbers, on the CPU in float32. What passed is remembered in the
user's cache, so that the next run with the same device and versions starts at once.
"""

import contextlib
import json
import os
import platform
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hornbook import __version__
from hornbook.artifact import write_text
from hornbook.errors import HornbookError
from hornbook.model.attention import attend
from hornbook.model.config import ModelConfig
from hornbook.model.norm import LayerNorm, RMSNorm
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime, RuntimeSettings, choose_runtime
from hornbook.sampling.batch import IGNORE, Batch
from hornbook.training.adamw import AdamW
from hornbook.training.muon import orthogonalize
from hornbook.training.objective import loss_sum

TOLERANCES = {torch.float32: 2e-3, torch.bfloat16: 5e-2}
"""Largest length of the difference, as a share of the right result's length. float32's leaves room
for GPUs that multiply in TF32; a wrong kernel is off by far more than either."""
SEED = 20_240_229


class Draw:
    """Numbers for one computation: drawn on the CPU, so the same for every device."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._generator = torch.Generator().manual_seed(SEED)

    def normal(self, *shape: int) -> Tensor:
        """A float32 leaf on the device, to take a gradient by."""
        numbers = torch.randn(shape, generator=self._generator)
        return numbers.to(self.runtime.device).requires_grad_()

    def ids(self, limit: int, *shape: int) -> Tensor:
        """int64 numbers below `limit`, on the device."""
        numbers = torch.randint(limit, shape, generator=self._generator)
        return numbers.to(self.runtime.device)


def _with_gradients(y: Tensor, *leaves: Tensor) -> list[Tensor]:
    """A result, and the gradient by each leaf of the sum of its squares."""
    return [y, *torch.autograd.grad(y.float().square().sum(), leaves)]


def _matrix_product(draw: Draw) -> list[Tensor]:
    x, weight, bias = draw.normal(2, 37, 64), draw.normal(48, 64), draw.normal(48)
    flipped = draw.normal(33, 64)
    y = F.linear(x, weight, bias)  # (2, 37, 48)
    return [*_with_gradients(y, x, weight, bias), x[0] @ flipped.t()]  # a transposed view as well


def _softmax(draw: Draw) -> list[Tensor]:
    x = draw.normal(4, 33, 70)
    hidden = torch.ones(33, 70, dtype=torch.bool, device=x.device).triu(1)
    return _with_gradients(x.mul(4).masked_fill(hidden, -torch.inf).softmax(dim=-1), x)


def _normalization(draw: Draw) -> list[Tensor]:
    found = []
    for kind in (LayerNorm, RMSNorm):
        x = draw.normal(3, 40, 48)
        norm = kind(48, 1e-5).to(x.device)
        found += _with_gradients(norm(x * 3 + 1).pow(3), x, norm.weight)
    return found


def _attention(draw: Draw) -> list[Tensor]:
    query, key, value = (
        draw.normal(2, 4, 40, 16),
        draw.normal(2, 2, 40, 16),
        draw.normal(2, 2, 40, 16),
    )
    dtype = draw.runtime.dtype
    y = attend(query.to(dtype), key.to(dtype), value.to(dtype))
    return _with_gradients(y, query, key, value)


def _embedding(draw: Draw) -> list[Tensor]:
    table, ids = draw.normal(11, 32), draw.ids(11, 4, 30)  # every id comes many times
    return _with_gradients(F.embedding(ids, table), table)


def _cross_entropy(draw: Draw) -> list[Tensor]:
    logits, targets = draw.normal(50, 1000), draw.ids(1000, 50)
    targets[7] = IGNORE
    loss = F.cross_entropy(logits * 3, targets, ignore_index=IGNORE, reduction="sum")
    return [loss, *torch.autograd.grad(loss, [logits])]


def _indexing(draw: Draw) -> list[Tensor]:
    x, rows = draw.normal(40, 24), draw.ids(40, 60)
    columns = draw.ids(24, 40, 5)
    sums = torch.zeros(40, 24, device=x.device).index_add(0, rows, x[rows])
    ones = torch.zeros(40, 24, device=x.device).scatter(1, columns, 1.0)
    return [*_with_gradients(x[rows], x), *_with_gradients(x.gather(1, columns), x), sums, ones]


def _optimizers(draw: Draw) -> list[Tensor]:
    weight, gradient = nn.Parameter(draw.normal(20, 30)), draw.normal(20, 30)
    adamw = AdamW({"weight": weight}, lr=0.1)
    for _ in range(3):
        weight.grad = gradient.detach() * weight.detach()
        adamw.step(0.1)
    turned = orthogonalize(draw.normal(2, 8, 64).detach(), draw.runtime.dtype)
    return [weight.detach(), turned]


def _model_gradient(draw: Draw) -> list[Tensor]:
    """Of all parts of a model together; its loss first."""
    config = ModelConfig(
        vocab_size=97,
        context_length=24,
        embed_dim=32,
        n_layers=2,
        n_heads=4,
        n_kv_heads=2,
        positions="rotary",
        norm="rmsnorm",
        qk_norm=True,
        mlp="swiglu",
    )
    model = Transformer(config, torch.Generator().manual_seed(SEED)).to(draw.runtime.device)
    ids = draw.ids(97, 3, 25)
    loss, _ = loss_sum(model, Batch(ids[:, :-1], ids[:, 1:], position=1))
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    return [loss, torch.cat([gradient.flatten() for gradient in gradients])]


OPERATIONS: dict[str, Callable[[Draw], list[Tensor]]] = {
    "the matrix product": _matrix_product,
    "softmax": _softmax,
    "normalization": _normalization,
    "attention": _attention,
    "the embedding's gradient": _embedding,
    "cross-entropy": _cross_entropy,
    "indexing": _indexing,
    "the optimizers' step": _optimizers,
    "a tiny model's gradient": _model_gradient,
}
"""What is tested, the smallest parts first: the first that fails is named."""


def find_fault(runtime: Runtime) -> str | None:
    """What the device computes wrongly, or cannot compute, in a few words; None if nothing is."""
    right = Runtime(torch.device("cpu"), torch.float32, runtime.seed, "the self-test")
    for name, compute in OPERATIONS.items():
        try:
            with runtime.autocast():
                found = compute(Draw(runtime))
        except RuntimeError as error:  # a missing kernel is a NotImplementedError, which is one
            return f"{name} fails: {str(error).splitlines()[0]}"
        wanted = compute(Draw(right))
        for ours, theirs in zip(found, wanted, strict=True):
            fault = _difference(ours, theirs, TOLERANCES[runtime.dtype])
            if fault:
                return f"{name} {fault}"
    return None


def _difference(found: Tensor, wanted: Tensor, tolerance: float) -> str | None:
    found, wanted = found.detach().cpu().double(), wanted.detach().double()
    if not bool(found.isfinite().all()):
        return "gives values that are no numbers"
    share = ((found - wanted).norm() / wanted.norm().clamp(min=1e-12)).item()
    if share <= tolerance:
        return None
    return f"is off by {share:.0%} of its value" if share < 10 else "is nothing like its value"


def trusted_runtime(settings: RuntimeSettings, cache: Path | None = None) -> Runtime:
    """The runtime that the settings choose, once it has passed; else the next best that does.

    In place of a faulty bfloat16 float32 is taken where the precision is "auto", and in place of a
    faulty device the CPU where the device is "auto"; `Runtime.reason` says so.

    Args:
        cache: the file that remembers what has passed; the user's own when not given.

    Raises:
        HornbookError: the device or precision that was asked for computes wrongly.
    """
    cache = cache or cache_file()
    faults: dict[str, str] = {}  # by place, in the order of trying
    for attempt in _attempts(settings):
        runtime = choose_runtime(attempt)
        if _place(runtime) in faults:
            continue  # "auto" had chosen the same
        fault = None if _needs_no_test(runtime) else _remembered_fault(runtime, cache)
        if fault is None:
            return replace(runtime, reason="; ".join([runtime.reason, *_told(faults)]))
        faults[_place(runtime)] = fault
        if runtime.world_size > 1:
            break  # all processes must compute alike
    raise HornbookError(
        f"{'; '.join(_told(faults))}. Its losses would be wrong: set runtime.device=cpu or "
        "runtime.precision=float32, or bring its driver and torch up to date."
    )


def _attempts(settings: RuntimeSettings) -> list[RuntimeSettings]:
    """What the settings allow, in order of preference."""
    attempts = [settings]
    if settings.precision == "auto":
        attempts.append(settings.model_copy(update={"precision": "float32"}))
    if settings.device == "auto":
        attempts.append(settings.model_copy(update={"device": "cpu"}))
        if settings.precision == "auto":
            attempts.append(settings.model_copy(update={"device": "cpu", "precision": "float32"}))
    return attempts


def _told(faults: dict[str, str]) -> list[str]:
    return [f"{place} failed the self-test: {fault}" for place, fault in faults.items()]


def _needs_no_test(runtime: Runtime) -> bool:
    return runtime.device.type == "cpu" and runtime.dtype == torch.float32


def _place(runtime: Runtime) -> str:
    return f"{runtime.device.type} in {str(runtime.dtype).removeprefix('torch.')}"


def _remembered_fault(runtime: Runtime, cache: Path) -> str | None:
    """`find_fault`, unless this device, precision and software have passed before.

    Failures are not remembered: the next run looks again.
    """
    key, passed = _key(runtime), _read(cache)
    if key in passed:
        return None
    fault = find_fault(runtime)
    if fault is None:
        with contextlib.suppress(OSError):  # a home that cannot be written to costs a second a run
            write_text(cache, json.dumps({"passed": sorted({*passed, key})}, indent=2) + "\n")
    return fault


def _key(runtime: Runtime) -> str:
    device = runtime.device
    if device.type == "cuda":
        name = f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}"
    else:
        processor = f"{platform.processor()} {torch.backends.cpu.get_cpu_capability()}"
        name = f"{platform.machine()} {processor} {platform.mac_ver()[0]}"
    return (
        f"{device.type} {name}, {runtime.dtype}, torch {torch.__version__}, hornbook {__version__}"
    )


def _read(cache: Path) -> set[str]:
    """The keys of what has passed; none if the file is missing or damaged."""
    try:
        passed = json.loads(cache.read_text("utf-8"))["passed"]
        return {key for key in passed if isinstance(key, str)}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def cache_file() -> Path:
    """Where passed tests are remembered: `$XDG_CACHE_HOME/hornbook/selftest.json`."""
    given = os.environ.get("XDG_CACHE_HOME")
    return (Path(given) if given else Path.home() / ".cache") / "hornbook" / "selftest.json"
