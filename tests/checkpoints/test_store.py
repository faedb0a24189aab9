import errno
import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tiny_run import VOCAB, TinyRun, saved, tiny_model
from torch import nn

from hornbook.artifact import write_manifest
from hornbook.checkpoints import store
from hornbook.checkpoints.store import (
    load_model,
    load_training_state,
    load_weights,
    save_checkpoint,
)
from hornbook.errors import HornbookError
from hornbook.training.settings import TrainingSettings

IDS = torch.arange(8)[None]
FILES = {"model.safetensors", "config.json", "manifest.json"}


def stored_names(directory: Path) -> set[str]:
    with safe_open(directory / "model.safetensors", framework="pt") as file:
        return set(file.keys())


def files_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tied_embeddings": False},
        {"positions": "rotary", "norm": "rmsnorm", "qk_norm": True, "mlp": "swiglu", "bias": False},
    ],
)
def test_a_model_comes_back(tmp_path: Path, changes: dict[str, Any]) -> None:
    model = tiny_model(**changes).eval()
    directory = saved(tmp_path / "checkpoint", model, facts={"note": "näive"})
    loaded = load_model(directory)
    assert set(files_of(directory)) == FILES
    assert loaded.model.config == model.config
    assert not loaded.model.training
    assert loaded.facts == {"note": "näive"}
    assert loaded.labels is None
    assert torch.equal(loaded.model(IDS), model(IDS))


def test_a_tied_matrix_is_stored_once_and_tied_again(tmp_path: Path) -> None:
    directory = saved(tmp_path / "checkpoint")
    assert {"embedding.token.weight", "head.weight"} & stored_names(directory) == {
        "embedding.token.weight"
    }
    model = load_model(directory).model
    assert model.head.weight is model.embedding.token.weight


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("classes", [3, VOCAB])
def test_a_classifier_comes_back_with_its_labels(tmp_path: Path, bias: bool, classes: int) -> None:
    model = tiny_model().eval()
    model.head = nn.Linear(16, classes, bias=bias)
    labels = [f"class {number}" for number in range(classes)]
    loaded = load_model(saved(tmp_path / "checkpoint", model, facts={"labels": labels}))
    assert loaded.labels == labels
    assert torch.equal(loaded.model(IDS), model(IDS))


def test_a_classifier_without_its_labels_is_not_saved(tmp_path: Path) -> None:
    model = tiny_model()
    model.head = nn.Linear(16, 3)
    with pytest.raises(ValueError, match=r"head of 3 outputs needs facts\['labels'\]"):
        saved(tmp_path / "checkpoint", model)
    with pytest.raises(ValueError, match="2 labels for a head of 3 outputs"):
        saved(tmp_path / "checkpoint", model, facts={"labels": ["a", "b"]})
    assert not (tmp_path / "checkpoint").exists()


def test_loading_does_not_touch_the_random_state(tmp_path: Path) -> None:
    directory = saved(tmp_path / "checkpoint")
    before = torch.get_rng_state()
    load_model(directory)
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_go_into_a_model_at_hand(tmp_path: Path) -> None:
    directory = saved(tmp_path / "checkpoint", tiny_model(seed=1))
    model = tiny_model(seed=2)
    load_weights(directory, model)
    assert torch.equal(model(IDS), tiny_model(seed=1)(IDS))
    with pytest.raises(HornbookError, match="does not fit its config"):
        load_weights(directory, tiny_model(n_layers=3))


def test_weights_stored_already_are_not_written_again(tmp_path: Path) -> None:
    model = tiny_model().eval()
    first = saved(tmp_path / "first", model)
    second, third = tmp_path / "second", saved(tmp_path / "third", model, facts={"a": 1})
    save_checkpoint(second, model, tokenizer_fingerprint="a" * 64, facts={"a": 1}, stored=first)
    assert (second / "model.safetensors").samefile(first / "model.safetensors")
    assert files_of(second).keys() == files_of(third).keys()
    shutil.rmtree(first)
    assert torch.equal(load_model(second).model(IDS), model(IDS))


def test_weights_are_copied_where_files_cannot_be_linked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "not here")

    monkeypatch.setattr(store.os, "link", refuse)
    model = tiny_model().eval()
    first, second = saved(tmp_path / "first", model), tmp_path / "second"
    save_checkpoint(second, model, tokenizer_fingerprint="a" * 64, stored=first)
    assert not (second / "model.safetensors").samefile(first / "model.safetensors")
    assert torch.equal(load_model(second).model(IDS), model(IDS))


def test_another_tokenizer_is_refused(tmp_path: Path) -> None:
    loaded = load_model(saved(tmp_path / "checkpoint"))
    loaded.require_tokenizer("a" * 64)
    with pytest.raises(HornbookError, match="was trained with another tokenizer"):
        loaded.require_tokenizer("b" * 64)


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "config.json"])
@pytest.mark.parametrize("fault", ["flipped", "truncated", "missing"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, fault: str) -> None:
    run = TinyRun(TrainingSettings(steps=1))
    directory = saved(tmp_path / "checkpoint", run.model, optimizer=run.optimizer)
    path = directory / name
    content = bytearray(path.read_bytes())
    if fault == "flipped":
        content[-5] ^= 1
    path.write_bytes(content[:-1] if fault == "truncated" else content)
    if fault == "missing":
        path.unlink()
    for load in (load_model, lambda d: load_training_state(d, run.optimizer)):
        with pytest.raises(HornbookError, match=f"{name} is (damaged|missing)"):
            load(directory)


def rehash(directory: Path) -> None:
    """Let the manifest vouch for what lies there now, as a forger would."""
    (directory / "manifest.json").unlink()
    write_manifest(directory, "checkpoint", settings={}, inputs={"tokenizer": "a"})


def test_a_malformed_tensor_file_is_named_even_if_its_hash_is_right(tmp_path: Path) -> None:
    directory = saved(tmp_path / "checkpoint")
    (directory / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0not a header at ")
    rehash(directory)
    with pytest.raises(HornbookError, match=r"model\.safetensors is damaged: .*header"):
        load_model(directory)


@pytest.mark.parametrize(
    ("tensors", "problem"),
    [
        ({"norm.weight": None}, "norm.weight is missing"),
        ({"extra": torch.zeros(1)}, "extra has no place"),
        ({"norm.weight": torch.zeros(3)}, r"norm.weight has shape \(3,\), expected \(16,\)"),
    ],
)
def test_weights_that_do_not_fit_are_named(
    tmp_path: Path, tensors: dict[str, torch.Tensor | None], problem: str
) -> None:
    directory = saved(tmp_path / "checkpoint")
    model = tiny_model()
    changed = {**dict(model.named_parameters()), **tensors}
    kept = {name: tensor for name, tensor in changed.items() if tensor is not None}
    save_file(kept, directory / "model.safetensors")
    rehash(directory)
    with pytest.raises(HornbookError, match=problem):
        load_model(directory)


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"n_heads": 3}, "n_heads 3 does not divide"),
        ({"vocab_sise": 3}, "did you mean vocab_size"),
    ],
)
def test_a_config_that_cannot_be_is_explained(
    tmp_path: Path, config: dict[str, int], problem: str
) -> None:
    directory = saved(tmp_path / "checkpoint")
    described = json.loads((directory / "config.json").read_text())
    described["model"].update(config)
    (directory / "config.json").write_text(json.dumps(described))
    rehash(directory)
    with pytest.raises(HornbookError, match=problem):
        load_model(directory)


@pytest.mark.parametrize("content", ["[]", "{}", "not json"])
def test_a_config_that_is_none_is_named(tmp_path: Path, content: str) -> None:
    directory = saved(tmp_path / "checkpoint")
    (directory / "config.json").write_text(content)
    rehash(directory)
    with pytest.raises(HornbookError, match=r"config\.json is damaged"):
        load_model(directory)


def test_a_file_that_the_manifest_does_not_list_is_not_read(tmp_path: Path) -> None:
    directory = saved(tmp_path / "checkpoint")
    manifest = json.loads((directory / "manifest.json").read_text())
    del manifest["files"]["model.safetensors"]
    (directory / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(HornbookError, match=r"does not list model\.safetensors"):
        load_model(directory)


class Evil:
    """Unpickled, it would write a file."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.witness,)


@pytest.mark.parametrize("name", ["model.pt", "pytorch_model.bin", "last.ckpt"])
def test_pickles_are_refused_unread(tmp_path: Path, name: str) -> None:
    witness, file = tmp_path / "witness", tmp_path / "foreign" / name
    file.parent.mkdir()
    file.write_bytes(pickle.dumps(Evil(witness)))
    for path in (file, file.parent):
        with pytest.raises(HornbookError, match=f"{name} is a pickle"):
            load_model(path)
    assert not witness.exists()


def test_things_that_are_no_checkpoint_are_explained(tmp_path: Path) -> None:
    with pytest.raises(HornbookError, match="not a Hornbook checkpoint"):
        load_model(tmp_path)
    with pytest.raises(HornbookError, match="not a Hornbook checkpoint"):
        load_model(tmp_path / "nowhere")
    write_manifest(tmp_path, "tokenizer", settings={})
    with pytest.raises(HornbookError, match="is a Hornbook tokenizer, not a checkpoint"):
        load_model(tmp_path)


def test_a_model_alone_cannot_be_resumed(tmp_path: Path) -> None:
    run = TinyRun(TrainingSettings(steps=1))
    directory = saved(tmp_path / "checkpoint", run.model)
    with pytest.raises(HornbookError, match="holds a model only"):
        load_training_state(directory, run.optimizer)


@pytest.mark.parametrize("full", ["save_file", "write_text", "write_manifest"])
def test_a_full_disk_leaves_the_earlier_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    directory = saved(tmp_path / "checkpoint", tiny_model(seed=1))
    before = files_of(directory)

    def no_space(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store, full, no_space)
    with pytest.raises(HornbookError, match=r"could not be written .*No space left.*untouched"):
        saved(directory, tiny_model(seed=2))
    assert files_of(directory) == before
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_inputs_and_settings_stand_in_the_manifest(tmp_path: Path) -> None:
    model = tiny_model()
    manifest = save_checkpoint(
        tmp_path / "c", model, tokenizer_fingerprint="t", inputs={"tokens": "s"}, facts={"step": 3}
    )
    assert manifest.inputs == {"tokenizer": "t", "tokens": "s"}
    assert manifest.settings["embed_dim"] == 16
    assert manifest.facts == {"step": 3}
