from collections.abc import Callable

import pytest
import torch
from tiny_training import CPU, random_batch, tiny_model, train
from torch import Tensor

from hornbook.errors import HornbookError
from hornbook.sampling.batch import Batch
from hornbook.training import batch_size
from hornbook.training.batch_size import bytes_kept, free_memory, largest_micro_batch
from hornbook.training.memory import is_out_of_memory, memory_explained
from hornbook.training.objective import loss_sum
from hornbook.training.parallel import ALONE, Parallel
from hornbook.training.settings import TrainingSettings

IMPOSSIBLE = 2**50
"""Float32 numbers: four petabytes."""


def test_the_cpu_allocator_is_understood() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(IMPOSSIBLE)
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("MPS backend out of memory (MPS allocated: 17.94 GB)"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        MemoryError(),
    ],
)
def test_every_way_to_run_out_is_known(error: BaseException) -> None:
    assert is_out_of_memory(error)


def test_other_errors_pass() -> None:
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes"), explained():
        raise RuntimeError("shapes")


def explained(rows: int = 8, **settings: object) -> object:
    given = TrainingSettings.model_validate({"steps": 1, **settings})
    return memory_explained(given, random_batch(rows=rows), step=3)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, r"8 sequences of 8 tokens .* training.micro_batch_size=4 \(now 8\), .*\"auto\""),
        ({"micro_batch_size": 6}, r"6 sequences .* training.micro_batch_size=3 \(now 6\)"),
        ({"micro_batch_size": 100}, r"training.micro_batch_size=4 \(now 8\)"),
        ({"micro_batch_size": 1}, r"set training.checkpoint_activations=true\.$"),
        (
            {"micro_batch_size": 1, "checkpoint_activations": True},
            r"lower sampling.max_length \(now 8\), or take a smaller model",
        ),
    ],
)
def test_the_setting_to_lower_is_named(settings: dict[str, object], said: str) -> None:
    with (
        pytest.raises(HornbookError, match=f"step 3: memory ran out with .*{said}"),
        explained(**settings),
    ):
        torch.empty(IMPOSSIBLE)


def test_the_loop_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    model.blocks[1].register_forward_hook(lambda *_: torch.empty(IMPOSSIBLE))
    with pytest.raises(HornbookError, match="step 1: memory ran out with 4 sequences"):
        train(model, TrainingSettings(steps=2), iter([random_batch()]))


class Limited:
    """A model's loss on a machine that has room for so many rows."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.model = tiny_model(dropout=0.1)
        self.tried: list[tuple[int, int]] = []

    def __call__(self, batch: Batch) -> Tensor:
        if len(batch.inputs) > 1 or not self.tried:
            self.tried.append(tuple(batch.inputs.shape))
        if len(batch.inputs) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return loss_sum(self.model, batch)[0]

    def find(self, rows: int, parallel: Parallel = ALONE) -> int:
        return largest_micro_batch(self.model, self, rows, 8, CPU, parallel)


@pytest.fixture(autouse=True)
def _no_weighing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_size, "free_memory", lambda: None)


@pytest.mark.parametrize(
    ("room", "rows", "found"), [(100, 12, 12), (12, 12, 12), (11, 12, 6), (4, 12, 3), (1, 5, 1)]
)
def test_the_largest_that_fits_is_found_by_halving(room: int, rows: int, found: int) -> None:
    assert Limited(room).find(rows) == found


def test_trying_leaves_no_trace() -> None:
    limited = Limited(3)
    limited.model.eval()
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    assert limited.find(8) == 2
    assert torch.equal(torch.rand(3), expected)
    assert not limited.model.training
    assert all(p.grad is None for p in limited.model.parameters())
    assert limited.tried == [(8, 8), (4, 8), (2, 8)]


def test_not_one_sequence_fitting_is_an_error() -> None:
    with pytest.raises(HornbookError, match="not even one sequence of 8 tokens fits"):
        Limited(0).find(4)


def test_other_errors_while_trying_are_not_taken_for_a_lack_of_memory() -> None:
    def broken(batch: Batch) -> Tensor:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        largest_micro_batch(tiny_model(), broken, 4, 8, CPU, ALONE)


def test_all_processes_take_the_size_that_fits_in_each() -> None:
    class WithASmallNeighbour(Parallel):
        """Two processes; the other one runs out of memory the first time."""

        asked = 0

        def any(self, flag: bool) -> bool:
            self.asked += 1
            return flag or self.asked == 2  # its answer to the first trial

    assert Limited(100).find(8, WithASmallNeighbour()) == 4


@pytest.fixture
def weighed() -> tuple[Callable[[Batch], Tensor], int]:
    model = tiny_model().train()
    one_row = random_batch(rows=1)
    return Limited(100), bytes_kept(lambda b: loss_sum(model, b)[0], one_row, CPU)


def test_on_a_cpu_free_memory_decides(
    monkeypatch: pytest.MonkeyPatch, weighed: tuple[Limited, int]
) -> None:
    limited, of_a_row = weighed
    monkeypatch.setattr(batch_size, "free_memory", lambda: 5 * of_a_row / batch_size.CPU_SHARE)
    assert limited.find(16) == 4
    assert max(rows for rows, _ in limited.tried) <= 4  # the larger ones were not even tried


def test_bytes_kept_are_counted_once_a_storage() -> None:
    weight = torch.ones(100, requires_grad=True)

    def loss(batch: Batch) -> Tensor:
        return (weight * weight).sum()  # keeps the weight twice

    assert bytes_kept(loss, random_batch(), CPU) == 400


def test_free_memory_is_known_here() -> None:
    free = free_memory()
    assert free is None or free > 2**20


def test_auto_is_a_setting_and_zero_is_not() -> None:
    assert TrainingSettings(micro_batch_size="auto").at_once is None
    assert TrainingSettings(micro_batch_size=4).at_once == 4
    with pytest.raises(ValueError, match="micro_batch_size"):
        TrainingSettings(micro_batch_size=0)
