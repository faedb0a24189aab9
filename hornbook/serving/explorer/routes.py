"""The explorer's looks as JSON, at /api/explore/…; texts and numbers are checked before anything is done."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field

from hornbook.errors import HornbookError
from hornbook.pipeline.models.bundle import Bundle
from hornbook.serving.explorer.looker import Looker

Found = TypeVar("Found")
LONGEST_TEXT = 4_000
"""Characters."""
MOST_LOOKERS = 2
"""Models whose looks are remembered: an adapter's is a model of its own here."""


class Asked(BaseModel):
    """A look at one model; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")
    model: str | None = Field(default=None, max_length=200)
    """Its name; the first when not given."""


class AskedText(Asked):
    """A look at a text."""

    text: str = Field(max_length=LONGEST_TEXT)


class AskedTokens(AskedText):
    """A text, and how large the tokenizers trained on it may be."""

    vocab_size: int = Field(default=300, ge=50, le=2_000)


class AskedWindows(AskedText):
    """A text, and how windows are laid over it."""

    max_length: int = Field(ge=1, le=1_024)
    stride: int = Field(ge=1, le=1_024)


class AskedLayer(AskedText):
    """A text, and a layer."""

    layer: int = Field(ge=0, le=1_000)


class AskedHead(AskedLayer):
    """A text, a layer, and a head."""

    head: int = Field(ge=0, le=1_000)


class AskedNext(AskedText):
    """A text, and how its next token is chosen."""

    temperature: float = Field(default=1.0, ge=0, le=10)
    top_k: int | None = Field(default=None, ge=1, le=1_000_000)
    top_p: float | None = Field(default=None, gt=0, le=1)


class PlainlyRefusing(APIRoute):
    """A route whose refusal names the fields, and does not send back what was sent.

    FastAPI's own repeats the input, which fails where that is no text (a lone surrogate).
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's, with its refusals as 422 and one sentence."""
        handle = super().get_route_handler()

        async def refuse_plainly(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                wrong = (f"{one['loc'][-1]}: {one['msg']}" for one in error.errors())
                raise HTTPException(422, "; ".join(wrong)) from None

        return refuse_plainly


def explorer_router(find: Callable[[str | None], Bundle]) -> APIRouter:
    """The routes.

    Args:
        find: the model of a name, or the first for None; raises a `HornbookError` when there is none
            of that name.
    """
    router = APIRouter(prefix="/api/explore", tags=["explorer"], route_class=PlainlyRefusing)
    lookers: dict[str | None, Looker] = {}

    def looker(name: str | None) -> Looker:
        bundle = find(name)
        known = lookers.pop(name, None)
        own = known if known and known.bundle is bundle else Looker(bundle)
        lookers[name] = own
        for forgotten in list(lookers)[:-MOST_LOOKERS]:
            lookers.pop(forgotten, None)
        return own

    @router.get("/about")
    def about(model: Annotated[str | None, Query(max_length=200)] = None) -> dict[str, Any]:
        return _answer(lambda: looker(model).about())

    @router.post("/tokens")
    def tokens(asked: AskedTokens) -> list[dict[str, Any]]:
        return _answer(lambda: looker(asked.model).tokens(asked.text, asked.vocab_size))

    @router.post("/windows")
    def windows(asked: AskedWindows) -> dict[str, Any]:
        return _answer(
            lambda: looker(asked.model).windows(asked.text, asked.max_length, asked.stride)
        )

    @router.post("/embedding")
    def embedding(asked: AskedText) -> dict[str, Any]:
        return _answer(lambda: looker(asked.model).embedding(asked.text))

    @router.get("/neighbours")
    def neighbours(
        token: Annotated[int, Query(ge=0)],
        model: Annotated[str | None, Query(max_length=200)] = None,
    ) -> list[dict[str, Any]]:
        return _answer(lambda: looker(model).neighbours(token))

    @router.post("/attention")
    def attention(asked: AskedLayer) -> dict[str, Any]:
        return _answer(lambda: looker(asked.model).attention(asked.text, asked.layer))

    @router.post("/steps")
    def steps(asked: AskedHead) -> dict[str, Any]:
        return _answer(lambda: looker(asked.model).steps(asked.text, asked.layer, asked.head))

    @router.post("/lens")
    def lens(asked: AskedText) -> dict[str, Any]:
        return _answer(lambda: looker(asked.model).lens(asked.text))

    @router.post("/next")
    def next_token(asked: AskedNext) -> dict[str, Any]:
        settings = asked.temperature, asked.top_k, asked.top_p
        return _answer(lambda: looker(asked.model).next(asked.text, *settings))

    @router.post("/classes")
    def classes(asked: AskedText) -> dict[str, Any]:
        return _answer(lambda: looker(asked.model).classes(asked.text))

    @router.get("/adapter")
    def adapter(model: Annotated[str | None, Query(max_length=200)] = None) -> dict[str, Any]:
        return _answer(lambda: looker(model).adapter())

    return router


def _answer(look: Callable[[], Found]) -> Found:
    """What a look gives; what is wrong with the request, as 400 with one sentence."""
    try:
        return look()
    except HornbookError as error:
        raise HTTPException(400, str(error)) from None
