"""Reading in parts: the same corpus for any number of processes, and after any interruption."""

import gzip
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hornbook.corpus import units
from hornbook.corpus.document import Document
from hornbook.corpus.fingerprints import Fingerprints
from hornbook.corpus.parallel import processes
from hornbook.corpus.quarantine import Quarantine
from hornbook.corpus.readers import CorpusSettings, corpus_files, read_corpus
from hornbook.corpus.units import plan, read_unit
from hornbook.errors import HornbookError
from hornbook.pipeline.corpora import corpus as stage
from hornbook.pipeline.corpora import parts
from hornbook.pipeline.corpora.corpus import Corpus, make_corpus
from hornbook.pipeline.corpora.lines import document_of, line_of, text_of, texts_of
from hornbook.pipeline.recipe import Recipe
from hornbook.pipeline.workspace import Workspace

CLEANING = {
    "quality": {"unicode": "normalize"},
    "privacy": {"emails": "replace"},
    "deduplication": {"exact": True},
}


def write_source(folder: Path) -> Path:
    """Two large files of lines, small ones of other kinds, and a few bad lines among them."""
    folder.mkdir()
    for file in ("a", "b"):
        records = [
            {"text": f"Tale {n % 150} of {file}: the cat sat.\nmail me@{file}{n}.org", "n": n / 3}
            for n in range(400)
        ]
        lines = [json.dumps(record) for record in records]
        lines[100] = '{"text": "cut'
        lines[101] = ""
        lines[300] = json.dumps({"text": None})
        (folder / f"{file}.jsonl").write_text("\n".join(lines) + "\n" * (file == "a"))
    for n in range(30):
        (folder / f"c{n:02}.txt").write_text(f"Text {n}.\n<|endoftext|>\nAnd another, {n}.")
    (folder / "d.jsonl.gz").write_bytes(gzip.compress(b'{"text": "packed"}\n' * 3))
    return folder


def recipe_for(source: Path, **corpus: Any) -> Recipe:
    given = {"source": str(source), "metadata_fields": ("n",), "max_bad_share": 0.05} | corpus
    return Recipe.model_validate({"corpus": given, **CLEANING})


def made(directory: Path, recipe: Recipe) -> Corpus:
    return make_corpus(recipe, Workspace(directory))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_source(tmp_path / "source")


@pytest.fixture
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "UNIT_BYTES", 5_000)


def by_this_process(several: parts.Parts) -> Iterator[int]:
    for number in several.missing():
        parts.make_part(several, number)
        yield number


@pytest.mark.parametrize("unit_bytes", [1, 77, 5_000, 10**9])
def test_units_together_are_the_corpus(source: Path, unit_bytes: int) -> None:
    settings = CorpusSettings(source=str(source), metadata_fields=("n",), max_bad_share=0.05)
    whole_quarantine, quarantine = Quarantine(max_bad_share=0.05), Quarantine(max_bad_share=0.05)
    whole = list(read_corpus(settings, whole_quarantine))
    planned = plan(corpus_files(str(source)), unit_bytes)
    reading = units.Reading(str(source), quarantine, "text", ("n",))
    found = [document for unit in planned for document in read_unit(unit, reading)]
    assert found == whole
    assert (quarantine.good, quarantine.bad) == (whole_quarantine.good, whole_quarantine.bad)
    assert len(planned) == {1: 859, 77: 558, 5_000: 14, 10**9: 1}[unit_bytes]


def test_the_corpus_is_the_same_for_any_engine(
    tmp_path: Path, source: Path, small_units: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_processes = made(tmp_path / "processes", recipe_for(source))
    monkeypatch.setattr(parts, "by_processes", by_this_process)
    alone = made(tmp_path / "here", recipe_for(source))
    monkeypatch.setattr(units, "UNIT_BYTES", 10**9)
    whole = made(tmp_path / "whole", recipe_for(source))
    assert by_processes.manifest.files == alone.manifest.files == whole.manifest.files
    assert by_processes.cleaning == alone.cleaning == whole.cleaning
    assert by_processes.bad == alone.bad == whole.bad == 4
    assert by_processes.cleaning["read"]["documents"] == 794 + 60 + 3
    assert "quarantine.jsonl" in whole.manifest.files
    tallies = [tally for step in whole.cleaning["steps"] for tally in step["tallies"]]
    assert {tally["name"]: len(tally["examples"]) for tally in tallies}["emails"] == 5


def test_evaluation_sets_are_looked_for_where_documents_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(units, "UNIT_BYTES", 4_000)
    monkeypatch.setattr(parts, "by_processes", by_this_process)
    words = [f"word{n}" for n in range(3_000)]
    texts = [" ".join(words[10 * n : 10 * n + 40]) for n in range(280)]
    texts = [f"{text}\n\n{' '.join(words[:12])} and so on" for text in texts]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    held = tmp_path / "held.jsonl"
    recipe = Recipe.model_validate(
        {
            "corpus": {"source": str(tmp_path / "a.jsonl")},
            "deduplication": {"paragraphs": True},  # after which most texts are looked at again
            "decontamination": {"evaluation_sets": (str(held),), "ngram": 8},
        }
    )
    found = []
    for first in (100, 2000):
        held.write_text(json.dumps({"text": " ".join(words[first : first + 30])}))
        corpus = made(tmp_path / f"{first}", recipe)
        monkeypatch.setattr(parts.fingerprints, "compute", without(parts.fingerprints.compute))
        alone = made(tmp_path / f"{first} alone", recipe)
        monkeypatch.undo()
        monkeypatch.setattr(units, "UNIT_BYTES", 4_000)
        monkeypatch.setattr(parts, "by_processes", by_this_process)
        assert corpus.manifest.files == alone.manifest.files
        assert corpus.cleaning == alone.cleaning
        tally = corpus.cleaning["steps"][-1]["tallies"][0]
        found.append([example[0] for example in tally["examples"]])
        assert tally["removed"] == 6
    assert found[0] != found[1]


def without(compute: Callable[..., Fingerprints]) -> Callable[..., Fingerprints]:
    """Fingerprints as they are where no evaluation set is asked for."""
    return lambda texts, settings, evaluation=None: compute(texts, settings)


def test_too_many_bad_lines_are_the_same_error(
    tmp_path: Path, source: Path, small_units: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "by_processes", by_this_process)
    sentences = []
    for share in (0.0, 0.001):
        for unit_bytes in (5_000, 10**9):
            monkeypatch.setattr(units, "UNIT_BYTES", unit_bytes)
            with pytest.raises(HornbookError) as caught:
                made(tmp_path / f"{share}-{unit_bytes}", recipe_for(source, max_bad_share=share))
            sentences.append(str(caught.value).split("; all are listed")[0])
    assert "a.jsonl, line 101: not valid JSON" in sentences[0]
    assert "4 bad of 861" in sentences[2]
    assert sentences[0] == sentences[1]
    assert sentences[2] == sentences[3]


def test_a_damaged_file_stops_the_run(
    tmp_path: Path, source: Path, small_units: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "by_processes", by_this_process)
    (source / "d.jsonl.gz").write_bytes(b"no such thing")
    with pytest.raises(HornbookError, match=r"d\.jsonl\.gz is damaged"):
        made(tmp_path / "run", recipe_for(source))


def die(several: parts.Parts, number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_dies_is_an_error(
    tmp_path: Path, source: Path, small_units: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "make_part", die)
    monkeypatch.setattr(parts, "_made_here", lambda *_: iter(()))
    with pytest.raises(HornbookError, match="a process that reads the corpus has died"):
        made(tmp_path / "run", recipe_for(source))


def test_an_interrupted_corpus_is_gone_on_with(
    tmp_path: Path, source: Path, small_units: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "by_processes", by_this_process)
    whole = made(tmp_path / "whole", recipe_for(source))
    taken: list[int] = []

    def here(several: parts.Parts) -> Iterator[int]:
        for number in several.missing():
            if len(taken) == 4:
                taken.append(-1)
                raise KeyboardInterrupt
            taken.append(number)
            parts.make_part(several, number)
            yield number

    monkeypatch.setattr(parts, "by_processes", here)
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path / "run", recipe_for(source))
    again = made(tmp_path / "run", recipe_for(source))
    assert taken[:6] == [0, 1, 2, 3, -1, 4]
    assert again.manifest.files == whole.manifest.files
    assert again.cleaning == whole.cleaning
    assert not list((tmp_path / "run").glob(".corpus*"))


SCRIPT = """
import sys, time
from pathlib import Path
from hornbook.corpus import units
from hornbook.pipeline.corpora import parts
from hornbook.pipeline.corpora.corpus import make_corpus
from hornbook.pipeline.recipe import Recipe
from hornbook.pipeline.workspace import Workspace
units.UNIT_BYTES = 2_000

def slowly(several):
    for number in several.missing():
        parts.make_part(several, number)
        print(number, flush=True)
        time.sleep(0.1)
        yield number

parts.by_processes = slowly
make_corpus(Recipe.model_validate_json(sys.argv[1]), Workspace(Path(sys.argv[2])))
"""


def test_killed_in_the_middle_the_same_command_goes_on(tmp_path: Path, source: Path) -> None:
    recipe = recipe_for(source)
    command = [sys.executable, "-c", SCRIPT, recipe.model_dump_json(), str(tmp_path / "run")]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    first = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    for line in first.stdout:
        if line.strip() == "20":
            first.kill()
            break
    first.stdout.close()
    first.wait(30)
    second = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, text=True, timeout=60, check=True
    )
    numbers = [int(line) for line in second.stdout.split() if line.isdigit()]
    assert min(numbers) >= 20
    whole = made(tmp_path / "whole", recipe)
    run = stage.open_corpus(tmp_path / "run" / "corpus")
    assert run.manifest.files == whole.manifest.files


ALIVE = """
import os, time
from hornbook.corpus.fingerprints import Fingerprints
from hornbook.corpus.parallel import processes

if __name__ == "__main__":
    with processes(1) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        time.sleep(60)
"""


def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    script = tmp_path / "alive.py"
    script.write_text(ALIVE)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    parent = subprocess.Popen(
        [sys.executable, str(script)], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert Path(f"/proc/{child}").exists()
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + 20
    while time.monotonic() < until and Path(f"/proc/{child}").exists():
        time.sleep(0.05)
    assert not Path(f"/proc/{child}").exists()


def test_signals_are_not_for_the_processes_that_compute() -> None:
    with processes(1) as pool:
        child = pool.submit(os.getpid).result()
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(child, number)
        assert pool.submit(os.getpid).result() == child


def test_after_an_error_processes_are_not_waited_for() -> None:
    def interrupted() -> None:
        with processes(1) as pool:
            pool.submit(time.sleep, 1000)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    "metadata",
    [{}, {"n": 1.5, "big": 2**80, "nan": float("nan")}, {"when": Path("x"), "ü": [None, {"a": 1}]}],
)
def test_documents_come_back_from_their_lines(metadata: dict[str, Any]) -> None:
    document = Document('a "b"\n\\ü\u2028\x7f🙂', "i#1", "s", metadata)
    line = line_of(document)
    assert line.count(b"\n") == 1
    found = document_of(line, "s")
    assert text_of(line) == found.text == document.text
    assert texts_of(line * 2 + b'{"id":"x","text":"y"}\n') == [document.text, document.text, "y"]
    assert (found.id, found.source) == ("i#1", "s")
    assert line_of(found) == line  # nan is not equal to itself
