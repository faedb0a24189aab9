"""Settings: frozen, strict, read from TOML, overridden from the command line.

Each part of Hornbook declares a `Settings` class beside the code that it configures; `recipe.py`
gathers them. This module knows how settings are read and how a mistake in them is explained, and
nothing about what they mean.
"""

import difflib
import json
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from hornbook.errors import HornbookError

FEW_NAMES = 8
"""Words that a setting may be which are all told where another was found."""


class Settings(BaseModel):
    """Base of every settings class: immutable, no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        validate_default=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


SettingsT = TypeVar("SettingsT", bound=Settings)


def load_settings(
    kind: type[SettingsT],
    path: Path | None = None,
    overrides: Sequence[str] = (),
    exclusive: Collection[str] = (),
) -> SettingsT:
    """Settings of class `kind`: its defaults, then a TOML file, then `section.key=value` overrides.

    Args:
        exclusive: keys of which a section has one at most; an override of one drops the others.

    Raises:
        HornbookError: the file cannot be read or parsed, a key is unknown or a value is wrong.
    """
    tree = _read_toml(path) if path is not None else {}
    for override in overrides:
        _apply_override(tree, override, exclusive)
    return validate(kind, tree, str(path) if path is not None else "settings")


def validate(kind: type[SettingsT], tree: Mapping[str, Any], source: str) -> SettingsT:
    """Check a tree of plain values against `kind`; `source` is named in the error message."""
    try:
        # Through JSON, so that strictness still lets an array be a tuple and a string be a path.
        return kind.model_validate_json(json.dumps(tree, default=str))
    except ValidationError as error:
        raise HornbookError(f"{source}: {_explain(kind, error)}") from None


def _read_toml(path: Path) -> dict[str, Any]:
    if path.is_dir():
        raise HornbookError(f"{path} is a directory; give the path of a recipe file (.toml).")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise HornbookError(f"{path}: no such recipe; give the path of a .toml file.") from None
    except UnicodeDecodeError:
        raise HornbookError(f"{path} is not UTF-8 text; a recipe is a TOML file.") from None
    except tomllib.TOMLDecodeError as error:
        raise HornbookError(f"{path}: not valid TOML: {error}.") from None


def _apply_override(tree: dict[str, Any], override: str, exclusive: Collection[str]) -> None:
    key, equals, literal = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise HornbookError(
            f"override {override!r}: expected section.key=value, for example training.lr=3e-4."
        )
    try:
        value = tomllib.loads(f"value = {literal}")["value"]
    except tomllib.TOMLDecodeError:
        value = literal  # a bare word, such as a path, needs no quotes on a command line
    for part in parts[:-1]:
        tree = tree.setdefault(part, {})
        if not isinstance(tree, dict):
            raise HornbookError(f"override {override!r}: {part!r} is a value, not a section.")
    if parts[-1] in exclusive:
        for other in exclusive:
            tree.pop(other, None)
    tree[parts[-1]] = value


def _explain(kind: type[BaseModel], error: ValidationError) -> str:
    misspelt = _misspelt(error)
    others = [one for one in error.errors() if _place(one) not in misspelt]
    said = [_explain_one(kind, detail) for detail in others]
    return "; ".join([*misspelt.values(), *said]) + "."


def _place(detail: ErrorDetails) -> str:
    """The setting an error is about, without the alternatives of its type."""
    return ".".join(str(part) for part in detail["loc"] if not str(part).startswith("literal["))


def _misspelt(error: ValidationError) -> dict[str, str]:
    """By place, what is said of a word that is near to one of so many that a list would help nobody."""
    known: dict[str, list[str]] = {}
    words: dict[str, str] = {}
    for detail in error.errors():
        if detail["type"] == "literal_error":
            names = re.findall(r"'([^']+)'", detail["ctx"]["expected"])
            known.setdefault(_place(detail), []).extend(names)
            words[_place(detail)] = str(detail["input"])
    found = {}
    for where, names in known.items():
        near = _nearest(words[where], names)
        if near and len(names) > FEW_NAMES:
            meant = " or ".join(map(repr, near)) if len(near) < 3 else f"one of {', '.join(near)}"
            found[where] = f"{where}: {words[where]!r} is unknown; did you mean {meant}"
    return found


def _nearest(word: str, names: Sequence[str]) -> list[str]:
    """The names that a word begins, as "gopher" does those of all its filters; else the likest one."""
    begun = [name for name in names if word and name.startswith(word)]
    return begun or difflib.get_close_matches(word, names, n=1)


def _explain_one(kind: type[BaseModel], detail: ErrorDetails) -> str:
    where = _place(detail)
    if detail["type"] == "extra_forbidden":
        return f"unknown setting {where}{_did_you_mean(kind, detail['loc'])}"
    message = detail["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if detail["type"] == "missing":
        return f"{where} is missing"
    found = "" if isinstance(detail["input"], dict) else f" (found {detail['input']!r})"
    return f"{where}: {message}{found}" if where else message


def _did_you_mean(kind: type[BaseModel], location: tuple[int | str, ...]) -> str:
    """The known keys nearest to a misspelt one, at the place where it stands."""
    for part in location[:-1]:
        field = kind.model_fields.get(str(part))
        section = _section(field.annotation) if field is not None else None
        if section is None:
            return ""
        kind = section
    prefix = "".join(f"{part}." for part in location[:-1])
    near = difflib.get_close_matches(str(location[-1]), kind.model_fields, n=1)
    if near:
        return f"; did you mean {prefix}{near[0]}?".removesuffix("?")
    return f"; known here: {', '.join(kind.model_fields)}"


def _section(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None
