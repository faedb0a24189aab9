"""A chat endpoint of OpenAI's kind (Ollama, vLLM, a Hornbook server): questions out, answers back.

It may be down, slow, overloaded, or talk nonsense: each is waited for, tried again, or told apart, and
none of it takes the others' answers along. Answers are kept on the disk, so that what was asked once is
not paid for again.
"""

import hashlib
import json
import os
import random
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import Field

from hornbook.artifact import write_text
from hornbook.config import Settings
from hornbook.console import track
from hornbook.errors import HornbookError

if TYPE_CHECKING:
    import httpx

LARGEST_REPLY = 2**20
"""Bytes; a longer reply is no answer to a question for a score."""
LONGEST_WAIT_S = 60.0
"""Between two tries, whatever the endpoint asks for."""
TOO_LONG = re.compile(r"context|too long|too many tokens|maximum.{0,40}tokens", re.IGNORECASE)
"""In the refusal of a question that is more than the judge's model reads."""
UNRESOLVED = re.compile(
    r"name or service not known|name resolution|nodename nor servname|getaddrinfo|no address",
    re.IGNORECASE,
)
"""In the fault of an address whose name nobody knows."""
LOOPBACK = {"localhost", "127.0.0.1", "::1"}

Messages = Sequence[Mapping[str, str]]


class EndpointSettings(Settings):
    """Which endpoint is asked, and with how much patience."""

    url: str = "http://localhost:11434/v1"
    """Address of the API, up to what stands before /chat/completions (this one is Ollama's)."""
    model: str = "default"
    """The model's name there."""
    key_variable: str = "HORNBOOK_JUDGE_KEY"
    """Environment variable with the key, if one is needed; the key is written nowhere."""
    concurrency: int = Field(default=4, ge=1, le=256)
    """Questions under way at once."""
    timeout: float = Field(default=120.0, gt=0)
    """Seconds that an answer may take, from the question to its last byte."""
    retries: int = Field(default=3, ge=0, le=20)
    """Tries after the first one, when the endpoint is down, overloaded or too slow."""
    backoff: float = Field(default=1.0, ge=0)
    """Seconds before the second try; twice as many before each further one."""
    max_tokens: int = Field(default=256, gt=0)
    """Most tokens of an answer."""
    cache: Path | None = None
    """Folder in which answers are kept; they are not kept when not given."""


@dataclass(frozen=True)
class Reply:
    """What came back for one question."""

    text: str | None
    """The answer; None when there is none."""
    fault: str = ""
    """Why there is none, in few words."""


class _Again(Exception):  # noqa: N818  # no error, a request for another try
    """The endpoint may do better next time."""

    def __init__(self, fault: str, after_s: float | None = None) -> None:
        super().__init__(fault)
        self.after_s = after_s


class _Gone(Exception):  # noqa: N818  # no error, the end of all tries
    """Nothing listens at the endpoint's address."""


class Endpoint:
    """Asks many questions, some at once.

    Where the very first connection is refused, nothing is listening, and nobody is asked again. An
    endpoint that has answered before is tried again, until one question has used up its tries: then
    the others are not sent after it.
    """

    def __init__(self, settings: EndpointSettings) -> None:
        """
        Raises:
            HornbookError: the address is none, or the key would go over the network unencrypted.
        """
        self.settings = settings
        self._key = os.environ.get(settings.key_variable, "")
        parts = urlsplit(settings.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise HornbookError(f"url {settings.url!r}: expected http://... or https://...")
        if parts.username or parts.password:
            raise HornbookError(
                f"url: it has a password in it; put the key into {settings.key_variable} instead."
            )
        self._local = parts.hostname in LOOPBACK
        if self._key and parts.scheme == "http" and not self._local:
            raise HornbookError(
                f"url {settings.url}: the key in {settings.key_variable} would be sent unencrypted; use "
                "https, or unset the key."
            )
        self._answered = threading.Event()
        """Whether anything has ever come back."""
        self._gone = threading.Event()
        """Whether it is no use to try any longer."""

    def require_listening(self) -> None:
        """Make sure that something answers at the address, whatever it says.

        Raises:
            HornbookError: the connection is refused, or the address does not exist.
        """
        import httpx

        with self._client() as client:
            try:
                client.get(self.settings.url)
            except httpx.ConnectError as error:
                raise self._not_there(str(error)) from None
            except httpx.HTTPError:
                pass  # slow, or odd: the questions will show

    def ask_all(self, questions: Sequence[Messages], label: str) -> list[Reply]:
        """The reply to each question, in their order.

        Raises:
            HornbookError: nothing listens there, or there was no reply at all to any of several
                questions.
        """
        with self._client() as client, ThreadPoolExecutor(self.settings.concurrency) as pool:
            asked = pool.map(lambda question: self._ask(client, question), questions)
            try:
                replies = list(track(asked, label, len(questions), "question"))
            except _Gone as gone:
                pool.shutdown(cancel_futures=True)
                raise self._not_there(str(gone)) from None
        if questions and all(reply.text is None for reply in replies):
            raise HornbookError(
                f"{self.settings.url}: none of {len(questions):,} questions was answered "
                f"({replies[0].fault}); {self._hint(replies[0].fault)}"
            )
        return replies

    def _hint(self, fault: str) -> str:
        """What may be done about a fault that all questions met with."""
        if fault.startswith("status 4") and TOO_LONG.search(fault):
            return (
                "the judge must have room for the rubric, the question, the answers and its verdict of "
                f"up to {self.settings.max_tokens} tokens: take one that reads more, a shorter --rubric, "
                "or fewer tokens by max_tokens= and --max-new-tokens."
            )
        return f"is it running, and is the model {self.settings.model!r} there?"

    def _not_there(self, why: str) -> HornbookError:
        if UNRESOLVED.search(why):
            host = urlsplit(self.settings.url).hostname
            return HornbookError(
                f"{self.settings.url}: no machine is known by the name {host} ({why}); check the spelling "
                "in url=, and the network."
            )
        return HornbookError(
            f"{self.settings.url}: nothing listens there ({why}); start the server, or give its "
            "address with url=."
        )

    @contextmanager
    def _client(self) -> "Iterator[httpx.Client]":
        try:
            import httpx
        except ImportError:
            raise HornbookError(
                'asking an endpoint needs httpx: pip install "hornbook[evaluation]".'
            ) from None
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        limits = httpx.Limits(max_connections=self.settings.concurrency)
        with httpx.Client(
            headers=headers,
            timeout=self.settings.timeout,
            limits=limits,
            trust_env=not self._local,  # no proxy stands between this machine and itself
        ) as client:
            yield client

    def _ask(self, client: "httpx.Client", question: Messages) -> Reply:
        body = {
            "model": self.settings.model,
            "messages": [dict(message) for message in question],
            "temperature": 0,
            "max_tokens": self.settings.max_tokens,
        }
        kept = self._place(body)
        if kept is not None and (known := _read_kept(kept)) is not None:
            return Reply(known)
        reply = self._ask_often(client, body)
        if kept is not None and reply.text is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_text(kept, json.dumps({"asked": body, "answer": reply.text}, indent=1) + "\n")
        return reply

    def _ask_often(self, client: "httpx.Client", body: Mapping[str, Any]) -> Reply:
        """The answer of the first try that brings one; after the last one, what was wrong with it."""
        import httpx

        fault = "not reached"
        for attempt in range(self.settings.retries + 1):
            if self._gone.is_set():
                break
            try:
                return Reply(self._try(client, body))
            except _Again as again:
                fault = str(again)
                if attempt < self.settings.retries:
                    # Others may find meanwhile that there is nothing to wait for.
                    self._gone.wait(self._wait(attempt, again.after_s))
                elif isinstance(again.__cause__, httpx.ConnectError):
                    self._gone.set()
            except HornbookError as refusal:
                return Reply(None, self._without_key(str(refusal)))
        return Reply(None, self._without_key(fault))

    def _try(self, client: "httpx.Client", body: Mapping[str, Any]) -> str:
        import httpx

        started = time.monotonic()
        address = f"{self.settings.url.rstrip('/')}/chat/completions"
        try:
            with client.stream("POST", address, json=body) as response:
                self._answered.set()
                raw = b""
                for piece in response.iter_bytes():
                    raw += piece
                    if time.monotonic() - started > self.settings.timeout:
                        raise _Again("too slow")
                    if len(raw) > LARGEST_REPLY:
                        raise HornbookError(f"a reply of more than {LARGEST_REPLY:,} bytes")
        except httpx.TimeoutException:
            raise _Again("too slow") from None
        except httpx.ConnectError as error:
            if not self._answered.is_set():
                self._gone.set()
                raise _Gone(str(error)) from None
            raise _Again("not reached: ConnectError") from error
        except httpx.HTTPError as error:
            raise _Again(f"not reached: {type(error).__name__}") from None
        if response.status_code == 429 or response.status_code >= 500:
            raise _Again(f"status {response.status_code}", _retry_after(response.headers))
        if response.status_code != 200:
            said = raw[:200].decode("utf-8", "replace").strip()
            raise HornbookError(f"status {response.status_code}: {said}")
        return _content(raw)

    def _wait(self, attempt: int, asked_s: float | None) -> float:
        """Seconds before the next try; spread, so that many do not come back at the same moment."""
        own = self.settings.backoff * 2**attempt * random.uniform(0.75, 1.25)
        return float(min(max(own, asked_s or 0.0), LONGEST_WAIT_S))

    def _place(self, body: Mapping[str, Any]) -> Path | None:
        if self.settings.cache is None:
            return None
        whole = json.dumps([self.settings.url, body], sort_keys=True)
        name = hashlib.sha256(whole.encode()).hexdigest()
        return self.settings.cache / name[:2] / f"{name}.json"

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text


def _content(raw: bytes) -> str:
    """The answer in a reply.

    Raises:
        HornbookError: the reply is not a chat completion.
    """
    try:
        text = json.loads(raw)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        text = None
    if not isinstance(text, str):
        raise HornbookError("a reply that is no chat completion")
    return text


def _retry_after(headers: Mapping[str, str]) -> float | None:
    try:
        return float(headers.get("retry-after", ""))
    except ValueError:
        return None


def _read_kept(path: Path) -> str | None:
    """An answer kept earlier; a damaged file is as good as none."""
    try:
        answer = json.loads(path.read_text("utf-8"))["answer"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return answer if isinstance(answer, str) else None
