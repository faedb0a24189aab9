"""The `hornbook` command and its verbs."""

from typing import Annotated

import typer

from hornbook import __version__
from hornbook.cli import (
    audit,
    data,
    evaluation,
    exporting,
    merging,
    models,
    pipeline,
    serving,
    training,
)

app = typer.Typer(
    name="hornbook",
    help="From raw text to a language model that answers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
export = typer.Typer(help="Write a model for other programs.", no_args_is_help=True)
finetune = typer.Typer(help="Fine-tune a pre-trained model.", no_args_is_help=True)
audits = typer.Typer(
    help="Look for what a training should not leave in a model.", no_args_is_help=True
)
data_sets = typer.Typer(help="Look at data sets.", no_args_is_help=True)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hornbook {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options that stand before the verb."""


app.command()(pipeline.quickstart)
app.command()(pipeline.run)
app.command()(pipeline.tokenize)
app.command()(pipeline.sample)
app.command()(pipeline.prepare)
app.command()(pipeline.verify)
app.command()(pipeline.pretrain)
finetune.command("classify")(pipeline.finetune_classify)
finetune.command("instruct")(pipeline.finetune_instruct)
finetune.command("prefer")(pipeline.finetune_prefer)
app.add_typer(finetune, name="finetune")
data_sets.command("preview")(data.preview)
app.add_typer(data_sets, name="data")
audits.command("memorization")(audit.memorization)
audits.command("poison")(audit.poison)
app.add_typer(audits, name="audit")
app.command()(training.estimate)
app.command("find-lr")(training.find_lr)
app.command()(training.compare)
app.command()(models.generate)
app.command()(models.chat)
app.command()(serving.serve)
app.command()(models.classify)
app.command()(evaluation.evaluate)
app.command()(evaluation.judge)
app.command()(models.inspect)
app.command()(merging.merge)
app.command("extend-vocabulary")(models.extend_vocabulary)
export.command("hf")(exporting.hf)
export.command("gguf")(exporting.gguf)
export.command("peft")(exporting.peft)
app.add_typer(export, name="export")
