"""The verbs that measure a model."""

from pathlib import Path
from typing import Annotated

import typer

from hornbook.cli.arguments import Overrides
from hornbook.cli.models import Int8, ModelPath, open_model


def evaluate(
    model: ModelPath,
    data: Annotated[
        Path,
        typer.Argument(
            help="What to measure on: a text for a pre-trained model, a table of labelled texts "
            "for a classifier, conversations for a follower of instructions."
        ),
    ],
    against: Annotated[
        Path | None,
        typer.Option(help="Another model to compare with, by a paired test.", show_default=False),
    ] = None,
    metrics: Annotated[
        str, typer.Option(help="Of answers: some of exact,rouge1,rougeL,bleu,json.")
    ] = "exact",
    schema: Annotated[
        Path | None,
        typer.Option(help="A JSON schema for the metric json.", show_default=False),
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of an answer.")] = 64,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Ask only so many.", show_default=False)
    ] = None,
    stride: Annotated[
        int | None,
        typer.Option(help="Tokens from one window of a text to the next.", show_default=False),
    ] = None,
    text_column: Annotated[str, typer.Option(help="Column of the text.")] = "text",
    label_column: Annotated[str, typer.Option(help="Column of the class.")] = "label",
    output: Annotated[
        Path | None, typer.Option(help="Write the figures as JSON.", show_default=False)
    ] = None,
    int8: Int8 = False,
) -> None:
    """Measure a model on data of yours: perplexity, classification report, or answers."""
    from hornbook.console import console
    from hornbook.pipeline.evaluation import EvaluationOptions, evaluate_model, write_evaluation

    names = tuple(name.strip() for name in metrics.split(",") if name.strip())
    options = EvaluationOptions(
        text_column, label_column, names, schema, max_new_tokens, limit, stride
    )
    other = None if against is None else open_model(against)
    found = evaluate_model(open_model(model, int8), data, options, other)
    console.print(found)
    if output is not None:
        write_evaluation(output, found)


def judge(
    model: ModelPath,
    data: Annotated[Path, typer.Argument(help="Conversations whose last answers are judged.")],
    settings: Overrides = None,
    against: Annotated[
        Path | None,
        typer.Option(help="Another model: which one's answers are better?", show_default=False),
    ] = None,
    rubric: Annotated[
        Path | None,
        typer.Option(help="A text that says what the grades 1 to 5 mean.", show_default=False),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Ask only so many.", show_default=False)
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of an answer.")] = 256,
    output: Annotated[
        Path | None, typer.Option(help="Write the verdicts as JSON.", show_default=False)
    ] = None,
) -> None:
    """Have a model's answers graded by another one (settings: url, model, concurrency, cache, …)."""
    from hornbook.config import load_settings
    from hornbook.console import console
    from hornbook.evaluation.endpoint import EndpointSettings
    from hornbook.pipeline.judging import judge_model, write_judgement

    endpoint = load_settings(EndpointSettings, None, settings or [])
    other = None if against is None else open_model(against)
    found = judge_model(open_model(model), data, endpoint, rubric, other, limit, max_new_tokens)
    console.print(found.verdicts)
    console.print(f"SHA-256 of questions, answers and settings: {found.settings[:12]}", style="dim")
    if output is not None:
        write_judgement(output, found)
