"""Open a model and serve it until interrupted."""

import socket
from pathlib import Path

import uvicorn

from hornbook.console import console
from hornbook.errors import HornbookError
from hornbook.serving.app import create_app
from hornbook.serving.served import open_model
from hornbook.serving.settings import ServerSettings


def run_server(
    path: Path,
    settings: ServerSettings,
    name: str | None = None,
    api_key: str | None = None,
    runs: Path | None = None,
) -> None:
    """Serve the model in a folder; returns when the user stops it.

    The pages show the runs in `runs`, or those beside the model's own when not given.

    Raises:
        HornbookError: no such model, or the address is in use.
    """
    listening = _listen(settings)
    with listening:
        served = open_model(path, settings, name)
        app = create_app(served, settings, api_key, runs or path.resolve().parent.parent)
        host, port = listening.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        console.print(
            f"{served.name}: http://{shown}:{port} in a browser, /v1 for programs (Ctrl-C stops)",
            markup=False,
        )
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            limit_concurrency=settings.max_connections,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=5,
        )
        uvicorn.Server(config).run(sockets=[listening])


def _listen(settings: ServerSettings) -> socket.socket:
    """Take the address first: it is quickly known to be in use, a model is slow to load."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host.strip("[]"), settings.port))
    except OSError as error:
        listening.close()
        raise HornbookError(
            f"cannot listen on {settings.host} port {settings.port}: {error.strerror or error}; "
            "choose another with port=NUMBER (0 takes a free one)."
        ) from None
    listening.listen(1024)
    return listening
