"""The verbs that run stages: each runs the pipeline up to itself, making only what changed."""

from pathlib import Path
from typing import Annotated

import typer

from hornbook.cli.arguments import RecipeArguments, recipe_from

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
    from hornbook.run import run as run_all

    run_all(recipe_from(arguments))


def run(arguments: RecipeArguments = None, settings: ListSettings = False) -> None:
    """Every stage that a recipe asks for."""
    if settings:
        from hornbook.pipeline.describe import settings_table

        settings_table()
        return
    from hornbook.run import run as run_all

    run_all(recipe_from(arguments))


def tokenize(
    arguments: RecipeArguments = None,
    text: Annotated[
        str | None, typer.Option(help="Also show how this text is tokenized.", show_default=False)
    ] = None,
) -> None:
    """Make the corpus and train (or load) the tokenizer."""
    from hornbook.pipeline.tables import print_tokens
    from hornbook.run import tokenize_corpus

    _, tokenizer = tokenize_corpus(recipe_from(arguments))
    if text is not None:
        print_tokens(tokenizer, text)


def sample(arguments: RecipeArguments = None, show: ShowWindows = None) -> None:
    """Write the token store; with --show, print what the model will see."""
    from hornbook.pipeline.show import show_samples
    from hornbook.run import sample_tokens

    context = sample_tokens(recipe_from(arguments))
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
    from hornbook.pipeline.corpora.prepare import show_prepared
    from hornbook.run import sample_tokens

    chosen = [] if engine is None else [f"run.engine={engine}"]
    show_prepared(sample_tokens(recipe_from([*(arguments or []), *chosen])))


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
    from hornbook.run import run as run_all

    run_all(recipe_from(arguments), goal="pretrain")


def finetune_classify(arguments: RecipeArguments = None) -> None:
    """Fine-tune as a classifier (classification.path names the labelled texts)."""
    from hornbook.run import run as run_all

    run_all(recipe_from(arguments), goal="classify")


def finetune_instruct(arguments: RecipeArguments = None) -> None:
    """Fine-tune to follow instructions (instruction.path names the examples)."""
    from hornbook.run import run as run_all

    run_all(recipe_from(arguments), goal="instruct")


def finetune_prefer(arguments: RecipeArguments = None) -> None:
    """Teach a follower of instructions which answers people prefer (preference.path)."""
    from hornbook.run import run as run_all

    run_all(recipe_from(arguments), goal="prefer")
