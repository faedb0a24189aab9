"""Ray Data makes the corpus that one machine makes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hornbook.cli import _run
from hornbook.corpus.decontamination import DecontaminationSettings
from hornbook.corpus.deduplication import DeduplicationSettings
from hornbook.corpus.privacy.redaction import PrivacySettings
from hornbook.corpus.quality.settings import QualitySettings
from hornbook.corpus.readers import CorpusSettings, corpus_files
from hornbook.corpus.units import plan
from hornbook.errors import HornbookError
from hornbook.pipeline.corpora import on_ray
from hornbook.pipeline.corpora.corpus import make_corpus, open_corpus
from hornbook.pipeline.corpora.parts import Parts
from hornbook.pipeline.recipe import load_recipe
from hornbook.pipeline.workspace import Workspace

RECIPE = """
[corpus]
source = "source"
max_bad_share = 0.05

[privacy]
emails = "replace"

[deduplication]
exact = true

[tokenizer]
vocab_size = 300

[run]
directory = "ray"
"""
SCRIPT = """
import sys
from hornbook.corpus import units
units.UNIT_BYTES = 6_000
from hornbook.cli import main
main()
"""


def write_source(folder: Path) -> None:
    folder.mkdir()
    for name in "ab":
        lines = [
            json.dumps({"text": f"Tale {n % 90} of {name}: mail me@{name}{n}.org"})
            for n in range(150)
        ]
        lines[70] = "nonsense"
        (folder / f"{name}.jsonl").write_text("\n".join(lines))


def test_the_same_output_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    write_source(tmp_path / "source")
    (tmp_path / "ray.toml").write_text(RECIPE)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "prepare", "ray.toml", "--engine", "ray"],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=160,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    by_ray = open_corpus(tmp_path / "ray" / "corpus").manifest
    monkeypatch.chdir(tmp_path)
    local = make_corpus(load_recipe(Path("ray.toml")), Workspace(tmp_path / "local")).manifest
    assert by_ray.files == local.files
    assert by_ray.facts == local.facts
    assert local.facts["bad"] == 2


def test_an_unknown_engine_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    assert _run(["prepare", "--engine", "spark"]) == 2
    assert "run.engine" in capfd.readouterr().err


def plain_parts(source: Path, folder: Path) -> Parts:
    """Of all files of a folder, with no step beside reading."""
    settings = (
        CorpusSettings(),
        QualitySettings(),
        PrivacySettings(),
        DeduplicationSettings(),
        DecontaminationSettings(),
    )
    return Parts(plan(corpus_files(str(source))), *settings, "said", folder)


def test_what_goes_wrong_elsewhere_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(b"no such thing")
    parts = plain_parts(tmp_path, tmp_path / "parts")
    row = on_ray._make({"number": 0}, parts, str(tmp_path))
    with pytest.raises(HornbookError, match=r"a\.jsonl\.gz is damaged"):
        on_ray._made(row, parts)
    with pytest.raises(HornbookError, match="on a file system that all machines"):
        on_ray._made({"number": 0, "error": ""}, parts)


def test_without_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_source(tmp_path / "source")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(HornbookError, match=r"needs Ray; install it with pip install"):
        next(on_ray.by_ray(plain_parts(tmp_path / "source", tmp_path)))
