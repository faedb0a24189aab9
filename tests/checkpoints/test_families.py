"""One contract for every family: read here, a folder computes what it computes in `transformers`,
and written back it is the same folder."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from hornbook.checkpoints.families.known import FAMILIES, family_for
from hornbook.checkpoints.loading.folders import FolderModel, load_folder
from hornbook.errors import HornbookError
from hornbook.inference.generate import GenerationSettings, generate
from hornbook.inference.weights import prepared
from hornbook.model.presets import PRESETS, ModelSettings, resolve
from hornbook.model.transformer import Transformer
from hornbook.pipeline.models.bundle import save_bundle
from hornbook.pipeline.models.exporting import export_as_folder
from hornbook.pipeline.models.parity import compare_layers, open_reference
from tests.checkpoints.tiny_families import (
    GENERATION,
    TINY,
    WORDS,
    make_reference,
    word_tokenizer,
    write_words,
)
from tests.model.references import randomize

transformers = pytest.importorskip("transformers")
AutoModelForCausalLM, AutoTokenizer = transformers.AutoModelForCausalLM, transformers.AutoTokenizer

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
    write_words(folder)
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


def test_exported_it_is_the_same_folder(pair: Pair, tmp_path: Path) -> None:
    """Through `hornbook export hf`: weights bit for bit, tokenizer, chat template, settings."""
    export_as_folder(pair.loaded.path, tmp_path / "out")
    again, report = AutoModelForCausalLM.from_pretrained(
        tmp_path / "out", attn_implementation="eager", output_loading_info=True
    )
    assert type(again) is type(pair.reference)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    with torch.no_grad():
        assert torch.equal(again(pair.ids).logits, pair.reference(pair.ids).logits)
    settings = again.generation_config.to_diff_dict()
    assert {name: settings[name] for name in GENERATION} == GENERATION
    before, after = (AutoTokenizer.from_pretrained(p) for p in (pair.loaded.path, tmp_path / "out"))
    assert after.encode(WORDS) == before.encode(WORDS)
    asked = [{"role": "user", "content": WORDS}]
    assert after.apply_chat_template(asked) == before.apply_chat_template(asked)
    assert after.special_tokens_map == before.special_tokens_map


def test_its_shape_alone_says_a_family_that_can_hold_it(pair: Pair) -> None:
    config = pair.loaded.model.config
    assert not family_for(config).differences(config)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_read_by_transformers_or_refused_by_name(preset: str, tmp_path: Path) -> None:
    small = {"embed_dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 24, "context_length": 32}
    heads = {"n_kv_heads": 2} if preset == "modern-124m" else {}
    model = Transformer(resolve(ModelSettings(preset=preset, **small, **heads), 41)).eval()
    randomize(model, 1)
    save_bundle(tmp_path / "run", model, word_tokenizer(), {"task": "pretrain"})
    if not preset.startswith(("gpt2", "modern", "experts")):
        with pytest.raises(HornbookError, match="token_shift=True"):
            export_as_folder(tmp_path / "run", tmp_path / "out")
        return
    export_as_folder(tmp_path / "run", tmp_path / "out")
    reference = open_reference(tmp_path / "out")
    ids = torch.randint(41, (2, 20), generator=torch.Generator().manual_seed(3))
    assert not [d for d in compare_layers(model, reference, ids) if d.departs]
