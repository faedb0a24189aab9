"""The verbs that run stages: each runs the pipeline up to itself, making only what changed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hornbook.cli.arguments import RecipeArguments
from hornbook.cli.stopping import running

if TYPE_CHECKING:
    from hornbook.run import Goal

ShowWindows = Annotated[
    int | None,
    typer.Option(
        "--show",
        metavar="N",
        help="Show N windows: tokens, targets and trained positions, coloured.",
        show_default=False,
    ),
]
ListSettings = Annotated[
    bool, typer.Option("--settings", help="List every setting with its meaning and default.")
]


def quickstart(arguments: RecipeArguments = None) -> None:
    """Every stage on the built-in sample world: from nothing to a model that answers."""
    _run(arguments)


def run(arguments: RecipeArguments = None, settings: ListSettings = False) -> None:
    """Every stage that a recipe asks for."""
    if settings:
        from hornbook.pipeline.describe import settings_table

        settings_table()
        return
    _run(arguments)


def tokenize(
    arguments: RecipeArguments = None,
    text: Annotated[
        str | None, typer.Option(help="Also show how this text is tokenized.", show_default=False)
    ] = None,
) -> None:
    """Make the corpus and train (or load) the tokenizer."""
    with running(arguments) as recipe:
        from hornbook.pipeline.tables import print_tokens
        from hornbook.run import tokenize_corpus

        _, tokenizer = tokenize_corpus(recipe)
    if text is not None:
        print_tokens(tokenizer, text)


def sample(arguments: RecipeArguments = None, show: ShowWindows = None) -> None:
    """Write the token store; with --show, print what the model will see."""
    with running(arguments) as recipe:
        from hornbook.pipeline.show import show_samples
        from hornbook.run import sample_tokens

        context = sample_tokens(recipe)
    if show is not None:
        show_samples(context, show)


def prepare(
    arguments: RecipeArguments = None,
    engine: Annotated[
        str | None,
        typer.Option(help='Who reads: "local", or "ray" for a cluster; as run.engine.'),
    ] = None,
) -> None:
    """Read, clean and tokenize a corpus; prints what each step did and writes a data card."""
    chosen = [] if engine is None else [f"run.engine={engine}"]
    with running([*(arguments or []), *chosen]) as recipe:
        from hornbook.pipeline.corpora.prepare import show_prepared
        from hornbook.run import sample_tokens

        show_prepared(sample_tokens(recipe))


def verify(
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIR|MODEL",
            help="A run's directory, one of its artifacts, or a model's folder that others wrote.",
        ),
    ],
    transformers: Annotated[
        bool,
        typer.Option(
            "--transformers",
            help="Compare the model with the transformers library, layer by layer; what is always "
            "done with a folder that others wrote.",
        ),
    ] = False,
) -> None:
    """Compute every SHA-256 under a directory again, and those of its inputs; or compare a model.

    Exit code 2 if anything differs.
    """
    from hornbook.pipeline.verify import is_foreign
    from hornbook.pipeline.verify import verify as verify_directory

    if transformers or is_foreign(directory):
        from hornbook.pipeline.models.parity import verify_model

        differs = not verify_model(directory)
    else:
        differs = verify_directory(directory) > 0
    if differs:
        raise typer.Exit(2)


def pretrain(arguments: RecipeArguments = None) -> None:
    """Pre-train a model on the corpus."""
    _run(arguments, "pretrain")


def finetune_classify(arguments: RecipeArguments = None) -> None:
    """Fine-tune as a classifier (classification.path names the labelled texts)."""
    _run(arguments, "classify")


def finetune_instruct(arguments: RecipeArguments = None) -> None:
    """Fine-tune to follow instructions (instruction.path names the examples)."""
    _run(arguments, "instruct")


def finetune_prefer(arguments: RecipeArguments = None) -> None:
    """Teach a follower of instructions which answers people prefer (preference.path)."""
    _run(arguments, "prefer")


def _run(arguments: list[str] | None, goal: "Goal" = "all") -> None:
    with running(arguments) as recipe:
        from hornbook.run import run as run_all

        run_all(recipe, goal)
