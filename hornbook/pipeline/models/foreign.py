"""Models that others made, ready for use: weights, tokenizer, and how they begin and end texts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hornbook.artifact import Manifest
from hornbook.checkpoints.loading.folders import CONFIG, FolderModel, load_folder, read_config
from hornbook.checkpoints.loading.tensors import open_tensors
from hornbook.checkpoints.loading.text_part import reads_images
from hornbook.console import console
from hornbook.errors import HornbookError
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime
from hornbook.tokenizing.foreign import read_json
from hornbook.tokenizing.tokenizer import Tokenizer

GENERATION_CONFIG = "generation_config.json"
KIND = "folder"
"""Of the manifest that stands for such a model's."""
KEPT = ("family", "opening_ids", "stop_ids", "drawing")
DRAWN = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")
"""Fields of a generation_config.json that `GenerationSettings` has too."""
TRACES = {"_from_model_config", "transformers_version"}
"""Fields of a generation_config.json that say how it came about."""


def open_foreign(path: Path, runtime: Runtime) -> tuple[Transformer, Tokenizer, Manifest]:
    """A model from a folder of the Hugging Face hub, or GPT-2's of OpenAI, and its tokenizer.

    The manifest holds what `Bundle` needs to know: "instruct" as its task where the tokenizer brings
    a chat template, else "pretrain".

    Raises:
        HornbookError: the model cannot be loaded, or the folder has no tokenizer that fits it.
    """
    if path.is_file():
        open_tensors(path)  # a pickle or an archive says what is wrong with it
        raise HornbookError(f"{path} is one file of a model; give the folder that it is in.")
    loaded = load_folder(path, runtime.device)
    if (path / CONFIG).is_file() and reads_images(read_config(path)):
        console.print(
            f"note: {path} reads images too; its text model alone, a {loaded.family.name}, is used",
            style="yellow",
            markup=False,
        )
    tokenizer = Tokenizer.open(path)
    require_fitting(tokenizer, loaded.model.config.vocab_size, path)
    inputs = {"tokenizer": tokenizer.fingerprint}
    return loaded.model, tokenizer, Manifest(KIND, {}, inputs, {}, facts_of(loaded, tokenizer))


def kept_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What further training does not change of a model made elsewhere: how it begins and ends texts,
    how its makers would have them drawn, the family that it goes back to.
    """
    return {name: facts[name] for name in KEPT if name in facts}


def drawn_as_made(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `GenerationSettings` that a model's makers have stated; none for one made here.

    Where they want the likeliest token, temperatures beside that have no meaning. Where they state
    that tokens are drawn and not how warm, it is 1, as in `transformers`.
    """
    stated = facts.get("drawing", {})
    found = {name: stated[name] for name in DRAWN if name in stated}
    if found.get("top_k") == 0:
        found["top_k"] = None
    if stated.get("do_sample") is False:
        return {**found, "temperature": 0.0}
    return {"temperature": 1.0, **found} if stated.get("do_sample") else found


def require_fitting(tokenizer: Tokenizer, vocab_size: int, path: Path) -> None:
    """Make sure that a model has a vector for each of a tokenizer's ids; it may have more.

    Raises:
        HornbookError: it has fewer.
    """
    if tokenizer.vocab_size > vocab_size:
        raise HornbookError(
            f"{path}: the tokenizer has {tokenizer.vocab_size:,} tokens and the model "
            f"{vocab_size:,}; give the tokenizer that the model was trained with."
        )


def facts_of(loaded: FolderModel, tokenizer: Tokenizer) -> dict[str, Any]:
    """What Hornbook notes of its own models, of one made elsewhere."""
    talks = tokenizer.chat_template is not None
    return {
        **({"task": "instruct", "template": "tokenizer"} if talks else {"task": "pretrain"}),
        "family": loaded.family.name,
        "stored_dtype": str(loaded.stored).removeprefix("torch."),
        "stop_ids": _stop_ids(loaded),
        "drawing": _drawing(loaded.path),
        "opening_ids": tokenizer.opening_ids,
    }


def _drawing(folder: Path) -> dict[str, Any]:
    """What a folder's generation_config.json says beside ids: plain values, to be handed on."""
    return {
        name: value
        for name, value in _generation_config(folder).items()
        if isinstance(value, bool | int | float | str)
        and name not in TRACES
        and not name.endswith("_token_id")
    }


def _generation_config(folder: Path) -> dict[str, Any]:
    path = folder / GENERATION_CONFIG
    stated = read_json(path) if path.is_file() else {}
    return stated if isinstance(stated, dict) else {}


def _stop_ids(loaded: FolderModel) -> list[int]:
    """The tokens at which generation ends: generation_config.json's, or else config.json's.

    Raises:
        HornbookError: they are not ids of the vocabulary.
    """
    ends = _generation_config(loaded.path).get("eos_token_id")
    ends = loaded.described.get("eos_token_id") if ends is None else ends
    ids = ends if isinstance(ends, list) else [] if ends is None else [ends]
    size = loaded.model.config.vocab_size
    for number in ids:
        if type(number) is not int or not 0 <= number < size:
            raise HornbookError(
                f"{loaded.path}: eos_token_id {number!r} is not among the model's {size:,} tokens."
            )
    return ids
