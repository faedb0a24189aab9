"""A family: its two tables, and what can be done with them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from hornbook.checkpoints.families.fields import Row, Theirs
from hornbook.checkpoints.families.weights import Place, Weight, places
from hornbook.checkpoints.store import named_once
from hornbook.config import validate
from hornbook.errors import HornbookError
from hornbook.model.config import ModelConfig

FREE = {"init", "zero_init", "dropout"}
"""Fields that decide how a model is trained, not what it computes."""


@dataclass(frozen=True)
class Family:
    """What a model type's folders look like."""

    name: str
    """`model_type` in config.json."""
    architecture: str
    """The class in `transformers`, as config.json names it."""
    fields: tuple[Row, ...]
    weights: tuple[Weight, ...]
    prefix: str = "model."
    """Stands before the names of all tensors but the head's; folders saved without a head lack it."""
    ignored: tuple[str, ...] = ()
    """Endings of tensors that hold nothing that was learned."""

    def read(self, tree: Mapping[str, Any], source: str) -> ModelConfig:
        """The config of a model from its config.json.

        Raises:
            HornbookError: a field is missing, of a wrong type, or asks for what there is not.
        """
        theirs, ours = Theirs(tree, source), dict[str, Any]()
        for row in self.fields:
            ours |= row.read(theirs)
        return validate(ModelConfig, ours, source)

    def write(self, config: ModelConfig) -> dict[str, Any]:
        """A config.json's fields, without those of its tokenizer.

        Raises:
            HornbookError: the family cannot express the config; what differs is named.
        """
        written = self._written(config)
        different = self.differences(config)
        if different:
            raise HornbookError(
                f"a {self.name} model cannot have {', '.join(different)}; it would compute "
                "something else."
            )
        return written

    def differences(self, config: ModelConfig) -> list[str]:
        """The fields of a config, as `name=value`, that are lost in this family's config.json."""
        try:
            again = decisive(self.read(self._written(config), self.name))
        except HornbookError as error:
            return [str(error)]
        return [f"{name}={v}" for name, v in decisive(config).items() if again.get(name) != v]

    def _written(self, config: ModelConfig) -> dict[str, Any]:
        written: dict[str, Any] = {"model_type": self.name, "architectures": [self.architecture]}
        for row in self.fields:
            written |= row.write(config)
        return written

    def places(self, model: nn.Module, config: ModelConfig) -> list[Place]:
        """Where each tensor of a folder goes in a model, or comes from.

        Raises:
            HornbookError: the model has tensors for which the family has no name.
        """
        shapes = {name: tuple(tensor.shape) for name, tensor in named_once(model)}
        return places(self.weights, shapes, config.n_layers, config.n_experts or 0, self.name)

    def tensors(self, model: nn.Module, config: ModelConfig) -> Iterator[tuple[str, Tensor]]:
        """A model's weights under their names in a folder, one at a time.

        Raises:
            HornbookError: the model has tensors for which the family has no name.
        """
        ours = {name: tensor.detach() for name, tensor in named_once(model)}
        for place in self.places(model, config):
            yield place.theirs, place.join(ours)


def decisive(config: ModelConfig) -> dict[str, Any]:
    """The fields that decide what a model computes, with defaults filled in and idle ones left out."""
    tree = config.model_dump(exclude=FREE)
    layers = range(config.n_layers)
    tree |= {
        "n_kv_heads": config.kv_heads,
        "head_size": config.head_dim,
        "hidden_dim": config.mlp_dim,
        "query_pre_attn_scalar": float(config.score_dim),
        "out_bias": config.bias if config.out_bias is None else config.out_bias,
        "rotary_layers": [config.turns(layer) for layer in layers],
        "windowed_layers": [config.window_of(layer) for layer in layers],
        "window": None,
        "expert_layers": [config.has_experts(layer) for layer in layers],
    }
    idle = _idle(config)
    return {name: value for name, value in tree.items() if name not in idle}


def _idle(config: ModelConfig) -> set[str]:
    """Fields without effect in a model like this."""
    idle: set[str] = set()
    if config.positions != "rotary":
        idle |= {"rope_theta", "rope_scaling", "rope_share", "window_rope_theta"}
    if config.window is None:
        idle |= {"window_rope_theta"}
    if config.ngram_order == 1:
        idle |= {"ngram_rows"}
    if config.n_experts is None:
        idle |= {"experts_per_token", "expert_dim", "normalized_experts"}
    elif all(config.has_experts(layer) for layer in range(config.n_layers)):
        idle |= {"hidden_dim"} if config.expert_dim else set()
    return idle
