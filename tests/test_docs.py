"""The documentation is true: its code runs and prints what it says, its links lead somewhere.

The Python blocks of a page run in order in one namespace; a block followed directly by a text
block must print exactly that. `python tests/test_docs.py` writes into the pages what they print.
"""

import contextlib
import io
import os
import re
import shlex
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(page for page in DOCS.glob("*.md") if page.name != "log.md")
LINKED = [*sorted(DOCS.glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; `start` and `end` are where its content stands in the text."""

    language: str
    content: str
    start: int
    end: int
    line: int


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(m[1], m[2], m.start(2), m.end(2), text.count("\n", 0, m.start(2)))
        for m in FENCE.finditer(text)
    ]


def follows(text: str, first: Block, second: Block | None) -> bool:
    """Whether `second` is a text block with nothing but blank lines between it and `first`."""
    if second is None or second.language != "text":
        return False
    return not text[first.end : second.start].replace("```text", "").replace("```", "").strip()


def run_page(page: Path) -> Iterator[tuple[Block, str, Block | None]]:
    """Each Python block of a page, what it printed, and the text block that says so."""
    text, blocks = page.read_text(encoding="utf-8"), blocks_of(page)
    namespace: dict[str, Any] = {"__name__": page.stem}
    for block, after in zip(blocks, [*blocks[1:], None], strict=True):
        if block.language != "python":
            continue
        # Blank lines first, so that a traceback names the page's own line.
        code = compile("\n" * block.line + block.content, str(page), "exec")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, namespace)
        lines = [line.rstrip() for line in printed.getvalue().splitlines()]
        said = after if follows(text, block, after) else None
        yield block, "".join(f"{line}\n" for line in lines), said


@contextlib.contextmanager
def as_it_was() -> Iterator[None]:
    """Put back torch's random state and way of printing, which are the whole process's."""
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            torch.set_printoptions(profile="default")  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_prints_what_the_page_says(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with as_it_was():
        for block, printed, said in run_page(page):
            if said is not None:
                assert printed == said.content, f"{page.name}, the block at line {block.line + 1}"


def test_every_stage_shows_running_code_and_its_output() -> None:
    stages = [page for page in PAGES if page.stem[0].isdigit()]
    assert [int(page.stem[0]) for page in stages] == list(range(9))
    for page in stages:
        text, blocks = page.read_text(encoding="utf-8"), blocks_of(page)
        shown = [b for b, c in pairwise(blocks) if follows(text, b, c)]
        assert any(block.language == "python" for block in shown), page.name


def links_of(page: Path) -> list[str]:
    """Relative links outside code blocks, without their anchors."""
    targets = LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8")))
    local = (link for link in targets if not re.match(r"[a-z]+:|#", link))
    return [link.partition("#")[0] for link in local]


@pytest.mark.parametrize("page", LINKED, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    broken = [link for link in links_of(page) if not (page.parent / link).exists()]
    assert not broken, f"{page.relative_to(ROOT)}: no such file: {', '.join(broken)}"


def test_the_index_names_every_page() -> None:
    named = set(links_of(DOCS / "README.md"))
    assert {page.name for page in PAGES if page.name != "README.md"} <= named


def commands_of(page: Path) -> Iterator[list[str]]:
    """The words of each `hornbook ...` line in a page's bash blocks."""
    for block in blocks_of(page):
        if block.language == "bash":
            for line in block.content.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words[:1] == ["hornbook"]:
                    yield words[1:]


@pytest.mark.parametrize("page", LINKED, ids=lambda page: page.name)
def test_commands_and_their_settings_exist(page: Path) -> None:
    from typer.main import get_command

    from hornbook.cli.app import app
    from hornbook.config import load_settings
    from hornbook.evaluation.endpoint import EndpointSettings
    from hornbook.inference.generate import GenerationSettings
    from hornbook.pipeline.recipe import Recipe
    from hornbook.serving.settings import ServerSettings

    for words in commands_of(page):
        command: Any = get_command(app)
        while hasattr(command, "commands") and words and not words[0].startswith("-"):
            assert words[0] in command.commands, f"{page.name}: no command {words[0]}"
            command, words = command.commands[words[0]], words[1:]
        known = {name for parameter in command.params for name in parameter.opts}
        options = [word.partition("=")[0] for word in words if word.startswith("--")]
        assert {*options} <= known | {"--help"}, f"{page.name}: {options}"
        overrides = [
            word
            for before, word in pairwise(["", *words])
            if re.match(r"[a-z_.]+=", word) and not before.startswith("--")
        ]
        kinds = {"generate": GenerationSettings, "chat": GenerationSettings}
        kinds_elsewhere = {"judge": EndpointSettings, "serve": ServerSettings}
        kind: Any = {**kinds, **kinds_elsewhere}.get(command.name, Recipe)
        load_settings(kind, None, overrides)


def test_recipes_shown_are_valid(tmp_path: Path) -> None:
    from hornbook.pipeline.recipe import load_recipe

    shown = [b for page in LINKED for b in blocks_of(page) if b.language == "toml"]
    assert shown
    for block in shown:
        (tmp_path / "shown.toml").write_text(block.content, encoding="utf-8")
        load_recipe(tmp_path / "shown.toml")


def rewrite(page: Path) -> None:
    """Put what the blocks print now in the place of what the page says they print."""
    text = page.read_text(encoding="utf-8")
    shown = [(printed, said) for _, printed, said in run_page(page) if said is not None]
    for printed, said in reversed(shown):
        text = text[: said.start] + printed + text[said.end :]
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for page in PAGES:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            rewrite(page)
        print(os.path.relpath(page))
