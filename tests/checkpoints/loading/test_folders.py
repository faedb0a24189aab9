"""Folders that do not hold what they say: refused, with all that is wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from hornbook.checkpoints.families.known import FAMILIES, REFUSED, family_for
from hornbook.checkpoints.loading.folders import load_folder
from hornbook.errors import HornbookError
from hornbook.model.presets import PRESETS, ModelSettings, resolve
from hornbook.model.transformer import Transformer
from tests.checkpoints.folders import llama_config, write_model
from tests.checkpoints.tiny_families import TINY

WEIGHTS = "model.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_model(tmp_path, llama_config(50))
    return tmp_path


def change_config(folder: Path, **fields: Any) -> None:
    path = folder / "config.json"
    tree = json.loads(path.read_text()) | fields
    path.write_text(json.dumps({name: value for name, value in tree.items() if value is not ...}))


def change_weights(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)


def refusal(folder: Path) -> str:
    with pytest.raises(HornbookError) as refused:
        load_folder(folder)
    return str(refused.value)


def test_everything_that_does_not_fit_is_listed(folder: Path) -> None:
    def change(tensors: dict[str, Tensor]) -> None:
        for layer in (0, 1):
            del tensors[f"model.layers.{layer}.self_attn.q_proj.weight"]
        del tensors["model.norm.weight"]
        tensors["model.embed_tokens.weight"] = torch.zeros(51, 16)
        tensors["model.layers.0.extra"] = torch.zeros(3)

    change_weights(folder, change)
    assert refusal(folder) == (
        f"{folder} does not fit its config.json: "
        "model.norm.weight is missing, expected (16,); "
        "model.layers.{0,1}.self_attn.q_proj.weight is missing, expected (16, 16); "
        "model.layers.0.extra (3,) has no place in the model; "
        "model.embed_tokens.weight is (51, 16), expected (50, 16)."
    )


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"model_type": ...}, "states no model_type; it is not a model's config.json."),
        ({"model_type": ["llama"]}, "states no model_type; it is not a model's config.json."),
        ({"model_type": "nonsense"}, "unknown architecture 'nonsense'; Hornbook loads gpt2, llama"),
        ({"model_type": "deepseek_v3"}, "a deepseek_v3 model cannot be loaded: its attention"),
        ({"model_type": "qwen3_5"}, "a qwen3_5 model cannot be loaded: its layers carry"),
        ({"model_type": "gemma4"}, "a gemma4 model cannot be loaded"),
        ({"hidden_size": ...}, "lacks hidden_size; get the folder's own config.json."),
        ({"hidden_size": "16"}, "hidden_size: input should be a valid integer (found '16')."),
        ({"hidden_size": -16}, "hidden_size: input should be greater than 0 (found -16)."),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers: input should be less than or equal to"),
        ({"num_hidden_layers": 100}, "100 layers are stated there, and the files hold 20 tensors"),
        ({"hidden_size": 2**60}, "states sizes that no model can have: "),
        ({"hidden_size": 2**70}, "states sizes that no model can have: "),
        ({"num_key_value_heads": 3}, "n_kv_heads 3 does not divide n_heads 4"),
        ({"hidden_act": "relu"}, "hidden_act is 'relu', and Hornbook knows only 'silu' here."),
        ({"rope_scaling": {"rope_type": "odd"}}, "rope_type is 'odd', and Hornbook knows"),
        ({"rope_scaling": {"rope_type": "linear"}}, "rope lacks factor"),
        ({"rope_scaling": {"rope_type": ["yarn"]}}, "rope_type is ['yarn'], and Hornbook knows"),
        (
            {"rope_scaling": {"rope_type": "yarn", "factor": 2.0, "mscale": "1"}},
            "rope: mscale: input should be a valid number (found '1').",
        ),
        (
            {"rope_parameters": {"full_attention": 3}},
            "full_attention: input should be a valid dictionary (found 3).",
        ),
        ({"rope_scaling": 3}, "rope_scaling: input should be a valid dictionary (found 3)."),
    ],
)
def test_configs_that_cannot_be_followed(folder: Path, fields: dict[str, Any], said: str) -> None:
    change_config(folder, **fields)
    assert said in refusal(folder)


@pytest.mark.parametrize("kind", ["chunked_attention", "linear_attention"])
def test_layers_of_an_unknown_kind(kind: str) -> None:
    name, fields = TINY["gemma2"]
    kinds = ["full_attention"] * (fields["num_hidden_layers"] - 1) + [kind]
    with pytest.raises(HornbookError, match=f"layer_types is .*{kind}"):
        FAMILIES[name].read({**fields, "layer_types": kinds}, "config.json")


def test_a_config_that_is_no_object(folder: Path) -> None:
    (folder / "config.json").write_text("[" * 100_000)
    assert "config.json is not a JSON object" in refusal(folder)


def test_weights_that_are_whole_numbers(folder: Path) -> None:
    def change(tensors: dict[str, Tensor]) -> None:
        tensors["model.norm.weight"] = torch.ones(16, dtype=torch.int64)

    change_weights(folder, change)
    assert refusal(folder) == (
        f"{folder} does not fit its config.json: "
        "model.norm.weight is stored as int64, expected floating point."
    )


def test_weights_that_are_not_numbers(folder: Path) -> None:
    change_weights(folder, lambda tensors: tensors["model.norm.weight"].fill_(torch.nan))
    assert "model.norm.weight has values that are NaN or infinite" in refusal(folder)


def test_folders_that_lack_the_prefix_or_repeat_the_tied_head(folder: Path) -> None:
    expected = load_folder(folder).model.state_dict()

    def change(tensors: dict[str, Tensor]) -> None:
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
        for name in list(tensors):
            tensors[name.removeprefix("model.")] = tensors.pop(name)

    change_weights(folder, change)
    loaded = load_folder(folder).model
    assert loaded.head.weight is loaded.embedding.token.weight
    for name, weight in loaded.state_dict().items():
        assert torch.equal(weight, expected[name]), name


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16])
def test_halves_are_read_as_floats(tmp_path: Path, stored: torch.dtype) -> None:
    write_model(tmp_path, llama_config(50), stored)
    model = load_folder(tmp_path).model
    theirs = load_file(tmp_path / WEIGHTS)["model.norm.weight"]
    assert model.norm.weight.dtype == torch.float32
    assert torch.equal(model.norm.weight, theirs.float())


def test_every_refusal_is_of_a_model_that_is_not_loaded() -> None:
    assert not REFUSED.keys() & FAMILIES.keys()


@pytest.mark.parametrize(
    ("preset", "family"),
    [
        ("gpt2-small", "gpt2"),
        ("modern-124m", "qwen3"),
        ("gpt2-mini", "gpt2"),
        ("experts-mini", "qwen3_moe"),
    ],
)
def test_presets_have_their_families(preset: str, family: str) -> None:
    settings = ModelSettings(preset=preset, zero_init=False)
    config = resolve(settings, vocab_size=100)
    assert family_for(config).name == family
    with torch.device("meta"):
        model = Transformer(config)
    assert family_for(config).places(model, config)


@pytest.mark.parametrize("preset", sorted(set(PRESETS) - {"modern-124m", "experts-mini"}))
def test_a_shape_of_no_family_is_refused_with_what_is_in_the_way(preset: str) -> None:
    config = resolve(ModelSettings(preset=preset), vocab_size=100)
    if preset.startswith("gpt2"):
        assert family_for(config).name == "gpt2"
        return
    with pytest.raises(HornbookError, match=r"cannot have .*token_shift=True.*mlp=relu2"):
        family_for(config)
