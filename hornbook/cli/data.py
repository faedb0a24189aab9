"""The verbs that look at data sets."""

from pathlib import Path
from typing import Annotated

import typer

from hornbook.cli.stopping import running


def preview(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|RECIPE.toml [SECTION.KEY=VALUE]...",
            help="A file of conversations, or a recipe with settings that override it.",
        ),
    ],
    tokenizer: Annotated[
        Path | None,
        typer.Option(help="A model's folder or a tokenizer, for a file.", show_default=False),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(help="How conversations are written, for a file.", show_default=False),
    ] = None,
    show: Annotated[int, typer.Option(help="How many examples to show.")] = 2,
) -> None:
    """Show what a model will see of a data set of conversations, and every fault in it."""
    from hornbook.pipeline.tuning import preview as previewing

    if what[0].endswith(".toml"):
        with running(what) as recipe:
            from hornbook.run import preview_recipe

            preview_recipe(recipe, show)
        return
    from hornbook.finetuning.instruction import InstructionSettings

    data = Path(what[0])
    found = previewing.tokenizer_for(tokenizer, data)
    settings = InstructionSettings(template=previewing.template_for(template, found))
    previewing.preview(data, found, settings, previewing.CONTEXT_FOR_LOOKING, show)
