"""The verb that serves a model to programs and browsers."""

from pathlib import Path
from typing import Annotated

import typer

from hornbook.cli.arguments import Overrides


def serve(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A model's folder, such as runs/NAME/instruct.")
    ],
    settings: Overrides = None,
    name: Annotated[
        str | None,
        typer.Option(help="What requests call the model; its folder's name if not given."),
    ] = None,
    adapter: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]FOLDER",
            help="A LoRA adapter for the model, Hornbook's or peft's, that requests can name as their "
            "model; may be given several times.",
        ),
    ] = None,
    runs: Annotated[
        Path | None,
        typer.Option(help="Folder whose runs the pages show; the one that the model's run is in."),
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(
            envvar="HORNBOOK_API_KEY",
            show_envvar=True,
            help="A key that requests must bring; needed to listen on another address.",
        ),
    ] = None,
) -> None:
    """Serve a model over HTTP as OpenAI's interface (settings: host, port, engine.rows, …)."""
    from hornbook.config import load_settings
    from hornbook.errors import HornbookError
    from hornbook.serving.settings import ServerSettings, require_key

    try:
        from hornbook.serving.models import named_adapters
        from hornbook.serving.run import run_server
    except ImportError as error:
        raise HornbookError(f"serving needs {error.name}: pip install 'hornbook[serve]'.") from None
    chosen = load_settings(ServerSettings, None, settings or [])
    require_key(chosen, api_key)
    run_server(model, chosen, name, api_key, runs, named_adapters(adapter or []))
