"""Rows that pair fields of a config.json with fields of `ModelConfig`, read in both directions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from pydantic import TypeAdapter, ValidationError

from hornbook.errors import HornbookError
from hornbook.model.config import ModelConfig

REQUIRED: Any = object()
"""Stands for a default where a config.json must state the field."""


class Theirs:
    """The fields of a config.json, with errors that name the file and the field."""

    def __init__(self, tree: Mapping[str, Any], source: str) -> None:
        self.tree = tree
        self.source = source

    def get(self, name: str, default: Any = REQUIRED) -> Any:
        """A field's value; `default` where it is not stated, or null.

        Raises:
            HornbookError: it is not stated and has no default.
        """
        value = self.tree.get(name)
        if value is not None:
            return value
        if default is REQUIRED:
            raise HornbookError(f"{self.source} lacks {name}; get the folder's own config.json.")
        return default

    def typed(self, name: str, kind: Any, default: Any = REQUIRED) -> Any:
        """The same, made sure to be of a type.

        Raises:
            HornbookError: it is of another type.
        """
        value = self.get(name, default)
        try:
            return TypeAdapter(kind).validate_python(value, strict=True)
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            raise HornbookError(
                f"{self.source}: {name}: {problem[0].lower()}{problem[1:]} (found {value!r})."
            ) from None

    def refuse(self, name: str, value: Any, expected: str) -> HornbookError:
        """What to raise for a value that Hornbook cannot follow."""
        return HornbookError(
            f"{self.source}: {name} is {value!r}, and Hornbook knows {expected} here."
        )


class Row(Protocol):
    """A row of a family's table of fields."""

    def read(self, theirs: Theirs) -> dict[str, Any]:
        """Fields of `ModelConfig` from those of a config.json.

        Raises:
            HornbookError: one is missing, of a wrong type, or asks for what there is not.
        """
        ...

    def write(self, config: ModelConfig) -> dict[str, Any]:
        """Fields of a config.json from those of `ModelConfig`."""
        ...


@dataclass(frozen=True)
class Same:
    """One field under two names."""

    ours: str
    theirs: str
    default: Any = REQUIRED
    """What holds where config.json does not state it: the family's own default."""
    written: str = ""
    """The property of `ModelConfig` to write, where a default is to be filled in."""
    null: bool = False
    """Whether null means "none", and only an absent field the default."""
    also: tuple[str, ...] = ()
    """Other names under which it is found."""
    whole: bool = False
    """Whether theirs is a whole number."""

    def read(self, theirs: Theirs) -> dict[str, Any]:
        """As `Row.read`."""
        found = next((n for n in (self.theirs, *self.also) if n in theirs.tree), self.theirs)
        if self.null and theirs.tree.get(found, REQUIRED) is None:
            return {self.ours: None}
        field = ModelConfig.model_fields[self.ours]
        kind: Any = field.annotation
        for condition in field.metadata:
            kind = Annotated[kind, condition]
        return {self.ours: theirs.typed(found, kind, self.default)}

    def write(self, config: ModelConfig) -> dict[str, Any]:
        """As `Row.write`."""
        value = getattr(config, self.written or self.ours)
        fits = self.whole and isinstance(value, float) and value.is_integer()
        return {self.theirs: int(value) if fits else value}


@dataclass(frozen=True)
class Always:
    """Fields of `ModelConfig` that are the same in every model of the family."""

    ours: Mapping[str, Any]

    def read(self, theirs: Theirs) -> dict[str, Any]:
        """As `Row.read`."""
        return dict(self.ours)

    def write(self, config: ModelConfig) -> dict[str, Any]:
        """As `Row.write`."""
        return {}


@dataclass(frozen=True)
class Stated:
    """A field of config.json with one meaning here: anything else is refused."""

    theirs: str
    value: Any
    also: tuple[Any, ...] = ()
    """Other values that mean the same."""

    def read(self, theirs: Theirs) -> dict[str, Any]:
        """As `Row.read`."""
        found = theirs.get(self.theirs, self.value)
        if found not in (self.value, *self.also):
            raise theirs.refuse(self.theirs, found, f"only {self.value!r}")
        return {}

    def write(self, config: ModelConfig) -> dict[str, Any]:
        """As `Row.write`."""
        return {self.theirs: self.value}


@dataclass(frozen=True)
class Choice:
    """A field whose values have other names there."""

    ours: str
    theirs: str
    names: Mapping[Any, Any]
    """Our value for each of theirs; of several with one meaning the first is written."""
    default: Any = REQUIRED

    def read(self, theirs: Theirs) -> dict[str, Any]:
        """As `Row.read`."""
        found = theirs.get(self.theirs, self.default)
        if not isinstance(found, str | bool | int) or found not in self.names:
            raise theirs.refuse(self.theirs, found, f"{', '.join(map(repr, self.names))}")
        return {self.ours: self.names[found]}

    def write(self, config: ModelConfig) -> dict[str, Any]:
        """As `Row.write`."""
        value = getattr(config, self.ours)
        return {self.theirs: next((t for t, ours in self.names.items() if ours == value), None)}


def sizes(context: int | None = None, kv_heads: int | None = None) -> list[Row]:
    """The rows that nearly every family has, with the family's defaults.

    `kv_heads` None stands for as many as query heads.
    """
    context_default = REQUIRED if context is None else context
    return [
        Same("vocab_size", "vocab_size"),
        Same("context_length", "max_position_embeddings", context_default),
        Same("embed_dim", "hidden_size"),
        Same("n_layers", "num_hidden_layers"),
        Same("n_heads", "num_attention_heads"),
        Same("n_kv_heads", "num_key_value_heads", kv_heads, written="kv_heads", null=True),
        Same("hidden_dim", "intermediate_size", written="mlp_dim"),
    ]
