"""All endpoints as one application."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hornbook.errors import HornbookError
from hornbook.serving import chat, completions, vectors
from hornbook.serving.errors import ApiError, answer_error
from hornbook.serving.guard import Guard
from hornbook.serving.metrics import Counted, Metrics
from hornbook.serving.models import Models
from hornbook.serving.pages import add_pages
from hornbook.serving.settings import ServerSettings, require_key

Endpoint = Callable[[Request, Models], Awaitable[Response]]
ENDPOINTS: dict[str, Endpoint] = {
    "/v1/completions": completions.complete,
    "/v1/chat/completions": chat.chat,
    "/v1/embeddings": vectors.embed,
    "/v1/classifications": vectors.classify,
}


def create_app(
    models: Models,
    settings: ServerSettings | None = None,
    api_key: str | None = None,
    runs: Path | None = None,
) -> FastAPI:
    """The application that serves models; their engine works while the application does.

    With a folder of runs, it has the pages for a browser, too.

    Raises:
        HornbookError: others can connect, and there is no key.
    """
    settings = settings or ServerSettings()
    require_key(settings, api_key)
    engine = models.engine
    metrics = Metrics(engine)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        engine.start()
        yield
        engine.stop()

    # Its own pages of documentation load scripts from elsewhere: none of them.
    app = FastAPI(
        title="Hornbook", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan
    )
    app.state.settings = settings
    for path, endpoint in ENDPOINTS.items():
        app.add_route(path, _bound(endpoint, models), methods=["POST"])
    _add_reading(app, models, metrics)
    if runs is not None:
        add_pages(app, models.to_look_into, runs)
    for kind in (ApiError, HornbookError, HTTPException, Exception):
        app.add_exception_handler(kind, answer_error)
    paths = frozenset((*ENDPOINTS, "/health", "/metrics", "/v1/models"))
    app.add_middleware(Guard, settings=settings, api_key=api_key)
    app.add_middleware(Counted, metrics=metrics, paths=paths)
    return app


def _bound(endpoint: Endpoint, models: Models) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        return await endpoint(request, models)

    return answer


def _add_reading(app: FastAPI, models: Models, metrics: Metrics) -> None:
    """What is read without a body."""

    async def health(_: Request) -> Response:
        failure = models.engine.failure
        said = {"status": "ok" if failure is None else "dead"}
        return JSONResponse(said, 200 if failure is None else 503)

    async def every_model(_: Request) -> Response:
        cards = [models.card(served) for served in models.all]
        return JSONResponse({"object": "list", "data": cards})

    async def model(request: Request) -> Response:
        return JSONResponse(models.card(models.find(request.path_params["name"])))

    async def figures(_: Request) -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    app.add_route("/health", health)
    app.add_route("/v1/models", every_model)
    app.add_route("/v1/models/{name:path}", model)
    app.add_route("/metrics", figures)
