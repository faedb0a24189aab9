"""What Prometheus reads: how much is asked, how quickly it is answered."""

import time

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hornbook.inference.engine import Engine


class _EngineGauges(Collector):
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> list[GaugeMetricFamily]:
        """Read at each scrape."""
        engine = self._engine
        figures = {
            "writing": ("Answers being written.", engine.writing),
            "waiting": ("Answers that wait for a row.", engine.waiting),
            "rows": ("Answers that can be written at a time.", engine.settings.rows),
            "alive": ("Whether the engine works.", int(engine.failure is None)),
        }
        return [
            GaugeMetricFamily(f"hornbook_{name}", text, value)
            for name, (text, value) in figures.items()
        ]


class Metrics:
    """The figures of one server, apart from those of any other in this process."""

    def __init__(self, engine: Engine) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "hornbook_requests", "Requests, by path and status.", ("path", "status"),
            registry=self._registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "hornbook_request_seconds", "Seconds until an answer was complete.", ("path",),
            registry=self._registry, buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300),
        )  # fmt: skip
        self._registry.register(_EngineGauges(engine))
        self._engine = engine

    def text(self) -> bytes:
        """All figures, in Prometheus' format."""
        return generate_latest(self._registry)


class Counted:
    """Counts requests by path and status; unknown paths are one."""

    def __init__(self, app: ASGIApp, metrics: Metrics, paths: frozenset[str]) -> None:
        self._app, self._metrics, self._paths = app, metrics, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in self._paths else "other"
        started, status = time.monotonic(), "none"

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            self._metrics.requests.labels(path, status).inc()
            self._metrics.seconds.labels(path).observe(time.monotonic() - started)
