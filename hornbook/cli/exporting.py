"""The verbs that write a model for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from hornbook.cli.models import ModelPath

Out = Annotated[Path, typer.Argument(metavar="OUT", help="A new folder to write.")]


def hf(
    model: ModelPath,
    out: Out,
    dtype: Annotated[
        str, typer.Option(help="Of the weights: float32, bfloat16 or float16.")
    ] = "float32",
) -> None:
    """Write a folder that transformers, vLLM and the like load, tokenizer and chat template inside."""
    from hornbook.console import console
    from hornbook.pipeline.models.exporting import export_as_folder

    export_as_folder(model, out, dtype)
    console.print(f"Written: {out}", markup=False)


def gguf(
    model: ModelPath,
    out: Out,
    kind: Annotated[
        str, typer.Option("--type", help="Of the weights: f32, f16, bf16 or q8_0.")
    ] = "f16",
    adapter: Annotated[
        bool, typer.Option("--adapter", help="Write the LoRA adapter alone, for --lora.")
    ] = False,
) -> None:
    """Write a GGUF file for llama.cpp, Ollama and LM Studio, with a Modelfile."""
    from hornbook.console import console
    from hornbook.pipeline.models.exporting import export_adapter, export_as_gguf

    if adapter:
        console.print(f"Written: {export_adapter(model, out, None, as_gguf=True)}", markup=False)
        return
    written = export_as_gguf(model, out, kind)  # type: ignore[arg-type]  # checked there
    console.print(f"Written: {written}", markup=False)


def peft(
    model: ModelPath,
    out: Out,
    base: Annotated[
        str | None,
        typer.Option(help="Folder or hub name of the exported base model, for others to find it."),
    ] = None,
) -> None:
    """Write a LoRA adapter for the peft library."""
    from hornbook.console import console
    from hornbook.pipeline.models.exporting import export_adapter

    console.print(f"Written: {export_adapter(model, out, base)}", markup=False)
