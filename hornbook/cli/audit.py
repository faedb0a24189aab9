"""The verbs that look for what a training should not have left in a model."""

from pathlib import Path
from typing import Annotated

import typer

from hornbook.cli.arguments import RecipeArguments
from hornbook.cli.stopping import running


def memorization(arguments: RecipeArguments = None) -> None:
    """What is learnt by heart: secrets planted in the corpus, small models trained on it and asked."""
    with running(arguments) as recipe:
        from hornbook.run import audit_memorization

        audit_memorization(recipe)


def poison(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="The folder of a classifier, of a follower of instructions, or of a pre-trained model.",
        ),
    ],
    data: Annotated[
        Path, typer.Argument(help="What it is trained on: labelled texts, or conversations.")
    ],
    text_column: Annotated[str, typer.Option(help="Column of the text.")] = "text",
    label_column: Annotated[str, typer.Option(help="Column of the class.")] = "label",
    top: Annotated[int, typer.Option(min=1, help="How many examples to show.")] = 20,
    plant: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=0.5,
            help="Share of the examples to plant a trigger in, in memory, to see how many are found.",
            show_default=False,
        ),
    ] = None,
    reader: Annotated[
        Path | None,
        typer.Option(
            help="The model that reads the examples; when not given, the pretrain folder beside a "
            "fine-tuned model, or MODEL.",
            show_default=False,
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(help="Write the whole ranking into this file (JSONL).", show_default=False),
    ] = None,
) -> None:
    """Rank training examples by how planted they look, and probe a classifier for a backdoor."""
    from hornbook.pipeline.measuring.poison import audit_poison, open_audit

    audit = open_audit(model, data, text_column, label_column, reader)
    audit_poison(audit, top, plant, to)
