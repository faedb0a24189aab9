"""One contract for every family: read here, a folder computes what it computes in `transformers`,
and written back it is the same folder."""

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from hornbook.checkpoints.families.known import FAMILIES, config_to_hf, family_for
from hornbook.checkpoints.loading.folders import FolderModel, load_folder
from hornbook.inference.generate import GenerationSettings, generate
from hornbook.inference.weights import prepared
from hornbook.model.presets import ModelSettings, resolve
from hornbook.model.transformer import Transformer
from hornbook.pipeline.parity import compare_layers
from tests.checkpoints.tiny_families import NO_TOKENS, TINY, make_reference
from tests.model.references import randomize

pytest.importorskip("transformers")

GREEDY = GenerationSettings(max_new_tokens=64, temperature=0)


@dataclass(frozen=True)
class Pair:
    """The same model in `transformers` and here."""

    reference: Any
    loaded: FolderModel
    ids: Tensor


@pytest.fixture(scope="module", params=TINY)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("folder")
    reference = make_reference(request.param)
    reference.save_pretrained(folder)
    ids = torch.randint(41, (2, 30), generator=torch.Generator().manual_seed(3))
    return Pair(reference, load_folder(folder), ids)


def relative(found: Tensor, expected: Tensor) -> float:
    """The largest difference, as a share of what is expected's size."""
    scale = expected.detach().abs().max().clamp(min=1e-12)
    return float((found.detach() - expected.detach()).abs().max() / scale)


def test_every_family_is_tried() -> None:
    assert {model_type for model_type, _ in TINY.values()} == set(FAMILIES)


def test_logits(pair: Pair) -> None:
    with torch.no_grad():
        expected = pair.reference(pair.ids).logits
        found = pair.loaded.model(pair.ids)
    assert expected.std() > 0.1
    assert relative(found, expected) < 1e-4


def test_every_layer(pair: Pair) -> None:
    found = compare_layers(pair.loaded.model, pair.reference, pair.ids)
    assert len(found) == 3 * 3 + 2
    assert not [difference for difference in found if difference.departs]


def test_greedy_tokens(pair: Pair) -> None:
    prompt = pair.ids[0, :5].tolist()
    expected = pair.reference.generate(
        torch.tensor([prompt]), max_new_tokens=64, do_sample=False, pad_token_id=0
    )[0, 5:].tolist()
    assert list(generate(pair.loaded.model, prompt, GREEDY)) == expected
    packed = prepared(pair.loaded.model, "float32", for_long=True)
    assert list(generate(packed, prompt, GREEDY)) == expected


def test_loss_and_gradients(pair: Pair, tmp_path: Path) -> None:
    model, family = pair.loaded.model, pair.loaded.family
    pair.reference.zero_grad()
    model.zero_grad()
    expected = pair.reference(pair.ids, labels=pair.ids).loss
    expected.backward()
    logits = model(pair.ids)
    loss = torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), pair.ids[:, 1:].flatten()
    )
    loss.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
    ours = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert all(gradient is not None for gradient in ours.values())
    theirs = gradients_as_saved(pair.reference, tmp_path)
    for place in family.places(model, model.config):
        joined = place.join({name: ours[name] for name in place.ours})
        # A shift of all keys alike changes no softmax: their bias has no gradient but rounding.
        scale = max(theirs[place.theirs].abs().max().item(), 1e-5)
        assert (joined - theirs[place.theirs]).abs().max().item() < 1e-3 * scale, place.theirs


def gradients_as_saved(reference: Any, folder: Path) -> dict[str, Tensor]:
    """The gradients under the names that the weights have in a folder."""
    stand_in = copy.deepcopy(reference)
    with torch.no_grad():
        for weight, of in zip(stand_in.parameters(), reference.parameters(), strict=True):
            weight.copy_(of.grad)
    stand_in.save_pretrained(folder)
    return load_file(folder / "model.safetensors")


def test_written_back_it_is_the_same_model(pair: Pair, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    model, family = pair.loaded.model, pair.loaded.family
    written = config_to_hf(model.config, family) | NO_TOKENS
    (tmp_path / "config.json").write_text(json.dumps(written))
    save_file(dict(family.tensors(model, model.config)), tmp_path / "model.safetensors")
    again, report = AutoModelForCausalLM.from_pretrained(
        tmp_path, attn_implementation="eager", output_loading_info=True
    )
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    with torch.no_grad():
        assert torch.equal(again(pair.ids).logits, pair.reference(pair.ids).logits)


def test_its_shape_alone_says_a_family_that_can_hold_it(pair: Pair) -> None:
    config = pair.loaded.model.config
    assert not family_for(config).differences(config)


@pytest.mark.parametrize("preset", ["gpt2-small", "modern-124m"])
def test_a_preset_of_a_familys_shape_is_read_by_transformers(preset: str, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    small = {"embed_dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 24, "context_length": 32}
    heads = {"n_kv_heads": 2} if preset == "modern-124m" else {}
    model = Transformer(resolve(ModelSettings(preset=preset, **small, **heads), 41)).eval()
    randomize(model, 1)
    family = family_for(model.config)
    written = config_to_hf(model.config) | NO_TOKENS
    (tmp_path / "config.json").write_text(json.dumps(written))
    save_file(dict(family.tensors(model, model.config)), tmp_path / "model.safetensors")
    reference = AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager").eval()
    ids = torch.randint(41, (2, 20), generator=torch.Generator().manual_seed(3))
    assert not [d for d in compare_layers(model, reference, ids) if d.departs]
