"""A chat template rendered for another process, which sets the time: see `own_template`.

A template comes with a downloaded tokenizer and may be anybody's. Jinja's sandbox keeps it from
the interpreter, but `{{ 'a' * 10**9 }}` is one operation that nothing in the same process can stop. So
this file runs by itself, with a limit on memory, and whoever asks kills it when it takes too long.

Requests and answers are JSON, one a line. The first request is the template.
"""

import json
import sys
from datetime import datetime
from typing import Any

MEMORY = 2**29
"""Bytes that the process may have, Python itself included."""
LONGEST = 2**24
"""Most characters of a rendered conversation."""


def limit_memory() -> None:
    """Ask the system for the limit, where it has such limits."""
    try:
        import resource
    except ImportError:  # Windows
        return
    try:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    except (ValueError, OSError):  # macOS knows the limit and does not set it
        return


def compiled(source: str) -> Any:
    """The template in the environment that Hugging Face's tokenizers give theirs."""
    from jinja2.ext import Extension
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}` marks what is trained; here that is known, and the mark is passed over."""

        tags = {"generation"}  # noqa: RUF012  # as jinja2 declares it

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.loopcontrols", Generation],
    )
    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment.from_string(source)


def to_json(value: Any, indent: int | None = None) -> str:
    """JSON as it is, where Jinja's own filter would write `<` for HTML."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


class RefusalError(Exception):
    """The template says that it cannot write such a conversation."""


def refuse(message: str) -> None:
    """What templates call to complain."""
    raise RefusalError(message)


def answer(template: Any, request: dict[str, Any]) -> dict[str, str]:
    """The conversation's text, or why there is none."""
    try:
        text = template.render(**request)
    except RefusalError as error:
        return {"refused": str(error)[:300]}
    except MemoryError:
        return {"error": f"it takes more than {MEMORY >> 20} MiB"}
    except Exception as error:  # whatever a stranger's template does wrong
        return {"error": f"{type(error).__name__}: {error}"[:300]}
    if len(text) > LONGEST:
        return {"error": f"it writes {len(text):,} characters"}
    return {"text": text}


def main() -> None:
    """Answer until nobody asks any more."""
    limit_memory()
    source = json.loads(sys.stdin.readline())
    try:
        template, broken = compiled(source), None
    except Exception as error:
        template, broken = None, {"error": f"{type(error).__name__}: {error}"[:300]}
    for line in sys.stdin:
        print(json.dumps(broken or answer(template, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
