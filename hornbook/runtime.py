"""Where and how precisely to compute: device, dtype, seed, rank. Passed as an argument."""

import contextlib
import ctypes
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch

from hornbook.config import Settings
from hornbook.errors import HornbookError

CANDIDATES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
WORTH_IT = 1.2
"""A narrower dtype must be this many times faster than float32 to be chosen."""

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Options of glibc's mallopt (malloc.h)."""
KEPT_BYTES = 2**31 - 1
"""Free memory beyond this is given back: as much as mallopt can be told."""


class RuntimeSettings(Settings):
    """Where to compute."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """"auto" takes a GPU where there is one."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of matrix products; "auto" measures a short product in each and takes the fastest."""
    compile: bool | Literal["auto"] = "auto"
    """Let torch.compile fuse the blocks' operations for training; "auto" does so when pre-training
    on a CUDA GPU, where the time that it takes pays back."""
    deterministic: bool = False
    """On a GPU, use only kernels that give the same bits each time, slower ones among them, so that
    a resumed run is the uninterrupted one exactly. A CPU always does."""
    seed: int = 1
    """Seed of every random choice: weights, dropout, order of samples."""


@dataclass(frozen=True)
class Runtime:
    """One process's place in the computation."""

    device: torch.device
    dtype: torch.dtype
    """Precision of matrix products; parameters and sums stay float32."""
    seed: int
    reason: str
    """Why this device and dtype, in one sentence to print."""
    compile: bool | Literal["auto"] = False
    """`RuntimeSettings.compile`."""
    rank: int = 0
    world_size: int = 1

    @contextlib.contextmanager
    def autocast(self) -> Iterator[None]:
        """Matrix products inside the block run in `dtype`."""
        enabled = self.dtype != torch.float32
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=enabled):
            yield


def choose_runtime(settings: RuntimeSettings) -> Runtime:
    """Pick device and precision as the settings say, and seed torch.

    Raises:
        HornbookError: the device asked for is not there.
    """
    device = _choose_device(settings.device)
    if device.type == "cpu":
        keep_freed_memory()
    dtype, reason = _choose_dtype(settings.precision, device)
    if settings.deterministic and device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it
        torch.use_deterministic_algorithms(True)
    torch.manual_seed(settings.seed)
    return Runtime(
        device=device,
        dtype=dtype,
        seed=settings.seed,
        reason=f"{device.type}, {reason}",
        compile=settings.compile,
        rank=int(os.environ.get("RANK", "0")),
        world_size=int(os.environ.get("WORLD_SIZE", "1")),
    )


def random_state() -> dict[str, torch.Tensor]:
    """The state of torch's generators, which dropout draws from; uint8 vectors by device."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: Mapping[str, torch.Tensor]) -> None:
    """Put back what `random_state` gave, a GPU's only where there is one."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def keep_freed_memory() -> None:
    """Let this process keep the memory that tensors have freed, for the next ones.

    The C library gives large blocks back at once, and each step gets them anew, every page of them
    cleared by the system at first touch: a third of a step of GPT-2 124M. Only glibc can be told;
    elsewhere nothing happens.
    """
    allocator = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if allocator is not None:
        allocator(M_MMAP_MAX, 0)
        allocator(M_TRIM_THRESHOLD, KEPT_BYTES)


def _choose_device(wanted: str) -> torch.device:
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.mps.is_available()}
    if wanted == "auto":
        # MPS is never chosen unasked: some of its kernels have given wrong losses.
        return torch.device("cuda" if present["cuda"] else "cpu")
    if not present[wanted]:
        raise HornbookError(
            f"runtime.device: no {wanted} device on this machine; "
            f"expected one of {', '.join(name for name, here in present.items() if here)}, or auto."
        )
    return torch.device(wanted)


def _choose_dtype(wanted: str, device: torch.device) -> tuple[torch.dtype, str]:
    if wanted != "auto":
        return CANDIDATES[wanted], f"{wanted} as set"
    seconds = {name: time_product(device, CANDIDATES[name]) for name in ("float32", "bfloat16")}
    ratio = seconds["float32"] / seconds["bfloat16"]
    name = "bfloat16" if ratio > WORTH_IT else "float32"
    return CANDIDATES[name], f"{name}: a bfloat16 matrix product runs {ratio:.1f}x float32's speed"


def time_product(
    device: torch.device, dtype: torch.dtype, size: int = 512, repeats: int = 5
) -> float:
    """Fastest time in seconds of a (size, size) matrix product in `dtype` on `device`.

    float16 is not among the automatic choices: on a CPU without native support one such product
    takes hundreds of times as long, and training in it needs loss scaling.
    """
    left = torch.ones(size, size, device=device, dtype=dtype)
    times = []
    for _ in range(repeats + 1):  # the first one pays for set-up
        _synchronize(device)
        start = time.perf_counter()
        torch.matmul(left, left)
        _synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times[1:])


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
