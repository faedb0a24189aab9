"""What can be wrong with a request, as an answer in JSON of OpenAI's form."""

from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from hornbook.errors import HornbookError
from hornbook.inference.engine import BusyError, DeadError

RETRY_AFTER_S = 2
"""When to try again, where too many ask at a time."""
LIMIT_EXCEEDED = "limit_exceeded"
"""The word for programs where an amount is beyond its limit."""


class ApiError(Exception):
    """A request that cannot be answered.

    Args:
        status: of the HTTP answer.
        message: one sentence.
        param: the field that is wrong.
        code: a word for programs.
    """

    def __init__(
        self, status: int, message: str, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code

    def response(self) -> JSONResponse:
        """The answer."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        error = {
            "message": self.message, "type": kind, "param": self.param, "code": self.code,
        }  # fmt: skip
        headers = {"Retry-After": str(RETRY_AFTER_S)} if self.status in (429, 503) else None
        return JSONResponse({"error": error}, self.status, headers)


def over_limit(
    field: str, limit: int, unit: str, sent: int, code: str = LIMIT_EXCEEDED
) -> ApiError:
    """A request that makes sense, and asks for more than may be asked for."""
    return ApiError(422, f"{field}: {too_much(limit, unit, sent)}.", field, code)


def too_much(limit: int, unit: str, sent: int) -> str:
    """What is said of an amount beyond its limit."""
    return f"at most {limit:,} {unit}; this request has {sent:,}"


def of_validation(error: ValidationError) -> ApiError:
    """The first field that is wrong, named: 400, or 422 where all that is wrong is its amount."""
    found = error.errors(include_url=False)
    # Of a text or a list neither fits, and each says so. What is said of the list's length, or in a
    # sentence of Hornbook's own, is nearer to what was meant.
    own = [e for e in found if e["loc"][:1] == found[0]["loc"][:1]]
    rank = {LIMIT_EXCEEDED: 0, "too_short": 1, "value_error": 2}
    first = min(own, key=lambda e: rank.get(e["type"], 3))
    places = [str(part) for part in first["loc"] if not _is_kind(part)]
    where = ".".join(places) or "body"
    if first["type"] == "extra_forbidden":
        message = f"{where}: this field is not known or not supported here"
    elif first["type"] == "missing":
        message = f"{where}: this field is missing"
    elif first["type"] == LIMIT_EXCEEDED:
        return ApiError(422, f"{where}: {first['msg']}.", where, LIMIT_EXCEEDED)
    else:
        said = first["msg"].removeprefix("Value error, ")
        message = f"{where}: {said[0].lower()}{said[1:]}"
    return ApiError(400, f"{message}.", where)


def _is_kind(part: int | str) -> bool:
    """Whether a part of a place names a branch of a union and no field."""
    kinds = ("str", "int", "constrained-str", "constrained-int", "function-after")
    return isinstance(part, str) and ("[" in part or part in kinds)


def as_api_error(error: Exception) -> ApiError:
    """Anything that went wrong, as an answer."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, BusyError):
        return ApiError(429, str(error), code="busy")
    if isinstance(error, DeadError):
        return ApiError(503, str(error), code="engine_dead")
    if isinstance(error, HornbookError):
        return ApiError(400, str(error))
    if isinstance(error, HTTPException):
        return ApiError(error.status_code, str(error.detail))
    return ApiError(500, "the server has failed to answer this request; its log says why.")


async def answer_error(_: Request, error: Exception) -> JSONResponse:
    """For the application's table of exception handlers."""
    return as_api_error(error).response()
