"""Where the server listens, and its limits."""

import ipaddress

from pydantic import Field

from hornbook.config import Settings
from hornbook.errors import HornbookError
from hornbook.inference.engine import EngineSettings
from hornbook.inference.weights import Weights


class ServerSettings(Settings):
    """Where the server listens, and its limits."""

    host: str = "127.0.0.1"
    """Address to listen on; any but this computer's own needs an API key."""
    port: int = Field(default=8080, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    weights: Weights | None = None
    """What the weights are kept as; bfloat16 where this computer multiplies it faster, otherwise
    float32, when not given."""
    engine: EngineSettings = EngineSettings()
    """How many answers are written, and may wait, at a time."""
    max_body_bytes: int = Field(default=1 << 20, ge=1024)
    """Most bytes of a request's body."""
    max_body_seconds: float = Field(default=30.0, gt=0)
    """Longest time that a request's body may take to arrive."""
    max_unread_seconds: float = Field(default=60.0, gt=0)
    """Longest time that a reader may take to read a piece of its answer."""
    max_connections: int = Field(default=1024, ge=1)
    """Connections at a time; more are answered with status 503."""

    @property
    def local(self) -> bool:
        """Whether only this computer can connect."""
        return is_local(self.host)


def is_local(host: str) -> bool:
    """Whether a host's name or address is this computer's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def require_key(settings: ServerSettings, api_key: str | None) -> None:
    """Make sure that nobody serves strangers without knowing.

    Raises:
        HornbookError: others can connect and there is no key, or it is too short to be one.
    """
    if api_key is None and not settings.local:
        raise HornbookError(
            f"{settings.host} can be reached by other computers: give a key that they must know "
            "(--api-key, or the variable HORNBOOK_API_KEY), or listen on 127.0.0.1."
        )
    if api_key is not None and (len(api_key) < 8 or not api_key.isascii() or " " in api_key):
        raise HornbookError("--api-key: expected at least 8 ASCII characters without spaces.")
