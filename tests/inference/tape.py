"""A recorder for a CPU, as strict as a CUDA graph: it does again what was done, to the same memory."""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hornbook.inference.cuda_graph import Work

FORBIDDEN = ("_local_scalar_dense", "nonzero", "lift_fresh", "bincount", "masked_select")
"""Operations for which a host waits for its device, or sends it what it will not send again."""


class Tape:
    """Counts what it does, too."""

    def __init__(self) -> None:
        self.warmed_up = self.recorded = self.replayed = 0

    def warm_up(self, work: Work) -> None:
        self.warmed_up += 1
        work()

    def record(self, work: Work) -> Work:
        self.recorded += 1
        recording = _Recording()
        with recording:
            work()
        recording.undo()

        def replay() -> None:
            self.replayed += 1
            recording.replay()

        return replay


class _Recording(TorchDispatchMode):
    """All operations with the tensors that went in and came out."""

    def __init__(self) -> None:
        super().__init__()
        self._done: list[tuple[Callable[..., Any], Any, Any, list[Tensor]]] = []
        self._before: list[tuple[Tensor, Tensor]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(name in str(func) for name in FORBIDDEN):
            raise RuntimeError(f"operation not permitted when stream is capturing: {func}")
        kwargs = kwargs or {}
        for value, argument in zip(args, func._schema.arguments, strict=False):
            if argument.alias_info is not None and argument.alias_info.is_write:
                self._before.append((value, value.clone()))
        out = func(*args, **kwargs)
        self._done.append((func, args, kwargs, _tensors(out)))
        return out

    def undo(self) -> None:
        """As if nothing had been done: to record is not to do."""
        for changed, before in reversed(self._before):
            changed.copy_(before)
        self._before.clear()

    def replay(self) -> None:
        for func, args, kwargs, outs in self._done:
            for old, new in zip(outs, _tensors(func(*args, **kwargs)), strict=True):
                if new.is_mkldnn or new.untyped_storage()._cdata != old.untyped_storage()._cdata:
                    old.copy_(new)


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
