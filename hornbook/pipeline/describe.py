"""Settings explained: a table made from the descriptions that stand beside the fields."""

from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from rich.markup import escape
from rich.table import Table

from hornbook.console import console
from hornbook.pipeline.recipe import Recipe


def settings_table() -> None:
    """Print every setting that a recipe can have, with its default and its meaning."""
    table = Table("setting", "default", "meaning", box=None, pad_edge=False)
    for name, value, meaning in rows(Recipe()):
        table.add_row(name, escape(value), escape(meaning))  # brackets are no markup
    console.print(table)


def rows(settings: BaseModel, prefix: str = "") -> list[tuple[str, str, str]]:
    """(dotted name, default, description) of every field, sections opened."""
    found: list[tuple[str, str, str]] = []
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            found += rows(value, f"{prefix}{name}.")
        else:
            found.append((f"{prefix}{name}", _default(value), _meaning(field)))
    return found


def _default(value: Any) -> str:
    return "-" if value is None else str(value)


def _meaning(field: FieldInfo) -> str:
    return " ".join((field.description or "").split())
