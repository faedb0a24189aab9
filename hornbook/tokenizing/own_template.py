"""A tokenizer's own chat template (Jinja): what it writes around what people say.

The template is rendered with a mark in place of each message's text, and the result cut at the
marks. So what is the template's and what is a person's is known to the character: control tokens are
looked for in the template's part alone, and the mask of what is trained is exact. Then it is rendered
with the texts themselves, which must give the same: a template that takes texts apart is refused.
"""

import json
import os
import re
import secrets
import selectors
import subprocess
import sys
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from hornbook.errors import HornbookError

WORKER = Path(__file__).with_name("jinja_worker.py")
PATIENCE_S = 10.0
"""Longest that a conversation may take to render, the start of the process included; a real template
takes a millisecond."""
SKELETONS = 1_000
"""Forms of conversations (who speaks in which order) whose skeletons are remembered."""


@dataclass(frozen=True)
class Part:
    """A stretch of a rendered conversation."""

    text: str
    message: int | None = None
    """The number of the message whose text it is; None for what the template has written."""


class OwnTemplate:
    """One template, rendered by a process that starts at the first use."""

    def __init__(self, source: str, tokens: dict[str, str]) -> None:
        """`tokens` are the variables `bos_token`, `eos_token` ... with their spellings."""
        self._source, self._tokens = source, tokens
        self._process: subprocess.Popen[str] | None = None
        self._skeletons: dict[Any, list[tuple[str, int | None]]] = {}

    def parts(self, turns: Sequence[tuple[str, str]], add_answer_prompt: bool) -> list[Part]:
        """A conversation, given as roles and texts, in the order in which it is written.

        Raises:
            HornbookError: the template cannot write it, is wrong, takes too much time or memory, or
                changes what a message says.
        """
        form = (
            tuple((role, _before(text), _behind(text)) for role, text in turns),
            add_answer_prompt,
        )
        if form not in self._skeletons:
            if len(self._skeletons) >= SKELETONS:
                self._skeletons.clear()
            self._skeletons[form] = self._skeleton(*form)
        parts = []
        for text, message in self._skeletons[form]:
            said = text if message is None else text.replace("\0", turns[message][1].strip())
            parts.append(Part(said, message))
        if "".join(part.text for part in parts) != self._render(turns, add_answer_prompt):
            raise HornbookError(
                "the tokenizer's chat template changes what a message says, or writes more or less "
                'for what stands in it, which cannot be told apart; use template="chatml" or '
                "another one."
            )
        return parts

    def _skeleton(
        self, forms: Sequence[tuple[str, str, str]], add_answer_prompt: bool
    ) -> list[tuple[str, int | None]]:
        """What is written for such a conversation: texts of the template, and a NUL for each message's
        text, with the white space around it that the template has left there."""
        secret = secrets.token_hex(12)
        marked = [
            (role, f"{before}{secret}n{number}x{behind}")
            for number, (role, before, behind) in enumerate(forms)
        ]
        rendered = self._render(marked, add_answer_prompt)
        pieces = re.split(f"{secret}n([0-9]+)x", rendered)
        skeleton: list[tuple[str, int | None]] = []
        own = pieces[0]
        for number, after in zip(map(int, pieces[1::2]), pieces[2::2], strict=True):
            _, before, behind = forms[number]
            kept = before if own.endswith(before) else ""
            left = behind if after.startswith(behind) else ""
            skeleton += [(own[: len(own) - len(kept)], None), (f"{kept}\0{left}", number)]
            own = after[len(left) :]
        return [*skeleton, (own, None)]

    def _render(self, turns: Sequence[tuple[str, str]], add_answer_prompt: bool) -> str:
        messages = [{"role": role, "content": text} for role, text in turns]
        request = {
            "messages": messages,
            "add_generation_prompt": add_answer_prompt,
            "tools": None,
            "documents": None,
            **self._tokens,
        }
        answer = self._ask(request)
        if "text" in answer:
            return answer["text"]
        if "refused" in answer:
            raise HornbookError(f"the tokenizer's chat template refuses: {answer['refused']}.")
        raise HornbookError(
            f"the tokenizer's chat template does not work ({answer['error'].rstrip('.')}); use "
            'template="chatml" or another one.'
        )

    def _ask(self, request: dict[str, Any]) -> dict[str, str]:
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            if _readable(process):
                return dict(json.loads(process.stdout.readline()))
        except (OSError, ValueError):  # it is gone, in the middle of an answer even
            self._give_up()
            return {"error": "its process ended, for want of memory it seems"}
        self._give_up()
        return {"error": f"it takes more than {PATIENCE_S:g} s"}

    def _start(self) -> subprocess.Popen[str]:
        kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
        process = subprocess.Popen(
            [sys.executable, "-P", "-E", str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=kept,  # no secrets for a stranger's template
            encoding="utf-8",
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(self._source) + "\n")
        self._process, self._stop = process, weakref.finalize(self, _end, process)
        return process

    def _give_up(self) -> None:
        """End the process; the next request starts another one."""
        self._stop()
        self._process = None


def _readable(process: subprocess.Popen[str]) -> bool:
    """Whether there is an answer before the patience ends."""
    with selectors.DefaultSelector() as selector:
        assert process.stdout is not None
        selector.register(process.stdout, selectors.EVENT_READ)
        return bool(selector.select(PATIENCE_S))


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _before(text: str) -> str:
    return text[: len(text) - len(text.lstrip())]


def _behind(text: str) -> str:
    return text[len(text.rstrip()) :] if text.strip() else ""


@lru_cache(maxsize=16)
def own_template(source: str, tokens: tuple[tuple[str, str], ...]) -> OwnTemplate:
    """The template of this source, with its process shared by all who use it."""
    return OwnTemplate(source, dict(tokens))
