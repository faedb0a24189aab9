"""Several adapters on one base: row by row as each alone; added up as their corrections add up."""

from pathlib import Path

import pytest
import torch

from hornbook.errors import HornbookError
from hornbook.finetuning.adapter import load_adapter, save_adapter
from hornbook.finetuning.bank import AdapterBank
from hornbook.finetuning.lora import LoRASettings, apply_lora, lora_layers
from hornbook.finetuning.merging import merge_adapters
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer

KINDS = {
    "a": LoRASettings(rank=2),
    "b": LoRASettings(rank=3, targets=("query", "down"), rank_stabilized=True),
    "d": LoRASettings(rank=2, dora=True),
}
IDS = torch.randint(30, (4, 7), generator=torch.Generator().manual_seed(1))


def base() -> Transformer:
    config = ModelConfig(vocab_size=30, context_length=16, embed_dim=16, n_layers=2, n_heads=2)
    return Transformer(config, torch.Generator().manual_seed(0)).eval()


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    for name, settings in KINDS.items():
        model = base()
        apply_lora(model, settings, seed=ord(name))
        generator = torch.Generator().manual_seed(ord(name))
        for _, layer in lora_layers(model):
            layer.B.data = 0.3 * torch.randn(layer.B.shape, generator=generator)
            if layer.magnitude is not None:
                layer.magnitude.data *= 1.3
        save_adapter(tmp_path / name, model, settings, "base")
    return {name: tmp_path / name for name in KINDS}


@torch.no_grad()
def test_each_row_is_as_with_its_adapter_alone(folders: dict[str, Path]) -> None:
    model = base()
    plain = model(IDS)
    bank = AdapterBank(model, folders)
    assert torch.equal(model(IDS), plain)
    bank.use(["d", None, "a", "b"])
    found = model(IDS)
    assert torch.equal(found[1], plain[1])
    for row, name in ((0, "d"), (2, "a"), (3, "b")):
        alone = base()
        load_adapter(folders[name], alone)
        expected = alone.eval()(IDS[row : row + 1])[0]
        torch.testing.assert_close(found[row], expected, rtol=1e-4, atol=1e-5)
        assert (expected - plain[row]).abs().max() > 1e-3
    bank.use(["a", "a"])
    torch.testing.assert_close(model(IDS[[2, 2]])[1], found[2], rtol=1e-4, atol=1e-5)


def test_a_wrong_name_or_number_of_rows_is_refused(folders: dict[str, Path]) -> None:
    model = base()
    bank = AdapterBank(model, folders)
    with pytest.raises(HornbookError, match="no adapter is called 'c'; expected one of a, b, d"):
        bank.use(["a", "c"])
    bank.use(["a", "b"])
    with pytest.raises(HornbookError, match="4 rows, but adapters were chosen for 2"):
        model(IDS)


@torch.no_grad()
def test_the_sum_of_adapters_is_the_sum_of_their_corrections(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    merge_adapters(tmp_path / "sum", base(), [folders["a"], folders["b"]], [0.7, -0.4])
    corrections = {}
    for name, path in (("a", folders["a"]), ("b", folders["b"]), ("sum", tmp_path / "sum")):
        model = base()
        load_adapter(path, model)
        corrections[name] = {n: layer.correction() for n, layer in lora_layers(model)}
    assert corrections["sum"].keys() == corrections["a"].keys() | corrections["b"].keys()
    for layer, found in corrections["sum"].items():
        expected = 0.7 * corrections["a"][layer]
        if layer in corrections["b"]:
            expected = expected - 0.4 * corrections["b"][layer]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_a_lower_rank_is_the_nearest_matrix_of_that_rank(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    name = "blocks.1.attention.query"
    whole = []
    for rank in (None, 2):
        model = base()
        merge_adapters(tmp_path / f"r{rank}", model, [folders["a"], folders["b"]], [1, 1], rank)
        whole.append(dict(lora_layers(model))[name].correction().double())
    left, sizes, right = torch.linalg.svd(whole[0])
    nearest = left[:, :2] * sizes[:2] @ right[:2]
    torch.testing.assert_close(whole[1], nearest, rtol=1e-3, atol=1e-5)


def test_what_cannot_be_added_up_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(HornbookError, match="one weight for each"):
        merge_adapters(tmp_path / "x", base(), [folders["a"]], [1, 2])
    with pytest.raises(HornbookError, match="DoRA"):
        merge_adapters(tmp_path / "x", base(), [folders["d"]], [1])
    assert not (tmp_path / "x").exists()
