"""The text model of a folder whose model reads images too: its config and its tensors."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hornbook.checkpoints.loading.tensors import TensorSource

TEXT, HEAD = "text_config", "lm_head.weight"
WITH_IMAGES: dict[str, dict[str, Any]] = {
    "mistral3": {},
    "gemma3": {
        "vocab_size": 262_208,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
    },
}
"""By `model_type`, what their text_config leaves out where it is as in the first model published."""
PREFIXES = {"language_model.": "", "model.language_model.": "model."}
"""Before the names of the text model's tensors in such a folder, and in one of its own."""


class TextPart:
    """The tensors of the text model alone, under the names that they have in a folder of its own."""

    def __init__(self, whole: TensorSource) -> None:
        self._whole = whole
        self._stored = {_own_name(name): name for name in whole.names()}
        self._stored.pop("", None)

    def names(self) -> list[str]:
        """As in `TensorSource`."""
        return list(self._stored)

    def shape(self, name: str) -> tuple[int, ...]:
        """As in `TensorSource`."""
        return self._whole.shape(self._stored[name])

    def dtype(self, name: str) -> torch.dtype:
        """As in `TensorSource`."""
        return self._whole.dtype(self._stored[name])

    def read(self, name: str) -> Tensor:
        """As in `TensorSource`."""
        return self._whole.read(self._stored[name])


def reads_images(tree: Mapping[str, Any]) -> bool:
    """Whether a config.json is that of a model whose text model can be taken out of it."""
    kind = tree.get("model_type")
    return isinstance(kind, str) and kind in WITH_IMAGES and isinstance(tree.get(TEXT), dict)


def text_config(tree: Mapping[str, Any], tensors: TensorSource) -> dict[str, Any]:
    """The config.json that the text model would have in a folder of its own.

    Whether both ends share a matrix is seen from the tensors: what is stated in one of the two
    places is not always so.
    """
    ends = {"eos_token_id": tree["eos_token_id"]} if "eos_token_id" in tree else {}
    tied = HEAD not in tensors.names()
    return {**WITH_IMAGES[tree["model_type"]], **ends, **tree[TEXT], "tie_word_embeddings": tied}


def _own_name(name: str) -> str:
    """A tensor's name without the others around; empty for those of images."""
    for prefix, own in PREFIXES.items():
        if name.startswith(prefix):
            return own + name[len(prefix) :]
    return name if name == HEAD else ""
