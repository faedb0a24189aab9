"""Answers as they grow, from the engine's thread to the connection of whoever asked."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from starlette.requests import Request

from hornbook.inference.engine import Engine, Failure, Order, Piece
from hornbook.inference.sampler import Choice, Constraint
from hornbook.inference.settings import GenerationSettings
from hornbook.serving.errors import ApiError


@dataclass(frozen=True)
class Asked:
    """One answer that a request asks for."""

    prompt: list[int]
    settings: GenerationSettings
    ends: set[int]
    stream: int = 0
    top_logprobs: int | None = None
    constraint: Constraint | None = None
    strip: bool = False
    adapter: str | None = None


@dataclass
class Answer:
    """A whole answer."""

    text: str = ""
    choices: list[Choice] = field(default_factory=list)
    ended: str = "length"


@contextlib.asynccontextmanager
async def writing(
    engine: Engine, asked: Sequence[Asked]
) -> AsyncIterator[AsyncIterator[tuple[int, Piece]]]:
    """Pieces of all answers as they come, with the answers' numbers.

    However the block is left, what is still being written is given up: its rows are free within a
    step. Pieces that nobody has read yet are at most as many as the answers may have tokens.

    Raises:
        HornbookError: as `Engine.submit`.
        ApiError: (while reading) the engine has failed, or the time was up before it began.
    """
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[tuple[int, Piece | Failure]] = asyncio.Queue()

    def order(number: int, one: Asked) -> Order:
        def deliver(piece: Piece | Failure) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens
                loop.call_soon_threadsafe(pieces.put_nowait, (number, piece))

        return Order(
            one.prompt, one.settings, deliver, one.ends, one.stream, one.top_logprobs,
            one.constraint, one.strip, one.adapter,
        )  # fmt: skip

    async def coming() -> AsyncIterator[tuple[int, Piece]]:
        left = len(orders)
        while left:
            number, piece = await pieces.get()
            if isinstance(piece, Failure):
                raise ApiError(429 if piece.waited else 503, piece.message, code="not_written")
            left -= piece.ended is not None
            yield number, piece

    orders = [order(number, one) for number, one in enumerate(asked)]
    engine.submit(orders)
    try:
        yield coming()
    finally:
        engine.cancel(orders)


async def whole(engine: Engine, asked: Sequence[Asked], request: Request) -> list[Answer] | None:
    """All answers, complete; None if the client has gone in the meantime.

    Raises:
        HornbookError, ApiError: as `writing`.
    """

    async def gather() -> list[Answer]:
        answers = [Answer() for _ in asked]
        async with writing(engine, asked) as pieces:
            async for number, piece in pieces:
                answers[number].text += piece.text
                if piece.choice is not None:
                    answers[number].choices.append(piece.choice)
                if piece.ended is not None:
                    answers[number].ended = piece.ended
        return answers

    work = asyncio.ensure_future(gather())
    leaving = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait([work, leaving], return_when=asyncio.FIRST_COMPLETED)
        return await work if work.done() else None
    finally:
        for task in (work, leaving):
            task.cancel()
        await asyncio.gather(work, leaving, return_exceptions=True)


async def _gone(request: Request) -> None:
    """Returns when the client closes the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
