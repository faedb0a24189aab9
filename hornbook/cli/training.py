"""The verbs around a training: before it starts, and when several have been done."""

from pathlib import Path
from typing import Annotated

import typer

from hornbook.cli.arguments import RecipeArguments
from hornbook.cli.stopping import running


def estimate(arguments: RecipeArguments = None) -> None:
    """Before pre-training: time, memory, disk, and a Chinchilla-optimal budget.

    Trains the real model for some seconds on random tokens. Makes corpus, tokenizer and tokens
    first when they are missing and small; large ones are estimated from the corpus' first part.
    """
    with running(arguments) as recipe:
        from hornbook.console import console
        from hornbook.pipeline.pretraining.amounts import (
            count_amounts,
            guess_amounts,
            small_enough,
        )
        from hornbook.pipeline.pretraining.estimate import estimate as estimate_run
        from hornbook.run import sample_tokens

        small = small_enough(recipe)
        amounts = count_amounts(sample_tokens(recipe)) if small else guess_amounts(recipe)
        console.print(estimate_run(recipe, amounts))


def find_lr(
    arguments: RecipeArguments = None,
    steps: Annotated[int, typer.Option(help="Steps from the lowest rate to the highest.")] = 100,
) -> None:
    """Find a learning rate: raise it until the loss goes up, on a model that is thrown away."""
    with running(arguments) as recipe:
        from hornbook.pipeline.pretraining.find_lr import find_learning_rate
        from hornbook.run import sample_tokens

        find_learning_rate(sample_tokens(recipe), steps)


def compare(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN RUN...", help="Directories of runs, done or not.")
    ],
    stage: Annotated[
        str, typer.Option(help="Which training: pretrain, classify-full, instruct-lora, …")
    ] = "pretrain",
    to: Annotated[
        Path | None,
        typer.Option(help="Folder for picture and page; beside the first run when not given."),
    ] = None,
) -> None:
    """Lay runs side by side: curves, figures, and the settings that differ."""
    from hornbook.pipeline.pretraining.compare import compare as compare_runs

    compare_runs(runs, stage, to)
