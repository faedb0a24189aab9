"""Who may ask, and how much they may send: looked at before anything else is done.

A page of another site that a browser has open could otherwise talk to a server on the same
computer: by its address, which the Origin gives away, or by a name of its own that leads to
127.0.0.1 (DNS rebinding), which the Host gives away.
"""

import asyncio
import hmac

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hornbook.serving.errors import ApiError
from hornbook.serving.settings import ServerSettings, is_local

OPEN_PATHS = ("/health",)
"""What anybody may read that can connect."""
GUARDED = ("/v1/", "/api/", "/metrics")
"""Beginnings of the paths that need the key; the rest is the pages' own files."""


class Guard:
    """Refuses foreign hosts and origins, wrong keys and large bodies; no other site may read."""

    def __init__(self, app: ASGIApp, settings: ServerSettings, api_key: str | None) -> None:
        self._app = app
        self._settings = settings
        self._key = None if api_key is None else api_key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "websocket":  # there are none here
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope)
            body = await self._body(Headers(scope=scope), receive)
        except ApiError as error:
            await error.response()(scope, receive, send)
            return
        if body is None:
            return  # the client has gone
        await self._app(scope, _replayed(body, receive), send)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._settings.local and not is_local(_name(host)):
            raise ApiError(403, "the Host of this request is not this computer.", code="host")
        origin = headers.get("origin")
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            raise ApiError(403, "pages of other sites may not use this server.", code="origin")
        if self._key is None or not scope["path"].startswith(GUARDED):
            return
        given = headers.get("authorization", "").encode("utf-8", "replace")
        # In constant time: how long a comparison takes tells nothing about the key.
        if not hmac.compare_digest(given, b"Bearer " + self._key):
            raise ApiError(401, "a key is needed: Authorization: Bearer KEY.", code="key")

    async def _body(self, headers: Headers, receive: Receive) -> bytes | None:
        """The whole body, of bounded size and time; None if the client went away."""
        most = self._settings.max_body_bytes
        too_large = ApiError(413, f"the body is larger than {most:,} bytes.", code="too_large")
        declared = headers.get("content-length", "0")
        if not declared.isdigit() or len(declared) > 15 or int(declared) > most:
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(self._settings.max_body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    body += message.get("body", b"")
                    if len(body) > most:
                        raise too_large
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            raise ApiError(408, "the body did not arrive in time.", code="slow") from None


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body first and then what comes: the client going away."""
    given = False

    async def again() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return again


def _name(host: str) -> str:
    """A Host without its port."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
