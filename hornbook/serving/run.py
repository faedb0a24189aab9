"""Open a model and serve it until interrupted."""

import contextlib
import ipaddress
import socket
from collections.abc import Mapping
from pathlib import Path

import uvicorn

from hornbook.console import console
from hornbook.errors import HornbookError
from hornbook.serving.app import create_app
from hornbook.serving.models import open_models
from hornbook.serving.settings import ServerSettings


def run_server(
    path: Path,
    settings: ServerSettings,
    name: str | None = None,
    api_key: str | None = None,
    runs: Path | None = None,
    adapters: Mapping[str, Path] | None = None,
) -> None:
    """Serve the model in a folder, and adapters for it by name; returns when the user stops it.

    The pages show the runs in `runs`, or those beside the model's own when not given.

    Raises:
        HornbookError: no such model or adapter, or the address is in use.
    """
    listening = _listen(settings)
    with listening:
        models = open_models(path, settings, name, adapters)
        app = create_app(models, settings, api_key, runs or path.resolve().parent.parent)
        names = ", ".join(served.name for served in models.all)
        where = " or ".join(addresses(*listening.getsockname()[:2]))
        console.print(
            f"{names}: {where} in a browser, /v1 for programs (Ctrl-C stops)", markup=False
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
        with contextlib.suppress(
            KeyboardInterrupt
        ):  # as the line above says: nothing was cut short
            uvicorn.Server(config).run(sockets=[listening])


def addresses(host: str, port: int) -> list[str]:
    """Where a browser finds a server that listens on `host`: for all addresses, this computer's own."""
    hosts = [host]
    if ipaddress.ip_address(host).is_unspecified:  # 0.0.0.0 leads nowhere from elsewhere
        own = "127.0.0.1" if "." in host else "::1"
        hosts = list(dict.fromkeys((own, _seen_by_others(host) or own)))
    return [f"http://{f'[{one}]' if ':' in one else one}:{port}" for one in hosts]


def _seen_by_others(host: str) -> str | None:
    """This computer's address in its network; None where it is in none."""
    far = "192.0.2.1" if "." in host else "2001:db8::1"  # for examples (RFC 5737, 3849): nobody's
    family = socket.AF_INET if "." in host else socket.AF_INET6
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as asked:
        asked.connect((far, 9))  # sends nothing: it only looks up the way
        return str(asked.getsockname()[0])
    return None


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
