import importlib.util
import shutil
from collections.abc import Iterator

import pytest
import torch
from tiny_training import CPU, random_batch, tiny_model
from torch import Tensor, nn

from hornbook.errors import HornbookError
from hornbook.finetuning.lora import LoRASettings, apply_lora
from hornbook.model.kv_cache import KVCache
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime
from hornbook.training import acceleration
from hornbook.training.acceleration import accelerate
from hornbook.training.batch_size import bytes_kept
from hornbook.training.objective import loss_sum
from hornbook.training.settings import TrainingSettings

PLAIN = TrainingSettings(steps=1)
RECOMPUTED = TrainingSettings(steps=1, checkpoint_activations=True)
BFLOAT16 = Runtime(CPU.device, torch.bfloat16, seed=1, reason="a test")
COMPILED = Runtime(CPU.device, torch.float32, seed=1, reason="a test", compile=True)


def loss_and_gradients(model: Transformer, runtime: Runtime = CPU) -> list[Tensor]:
    """Of one batch, with the same random numbers for dropout each time."""
    model.train()
    torch.manual_seed(5)
    with runtime.autocast():
        loss = loss_sum(model, random_batch())[0]
    loss.backward()
    return [loss.detach(), *(p.grad for p in model.parameters() if p.grad is not None)]


def prepared(settings: TrainingSettings, lora: bool = False, **changes: object) -> Transformer:
    model = tiny_model(**changes)
    if lora:
        apply_lora(model, LoRASettings(rank=4, dropout=0.3))
    accelerate(model, settings, CPU, same_width=True)
    return model


@pytest.mark.parametrize("runtime", [CPU, BFLOAT16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("lora", [False, True])
def test_recomputed_activations_give_the_same_bits(runtime: Runtime, lora: bool) -> None:
    changes = {"dropout": 0.2, "positions": "rotary", "norm": "rmsnorm"}
    plain = loss_and_gradients(prepared(PLAIN, lora, **changes), runtime)
    recomputed = loss_and_gradients(prepared(RECOMPUTED, lora, **changes), runtime)
    assert len(plain) == len(recomputed) > 4
    assert all(torch.equal(*pair) for pair in zip(plain, recomputed, strict=True))


def test_dropout_is_at_work_in_that_comparison() -> None:
    with_dropout = loss_and_gradients(prepared(RECOMPUTED, dropout=0.2))
    assert not torch.equal(with_dropout[0], loss_and_gradients(prepared(RECOMPUTED))[0])


def test_recomputed_activations_are_not_kept() -> None:
    kept = {}
    for name, settings in (("plain", PLAIN), ("recomputed", RECOMPUTED)):
        model = prepared(settings, n_layers=6).train()
        parameters = sum(p.nbytes for p in model.parameters())
        whole = bytes_kept(
            lambda batch, model=model: loss_sum(model, batch)[0], random_batch(), CPU
        )
        kept[name] = whole, parameters
    # What is left outside the blocks: the last norm's and the head's.
    assert kept["recomputed"][0] < kept["plain"][0] / 5


def test_outside_training_blocks_run_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, model = prepared(PLAIN).eval(), prepared(RECOMPUTED).eval()
    monkeypatch.delattr(acceleration, "checkpoint")
    ids = random_batch().inputs
    assert torch.equal(model(ids), plain(ids))
    cache = KVCache(model.config, 4, CPU.device, torch.float32)
    steps = [model(ids[:, at : at + 1], cache) for at in range(ids.shape[1])]
    torch.testing.assert_close(torch.cat(steps, dim=1), plain(ids), rtol=1e-4, atol=1e-5)


@pytest.fixture
def a_compiler() -> Iterator[None]:
    if not (shutil.which("g++") or shutil.which("clang++")):
        pytest.skip("torch.compile needs a C++ compiler on a CPU")
    yield
    torch.compiler.reset()


@pytest.mark.usefixtures("a_compiler")
@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_compiled_blocks_agree_with_plain_ones_and_share_one_compilation() -> None:
    from torch._dynamo.utils import counters

    counters.clear()
    changes = {"n_layers": 3, "positions": "rotary", "norm": "rmsnorm", "mlp": "relu2"}
    model = tiny_model(**changes)
    said = accelerate(model, RECOMPUTED, COMPILED, same_width=True)
    assert any("torch.compile" in line for line in said)
    compiled = loss_and_gradients(model)
    for ours, plain in zip(compiled, loss_and_gradients(tiny_model(**changes)), strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5)
    assert counters["stats"]["unique_graphs"] == 2  # of all blocks, and of the loss
    model.eval()  # whatever the shapes, nothing is compiled for them
    for tokens in (3, 4, 5):
        model(random_batch().inputs[:, :tokens])
        loss_sum(model, random_batch(rows=tokens))
    assert counters["stats"]["unique_graphs"] == 2


def on_a_gpu() -> Runtime:
    return Runtime(torch.device("cuda"), torch.bfloat16, 1, "a test", compile="auto")


def compiled_automatically(monkeypatch: pytest.MonkeyPatch, runtime: Runtime, same: bool) -> bool:
    model = tiny_model()
    monkeypatch.setattr(torch, "compile", lambda forward, dynamic=None: forward)
    accelerate(model, PLAIN, runtime, same)
    return any(block.in_training is not None for block in model.blocks)


def test_auto_compiles_on_a_gpu_where_one_compilation_is_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/cc")
    assert compiled_automatically(monkeypatch, on_a_gpu(), same=True)
    assert not compiled_automatically(monkeypatch, on_a_gpu(), same=False)
    cpu = Runtime(CPU.device, torch.bfloat16, 1, "a test", compile="auto")
    assert not compiled_automatically(monkeypatch, cpu, same=True)


@pytest.mark.parametrize("missing", ["triton", "a C compiler"])
def test_auto_does_without_what_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    found = None if missing == "triton" else object()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    model = tiny_model()
    said = accelerate(model, PLAIN, on_a_gpu(), same_width=True)
    assert missing in said[0]
    assert all(block.in_training is None for block in model.blocks)


def test_fp8_is_refused_without_such_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = TrainingSettings(steps=1, fp8=True)
    with pytest.raises(HornbookError, match="needs an NVIDIA GPU, and this run is on cpu"):
        accelerate(tiny_model(), settings, CPU, same_width=True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    with pytest.raises(HornbookError, match=r"capability 8\.9 or above .* this one has 8\.0"):
        accelerate(tiny_model(), settings, on_a_gpu(), same_width=True)


def test_fp8_goes_into_the_blocks_on_such_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    model = tiny_model()
    names = [name for name, _ in model.named_parameters()]
    said = accelerate(model, TrainingSettings(steps=1, fp8=True), on_a_gpu(), same_width=True)
    assert said[0].startswith("12 linear layers multiply in 8 bits")  # 2 blocks of 4 + 2
    assert [name for name, _ in model.named_parameters()] == names
    assert type(model.head) is nn.Linear
