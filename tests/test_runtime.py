import pytest
import torch

from hornbook import runtime
from hornbook.errors import HornbookError
from hornbook.runtime import Runtime, RuntimeSettings, choose_runtime, time_product


def on_cpu(**more: object) -> Runtime:
    return choose_runtime(RuntimeSettings.model_validate({"device": "cpu", **more}))


@pytest.mark.parametrize(
    ("bfloat16_seconds", "dtype"),
    [(0.25, torch.bfloat16), (0.95, torch.float32), (300.0, torch.float32)],
)
def test_precision_is_the_faster_one(
    monkeypatch: pytest.MonkeyPatch, bfloat16_seconds: float, dtype: torch.dtype
) -> None:
    seconds = {torch.float32: 1.0, torch.bfloat16: bfloat16_seconds}
    monkeypatch.setattr(runtime, "time_product", lambda _, dtype: seconds[dtype])
    chosen = on_cpu()
    assert chosen.dtype == dtype
    assert f"runs {1 / bfloat16_seconds:.1f}x float32's speed" in chosen.reason


def test_a_precision_as_set_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(runtime, "time_product")
    assert on_cpu(precision="bfloat16").dtype == torch.bfloat16
    assert on_cpu(precision="float32").reason == "cpu, float32 as set"


def test_measuring_takes_a_positive_time() -> None:
    assert time_product(torch.device("cpu"), torch.float32, size=8, repeats=1) > 0


def test_the_seed_decides_torch_random_numbers() -> None:
    drawn = []
    for seed in (3, 3, 4):
        on_cpu(seed=seed, precision="float32")
        drawn.append(torch.rand(4))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_products_run_in_the_dtype(dtype: torch.dtype) -> None:
    here = Runtime(torch.device("cpu"), dtype, seed=1, reason="")
    with here.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
    assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_a_device_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(HornbookError, match="no cuda device on this machine; expected one of cpu"):
        choose_runtime(RuntimeSettings(device="cuda"))
    assert choose_runtime(RuntimeSettings(precision="float32")).device.type == "cpu"


def test_rank_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    here = on_cpu(precision="float32")
    assert (here.rank, here.world_size) == (1, 2)
