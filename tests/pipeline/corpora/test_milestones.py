"""A corpus that is interrupted while documents are compared and written goes on from there."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hornbook.corpus import units
from hornbook.corpus.document import Document
from hornbook.pipeline.corpora import milestones, parts
from hornbook.pipeline.corpora.corpus import Corpus, make_corpus, open_corpus
from hornbook.pipeline.recipe import Recipe
from hornbook.pipeline.workspace import Workspace

pytest.importorskip("rensa")

WORDS = [f"word{number}" for number in range(400)]


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """Texts of which many come again: as they are, with a word changed, or a paragraph of them."""
    chance = random.Random(1)
    texts: list[str] = []
    for number in range(600):
        text = (
            " ".join(chance.choices(WORDS, k=30)) + "\n\n" + " ".join(chance.choices(WORDS, k=12))
        )
        if texts and number % 3 == 0:
            text = chance.choice(texts)
        elif texts and number % 3 == 1:
            text = chance.choice(texts).replace("word7", "changed")
        elif texts:
            text = text.split("\n\n")[0] + "\n\n" + chance.choice(texts).split("\n\n")[-1]
        texts.append(text)
    lines = [json.dumps({"text": text}) for text in texts]
    lines[300] = "nonsense"
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    shares = {"validation_share": 0.4, "test_share": 0.4}
    return Recipe.model_validate(
        {
            "corpus": {"source": str(tmp_path / "a.jsonl"), **shares},
            "privacy": {"emails": "replace"},
            "deduplication": {"exact": True, "paragraphs": True, "near": True, "ngram": 3},
        }
    )


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "UNIT_BYTES", 10_000)
    monkeypatch.setattr(milestones, "EVERY_S", 0)
    monkeypatch.setattr(parts, "by_processes", by_this_process)


def by_this_process(several: parts.Parts) -> Iterator[int]:
    for number in several.missing():
        parts.make_part(several, number)
        yield number


def made(directory: Path, recipe: Recipe) -> Corpus:
    return make_corpus(recipe, Workspace(directory))


@pytest.mark.parametrize("stop_at", [1, 9, 15])
def test_what_was_compared_is_not_compared_again(
    tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, stop_at: int
) -> None:
    whole = made(tmp_path / "whole", recipe)
    removed = [
        t["removed"] for s in whole.cleaning["steps"] for t in s["tallies"] if s["documents"]
    ]
    assert sum(count > 20 for count in removed) >= 2
    compared: list[int] = []
    read = parts.documents_of

    def counted(several: parts.Parts, number: int, *rest: Any) -> Iterator[Document]:
        compared.append(number)
        if compared.count(stop_at) == 1 and number == stop_at:
            with (tmp_path / "run" / ".corpus.partial" / "train.jsonl").open("a") as file:
                file.write("torn")
            raise KeyboardInterrupt
        return read(several, number, *rest)

    monkeypatch.setattr(parts, "documents_of", counted)
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path / "run", recipe)
    again = made(tmp_path / "run", recipe)
    # The first 50 documents are held back, until it is known how many there are.
    first = 0 if stop_at == 1 else stop_at
    assert compared[stop_at + 1 :][0] == first
    assert again.manifest.files == whole.manifest.files
    assert again.cleaning == whole.cleaning
    assert again.bad == whole.bad == 1
    assert not list((tmp_path / "run").glob(".corpus*"))


SCRIPT = """
import os, signal, sys
from pathlib import Path
from hornbook.corpus import units
from hornbook.pipeline.corpora import milestones, parts
from hornbook.pipeline.corpora.corpus import make_corpus
from hornbook.pipeline.recipe import Recipe
from hornbook.pipeline.workspace import Workspace
units.UNIT_BYTES = 10_000
milestones.EVERY_S = 0
passed = milestones.Milestones.passed

def and_die(self, count):
    passed(self, count)
    if count == 9 and len(sys.argv) > 3:
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    milestones.Milestones.passed = and_die
    make_corpus(Recipe.model_validate_json(sys.argv[1]), Workspace(Path(sys.argv[2])))
"""


def test_killed_while_comparing_the_same_command_goes_on(
    tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "prepare.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), recipe.model_dump_json(), str(tmp_path / "run"), "die"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    killed = subprocess.run(command, env=environment, capture_output=True, timeout=60)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    compared: list[int] = []
    read = parts.documents_of

    def counted(several: parts.Parts, number: int, *rest: Any) -> Iterator[Document]:
        compared.append(number)
        return read(several, number, *rest)

    monkeypatch.setattr(parts, "documents_of", counted)
    made(tmp_path / "run", recipe)
    assert compared[0] == 9
    monkeypatch.undo()
    whole = made(tmp_path / "whole", recipe)
    assert open_corpus(tmp_path / "run" / "corpus").manifest.facts == whole.manifest.facts
    assert open_corpus(tmp_path / "run" / "corpus").manifest.files == whole.manifest.files
