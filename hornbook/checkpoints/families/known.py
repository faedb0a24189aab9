"""All families by name, and why some others are refused."""

from collections.abc import Mapping
from typing import Any

from hornbook.checkpoints.families import (
    gemma2,
    gemma3_text,
    gpt2,
    llama,
    ministral,
    ministral3,
    mistral,
    mixtral,
    olmo2,
    olmo3,
    phi3,
    qwen2,
    qwen3,
    qwen3_moe,
    smollm3,
)
from hornbook.checkpoints.families.family import Family
from hornbook.errors import HornbookError
from hornbook.model.config import ModelConfig

MODULES = (
    gpt2,
    llama,
    smollm3,
    qwen2,
    qwen3,
    mistral,
    ministral,
    ministral3,
    olmo2,
    olmo3,
    gemma2,
    gemma3_text,
    phi3,
    qwen3_moe,
    mixtral,
)
"""In the order in which they are tried for a model made here: the commonest first."""
FAMILIES: dict[str, Family] = {module.FAMILY.name: module.FAMILY for module in MODULES}

RECURRENT = "its layers carry a recurrent state, which Hornbook's transformer does not have"
LATENT = "its attention keeps keys and values in a latent form, which Hornbook does not compute"
MIXED = "its layers differ in ways that Hornbook's transformer does not have"
IMAGES = "it reads images too; a folder with its text model alone can be loaded"
REFUSED = {
    "qwen3_5": RECURRENT,
    "qwen3_5_text": RECURRENT,
    "qwen3_5_moe": RECURRENT,
    "qwen3_next": RECURRENT,
    "mamba": RECURRENT,
    "mamba2": RECURRENT,
    "falcon_mamba": RECURRENT,
    "falcon_h1": RECURRENT,
    "jamba": RECURRENT,
    "rwkv": RECURRENT,
    "recurrent_gemma": RECURRENT,
    "olmo_hybrid": RECURRENT,
    "granitemoehybrid": RECURRENT,
    "nemotron_h": RECURRENT,
    "kimi_linear": RECURRENT,
    "deepseek_v2": LATENT,
    "deepseek_v3": LATENT,
    "deepseek_v32": LATENT,
    "deepseek_v4": LATENT,
    "kimi_k2": LATENT,
    "minicpm3": LATENT,
    "gemma3n": MIXED,
    "gemma3n_text": MIXED,
    "gemma4": MIXED,
    "gemma4_text": MIXED,
    "gemma4_unified": MIXED,
    "llama4": MIXED,
    "llama4_text": MIXED,
    "gpt_oss": "its attention has sinks, which Hornbook does not compute",
    "qwen2_vl": IMAGES,
    "qwen2_5_vl": IMAGES,
    "qwen3_vl": IMAGES,
}
"""Models that are asked for and cannot be loaded, with the reason."""


def family_of(tree: Mapping[str, Any], source: str) -> Family:
    """The family that a config.json belongs to.

    Raises:
        HornbookError: it names none, one that cannot be loaded, or an unknown one.
    """
    name = tree.get("model_type")
    if not isinstance(name, str):
        raise HornbookError(f"{source} states no model_type; it is not a model's config.json.")
    if name in FAMILIES:
        return FAMILIES[name]
    if name in REFUSED:
        raise HornbookError(f"{source}: a {name} model cannot be loaded: {REFUSED[name]}.")
    raise HornbookError(
        f"{source}: unknown architecture {name!r}; Hornbook loads {', '.join(FAMILIES)}."
    )


def family_for(config: ModelConfig) -> Family:
    """The first family that can express a model made here.

    Raises:
        HornbookError: none can; says what the nearest one lacks.
    """
    lost = {name: family.differences(config) for name, family in FAMILIES.items()}
    name = min(lost, key=lambda name: len(lost[name]))
    if lost[name]:
        raise HornbookError(
            f"no family of the Hugging Face hub has this model's shape; the nearest, {name}, "
            f"cannot have {', '.join(lost[name])}."
        )
    return FAMILIES[name]


def config_from_hf(tree: Mapping[str, Any], source: str) -> ModelConfig:
    """A model's config from the content of a config.json; `source` is named in errors.

    Raises:
        HornbookError: the family is not known, or a field is missing, wrong or not followed.
    """
    return family_of(tree, source).read(tree, source)


def config_to_hf(config: ModelConfig, family: Family | None = None) -> dict[str, Any]:
    """The content of a config.json for a model, but for what its tokenizer and dtype decide.

    Raises:
        HornbookError: the family (any, if none is given) cannot express the config.
    """
    return (family or family_for(config)).write(config)
