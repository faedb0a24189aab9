"""What a step has a CUDA device do, recorded once and done again at one call from the host.

A step of writing is some hundreds of small kernels, and a host takes longer to start them than a quick
device to run them. A CUDA graph has them start each other (Nguyen et al. 2021, "Accelerating PyTorch
with CUDA Graphs", PyTorch's blog). It holds what is done to which memory, and nothing of what Python
decided on the way: the same memory must be used each time, and no number be asked of the device.
"""

from collections.abc import Callable
from typing import Protocol

import torch

Work = Callable[[], None]
"""Has a device compute something; what goes in and comes out stands in tensors that stay."""


class Recorder(Protocol):
    """Records work, to be done again."""

    def warm_up(self, work: Work) -> None:
        """Do it, as must be done some times before it is recorded."""

    def record(self, work: Work) -> Work:
        """Record it without doing it; what is returned does it.

        Raises:
            RuntimeError: something in it cannot be recorded.
        """


class CudaRecorder:
    """Records CUDA graphs, which share the memory for what lies between their tensors.

    Warm-up and recording happen on a stream beside the current one, as torch's notes on CUDA graphs ask;
    other threads may use the device meanwhile.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def warm_up(self, work: Work) -> None:
        """See `Recorder`."""
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            work()
        current.wait_stream(self._stream)

    def record(self, work: Work) -> Work:
        """See `Recorder`."""
        graph = torch.cuda.CUDAGraph()
        with (
            torch.cuda.device(self._device),
            torch.cuda.graph(graph, self._pool, self._stream, capture_error_mode="thread_local"),
        ):
            work()
        return graph.replay


def recorder_for(device: torch.device) -> Recorder | None:
    """What records on a device; None where there is nothing to gain."""
    return CudaRecorder(device) if device.type == "cuda" else None
