import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hornbook import runtime as runtime_module
from hornbook.errors import HornbookError
from hornbook.runtime import Runtime, RuntimeSettings
from hornbook.training import selftest
from hornbook.training.selftest import OPERATIONS, cache_file, find_fault, trusted_runtime

CPU = torch.device("cpu")
BFLOAT16 = Runtime(CPU, torch.bfloat16, seed=1, reason="a test")
FLOAT32 = Runtime(CPU, torch.float32, seed=1, reason="a test")


@pytest.fixture(autouse=True)
def _bfloat16_is_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {torch.float32: 1.0, torch.bfloat16: 0.5}
    monkeypatch.setattr(runtime_module, "time_product", lambda _, dtype: seconds[dtype])


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "selftest.json"


def wrong_softmax(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a bad driver: right on the reference's float32, wrong in bfloat16 under autocast."""
    right = Tensor.softmax

    def wrong(self: Tensor, dim: int) -> Tensor:
        result = right(self, dim=dim)
        return result * 1.2 if torch.is_autocast_enabled("cpu") else result

    monkeypatch.setattr(Tensor, "softmax", wrong)


@pytest.mark.parametrize("runtime", [BFLOAT16, FLOAT32], ids=["bfloat16", "float32"])
def test_this_machine_computes_rightly(runtime: Runtime) -> None:
    assert find_fault(runtime) is None


def test_a_wrong_operation_is_caught_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong_softmax(monkeypatch)
    assert find_fault(BFLOAT16) == "softmax is off by 20% of its value"


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_can_fail(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    right = OPERATIONS[name]

    def wrong(draw: selftest.Draw) -> list[Tensor]:
        *others, last = right(draw)
        return [*others, last * (0.8 if draw.runtime.dtype == torch.bfloat16 else 1.0)]

    monkeypatch.setitem(OPERATIONS, name, wrong)
    assert find_fault(BFLOAT16) == f"{name} is off by 20% of its value"


def test_values_that_are_no_numbers_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = F.cross_entropy

    def wrong(*args: object, **kwargs: object) -> Tensor:
        factor = torch.nan if torch.is_autocast_enabled("cpu") else 1.0
        return right(*args, **kwargs) * factor

    monkeypatch.setattr(F, "cross_entropy", wrong)
    assert find_fault(BFLOAT16) == "cross-entropy gives values that are no numbers"


def test_a_missing_kernel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(draw: selftest.Draw) -> list[Tensor]:
        raise NotImplementedError("The operator 'aten::foo' is not implemented for MPS\nmore")

    monkeypatch.setitem(OPERATIONS, "indexing", missing)
    assert find_fault(BFLOAT16) == (
        "indexing fails: The operator 'aten::foo' is not implemented for MPS"
    )


def test_auto_falls_back_to_float32_and_says_why(
    monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    wrong_softmax(monkeypatch)
    chosen = trusted_runtime(RuntimeSettings(), cache)
    assert (chosen.device.type, chosen.dtype) == ("cpu", torch.float32)
    assert chosen.reason.endswith(
        "; cpu in bfloat16 failed the self-test: softmax is off by 20% of its value"
    )


def test_what_was_asked_for_is_refused(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    wrong_softmax(monkeypatch)
    with pytest.raises(HornbookError, match="cpu in bfloat16 failed the self-test: softmax is off"):
        trusted_runtime(RuntimeSettings(device="cpu", precision="bfloat16"), cache)


def pretend_gpu(monkeypatch: pytest.MonkeyPatch, faulty: set[str]) -> list[str]:
    """A GPU on which the test finds a fault in these precisions; gives what was tested."""
    tested: list[str] = []

    def fault(runtime: Runtime) -> str | None:
        place = f"{runtime.device.type} {runtime.dtype}"
        tested.append(place)
        return "attention is nothing like its value" if place in faulty else None

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a test's GPU")
    monkeypatch.setattr(selftest, "find_fault", fault)
    return tested


def test_a_faulty_gpu_is_left_for_the_cpu(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    tested = pretend_gpu(monkeypatch, {"cuda torch.bfloat16", "cuda torch.float32"})
    chosen = trusted_runtime(RuntimeSettings(), cache)
    assert (chosen.device.type, chosen.dtype) == ("cpu", torch.bfloat16)
    assert chosen.reason.count("failed the self-test") == 2
    assert tested == ["cuda torch.bfloat16", "cuda torch.float32", "cpu torch.bfloat16"]


def test_a_faulty_gpu_that_was_asked_for_is_refused(
    monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    pretend_gpu(monkeypatch, {"cuda torch.bfloat16", "cuda torch.float32"})
    with pytest.raises(HornbookError, match=r"cuda in float32 failed .*set runtime\.device=cpu"):
        trusted_runtime(RuntimeSettings(device="cuda"), cache)


def test_one_of_several_processes_does_not_go_its_own_way(
    monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    wrong_softmax(monkeypatch)
    with pytest.raises(HornbookError, match="failed the self-test"):
        trusted_runtime(RuntimeSettings(), cache)


def test_what_has_passed_is_not_tested_again(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    tested = pretend_gpu(monkeypatch, set())
    for _ in range(2):
        assert trusted_runtime(RuntimeSettings(), cache).device.type == "cuda"
    assert tested == ["cuda torch.bfloat16"]
    trusted_runtime(RuntimeSettings(precision="float32"), cache)
    monkeypatch.setattr(torch, "__version__", "99.0")
    trusted_runtime(RuntimeSettings(), cache)
    assert tested == ["cuda torch.bfloat16", "cuda torch.float32", "cuda torch.bfloat16"]


def test_a_fault_is_looked_for_again(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    tested = pretend_gpu(monkeypatch, {"cuda torch.bfloat16"})
    for _ in range(2):
        assert trusted_runtime(RuntimeSettings(), cache).dtype == torch.float32
    assert tested.count("cuda torch.bfloat16") == 2
    assert tested.count("cuda torch.float32") == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"passed": 7}', '{"passed": [[1]]}', "\x00"])
def test_a_damaged_cache_is_ignored_and_replaced(
    monkeypatch: pytest.MonkeyPatch, cache: Path, content: str
) -> None:
    cache.parent.mkdir()
    cache.write_text(content)
    tested = pretend_gpu(monkeypatch, set())
    trusted_runtime(RuntimeSettings(), cache)
    assert len(tested) == 1
    assert len(json.loads(cache.read_text())["passed"]) == 1


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way of the folder")
    assert trusted_runtime(RuntimeSettings(), tmp_path / "file" / "selftest.json").reason


def test_nothing_is_tested_on_the_reference_itself(
    monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.delattr(selftest, "find_fault")
    trusted_runtime(RuntimeSettings(precision="float32"), cache)
    assert not cache.exists()


def test_the_cache_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_file() == tmp_path / "hornbook" / "selftest.json"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_file() == Path.home() / ".cache" / "hornbook" / "selftest.json"
