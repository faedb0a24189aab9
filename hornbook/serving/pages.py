"""The pages for a browser: chat, explorer and runs, with all that they need, from this package.

Nothing is loaded from elsewhere, and the browser is told to refuse it (a content security policy):
no script, style, picture or connection but this server's own, no inline script, no frame.
"""

from collections.abc import Callable
from importlib import resources
from pathlib import Path
from string import Template

from fastapi import APIRouter, FastAPI, HTTPException, Response

from hornbook.pipeline.models.bundle import Bundle
from hornbook.serving.explorer.routes import explorer_router
from hornbook.serving.runs import runs_router

PAGES = {"/": "chat", "/explorer": "explorer", "/runs": "runs"}
"""The page at each path: the script that fills it has its name."""
FRAME = "page.html"
"""What all pages have around them."""
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = "; ".join(
    (
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("script", "style", "connect", "img", "font")),
        *(f"{name} 'none'" for name in ("base-uri", "form-action", "frame-ancestors")),
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


def add_pages(app: FastAPI, find: Callable[[str | None], Bundle], runs: Path) -> None:
    """Put the pages and the data that they show into a server.

    Args:
        find: the model of a name as /v1/models has it, or the first for None; raises a
            `HornbookError` when there is none of that name.
        runs: the folder whose runs are shown.
    """
    app.include_router(explorer_router(find))
    app.include_router(runs_router(runs))
    app.include_router(_files_router())


def _files_router() -> APIRouter:
    """The files of `web/`, read once: no path from a request reaches the file system."""
    files = {
        file.name: (file.read_bytes(), TYPES[Path(file.name).suffix])
        for file in resources.files("hornbook.serving").joinpath("web").iterdir()
        if Path(file.name).suffix in TYPES
    }
    router = APIRouter(include_in_schema=False)

    def answer(name: str) -> Response:
        if name not in files:
            raise HTTPException(404, "no such page.")
        content, kind = files[name]
        return Response(content, media_type=kind, headers=HEADERS)

    frame = Template(files.pop(FRAME)[0].decode())
    for name in PAGES.values():
        filled = frame.substitute(name=name, title=name.capitalize())
        files[f"{name}.html"] = filled.encode(), TYPES[".html"]
    for path, name in PAGES.items():
        # Bound here, not a default: a default would be read from the request's query.
        router.add_api_route(path, _page(answer, f"{name}.html"), methods=["GET"])
    router.add_api_route("/assets/{name}", answer, methods=["GET"])
    return router


def _page(answer: Callable[[str], Response], name: str) -> Callable[[], Response]:
    return lambda: answer(name)
