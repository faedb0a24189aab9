"""The verbs that measure a model."""

from pathlib import Path
from typing import Annotated

import typer

from hornbook.cli.arguments import Overrides
from hornbook.cli.models import Int8, ModelPath, open_model


def evaluate(
    model: ModelPath,
    data: Annotated[
        Path | None,
        typer.Argument(
            help="What to measure on: a text for a pre-trained model, a table of labelled texts "
            "for a classifier, conversations for a follower of instructions.",
            show_default=False,
        ),
    ] = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            help="Benchmarks instead: tasks of the lm-evaluation-harness, or mmlu=FILE, "
            "hellaswag=FILE, arc=FILE, gsm8k=FILE, humaneval=FILE.",
            show_default=False,
        ),
    ] = None,
    shots: Annotated[
        int | None,
        typer.Option(min=0, help="Examples before each question.", show_default=False),
    ] = None,
    task_folder: Annotated[
        Path | None, typer.Option(help="Where task files of yours lie.", show_default=False)
    ] = None,
    run_code: Annotated[
        bool, typer.Option("--run-code", help="Let humaneval run what the model writes.")
    ] = False,
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
    """Measure a model: perplexity, classification report, answers, or benchmarks."""
    from hornbook.console import console
    from hornbook.errors import HornbookError
    from hornbook.pipeline.measuring.benchmarking import BenchmarkOptions, evaluate_on_tasks
    from hornbook.pipeline.measuring.evaluation import (
        EvaluationOptions,
        evaluate_model,
        write_evaluation,
    )

    if (data is None) == (not tasks):
        raise HornbookError("give data to measure on, or --tasks, and not both.")
    names = tuple(name.strip() for name in metrics.split(",") if name.strip())
    options = EvaluationOptions(
        text_column, label_column, names, schema, max_new_tokens, limit, stride, int8
    )
    other = None if against is None else open_model(against)
    own = open_model(model, int8)
    if data is not None:
        found = evaluate_model(own, data, options, other)
    else:
        named = tuple(name for given in tasks or () for name in given.split(",") if name)
        benchmarks = BenchmarkOptions(named, shots, limit, task_folder, run_code, int8)
        found = evaluate_on_tasks(own, benchmarks, other)
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
    from hornbook.evaluation.units import hash_text
    from hornbook.pipeline.measuring.judging import judge_model, write_judgement

    endpoint = load_settings(EndpointSettings, None, settings or [])
    other = None if against is None else open_model(against)
    found = judge_model(open_model(model), data, endpoint, rubric, other, limit, max_new_tokens)
    console.print(found.verdicts)
    console.print(hash_text(found.prompts, found.settings))
    if output is not None:
        write_judgement(output, found)
