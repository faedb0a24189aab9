"""A thread that writes the answers to many requests at once, for a server.

Requests join and leave between the steps of one `Batch`. What an answer grows by is handed over to
whoever asked as soon as it is known; nobody who reads slowly is waited for.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import Field

from hornbook.config import Settings
from hornbook.errors import HornbookError
from hornbook.finetuning.bank import AdapterBank
from hornbook.inference.batch import Batch, Ended, Text, check_prompts
from hornbook.inference.decoder import Decoder
from hornbook.inference.sampler import Choice, Constraint
from hornbook.inference.settings import GenerationSettings
from hornbook.inference.stops import AnswerText
from hornbook.inference.weights import Weights
from hornbook.model.kv_cache import CHUNK
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime
from hornbook.tokenizing.tokenizer import Tokenizer

T = TypeVar("T")


class EngineSettings(Settings):
    """How much an engine does at a time."""

    rows: int = Field(default=16, ge=1, le=256)
    """Answers written at a time; each keeps the keys and values of a whole context in memory."""
    queue: int = Field(default=64, ge=0)
    """Answers that may wait for a row; more are refused."""
    seconds: float = Field(default=300.0, gt=0)
    """Longest time that an answer may wait and be written; then it ends where it is."""


class BusyError(HornbookError):
    """As many requests wait as may."""


class DeadError(HornbookError):
    """The engine has failed and writes no more."""


@dataclass(frozen=True)
class Piece:
    """What an answer has grown by."""

    text: str
    """Whole characters; may be empty."""
    choice: Choice | None = None
    """The token, if it is part of the answer."""
    ended: Ended | None = None
    """Why this is the last piece, if it is."""


@dataclass(frozen=True)
class Failure:
    """An answer that will not be finished."""

    message: str
    waited: bool = False
    """Whether it was still waiting when its time was up."""


@dataclass(eq=False)
class Order:
    """One answer that is asked for."""

    prompt: Sequence[int]
    settings: GenerationSettings
    deliver: Callable[["Piece | Failure"], None]
    """Called from the engine's thread, at once and without waiting."""
    stop_ids: Collection[int] = ()
    stream: int = 0
    """See `Text`."""
    top_logprobs: int | None = None
    constraint: Constraint | None = None
    strip: bool = False
    """See `AnswerText`."""
    adapter: str | None = None
    """See `Text`."""
    text: Text | None = field(default=None, init=False)
    words: AnswerText | None = field(default=None, init=False)
    until: float = field(default=0.0, init=False)


class Engine:
    """Writes answers in a thread of its own from `start` until `stop`.

    In any company an answer is the one that its order gets alone: prompts are read alone, and steps
    are filled up to where the rows' bits no longer hang on their number. (A mixture of experts
    splits a step's rows, so there the last bits may differ.)
    """

    def __init__(
        self,
        model: Transformer,
        tokenizer: Tokenizer,
        runtime: Runtime,
        settings: EngineSettings | None = None,
        weights: Weights | None = None,
        adapters: AdapterBank | None = None,
    ) -> None:
        self.settings = settings or EngineSettings()
        self.config = model.config
        self._tokenizer = tokenizer
        self._decoder = Decoder(
            model,
            self.settings.rows,
            runtime,
            weights=weights,
            steady=True,
            vocab_size=tokenizer.vocab_size,
            adapters=adapters,
        )
        self._batch = Batch(self._decoder)
        self._orders: dict[Text, Order] = {}
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._open: set[Order] = set()
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self.failure: str | None = None
        """What it died of, if it has."""
        self.steps = 0
        """Steps done."""

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self) -> None:
        """Give up all orders and end the thread."""
        self._inbox.put(None)
        self._thread.join()

    @property
    def writing(self) -> int:
        """Answers being written."""
        return self._batch.writing

    @property
    def waiting(self) -> int:
        """Answers not begun."""
        return max(len(self._open) - self.writing, 0)

    @property
    def most_orders(self) -> int:
        """Answers that may be written and wait at a time."""
        return self.settings.rows + self.settings.queue

    def submit(self, orders: Sequence[Order]) -> None:
        """Have answers written: all of these, or none.

        Raises:
            HornbookError: a prompt that the model cannot go on from.
            BusyError: too many answers wait.
            DeadError: the engine has failed.
        """
        check_prompts(self.config, [order.prompt for order in orders])
        with self._lock:
            if self.failure is not None:
                raise DeadError(self.failure)
            if len(self._open) + len(orders) > self.most_orders:
                raise BusyError(
                    f"{len(self._open)} answers are being written or wait; try again later."
                )
            self._open.update(orders)
        until = time.monotonic() + self.settings.seconds
        for order in orders:
            order.until = until
            self._inbox.put(lambda order=order: self._begin(order))  # type: ignore[misc]

    def cancel(self, orders: Sequence[Order]) -> None:
        """Stop writing these before the next step; those that have ended already do no harm."""
        for order in orders:
            self._inbox.put(lambda order=order: self._drop(order))  # type: ignore[misc]

    def call(self, work: Callable[[], T]) -> "Future[T]":
        """Have something else computed between two steps."""
        future: Future[T] = Future()

        def run() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except Exception as error:  # whoever waits for it is told
                    future.set_exception(error)

        with self._lock:
            if self.failure is not None:
                raise DeadError(self.failure)
            self._inbox.put(run)
        return future

    def _work(self) -> None:
        try:
            while self._take_in():
                for text, choice, ended in self._batch.step(read_at_most=CHUNK):
                    if text in self._orders:
                        self._grow(self._orders[text], choice, ended)
                self.steps += 1
                self._end_late()
            self._die("the server is stopping.")
        except BaseException as error:  # whatever it is, nobody may wait for ever
            logging.getLogger(__name__).exception("the engine has failed")
            self._die(f"the engine has failed: {type(error).__name__}: {error}")

    def _take_in(self) -> bool:
        """Do what has been asked for since the last step; False to stop."""
        while not (self._inbox.empty() and self._batch.busy):
            job = self._inbox.get()
            if job is None:
                return False
            job()
        return True

    def _begin(self, order: Order) -> None:
        order.text = Text(
            order.prompt,
            order.settings,
            order.stop_ids,
            order.stream,
            top_logprobs=order.top_logprobs,
            constraint=order.constraint,
            adapter=order.adapter,
        )
        after = () if order.strip else order.prompt
        order.words = AnswerText(self._tokenizer, order.settings.stop, after, order.strip)
        self._orders[order.text] = order
        self._batch.add(order.text)

    def _grow(self, order: Order, choice: Choice | None, ended: Ended | None) -> None:
        """Hand over what a step has brought."""
        text, words = order.text, order.words
        assert text is not None
        assert words is not None
        piece = words.add(choice.token) if choice is not None else ""
        if words.stopped:
            ended = "stop"
            self._batch.drop(text)
        elif ended is not None:
            piece += words.finish()
        if ended is not None:
            self._close(order)
        order.deliver(Piece(piece, choice, ended))

    def _end_late(self) -> None:
        now = time.monotonic()
        for order in [order for order in self._orders.values() if order.until < now]:
            assert order.text is not None
            assert order.words is not None
            waited = len(order.text.ids) == order.text.prompt_length
            rest = order.words.finish()
            self._drop(order)
            late = f"no answer within {self.settings.seconds:g} seconds; try again later."
            order.deliver(Failure(late, True) if waited else Piece(rest, None, "length"))

    def _drop(self, order: Order) -> None:
        if order.text is not None:
            self._batch.drop(order.text)
        self._close(order)

    def _close(self, order: Order) -> None:
        if order.text is not None:
            self._orders.pop(order.text, None)
        with self._lock:
            self._open.discard(order)

    def _die(self, message: str) -> None:
        with self._lock:
            self.failure = message
            left = list(self._open)
            self._open.clear()
        self._orders.clear()
        for order in left:
            order.deliver(Failure(message))
        while not self._inbox.empty():  # calls, whose futures someone waits for
            job: Any = self._inbox.get()
            if job is not None and job.__name__ == "run":
                job()
