"""How the verbs read their arguments: an optional recipe, then `section.key=value` overrides."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hornbook.errors import HornbookError

if TYPE_CHECKING:
    from hornbook.pipeline.recipe import Recipe

RecipeArguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[RECIPE.toml] [SECTION.KEY=VALUE]...",
        help="A recipe file and settings that override it; see `hornbook run --settings`.",
        show_default=False,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="Settings that override the defaults.",
        show_default=False,
    ),
]


def recipe_from(arguments: list[str] | None) -> "Recipe":
    """The recipe that a verb's arguments describe.

    Raises:
        HornbookError: more than one recipe, or a recipe or override that is wrong.
    """
    from hornbook.pipeline.recipe import load_recipe

    words = arguments or []
    files = [word for word in words if "=" not in word]
    if len(files) > 1:
        raise HornbookError(
            f"expected one recipe and key=value overrides, found {', '.join(files)}."
        )
    overrides = [word for word in words if "=" in word]
    return load_recipe(Path(files[0]) if files else None, overrides)
