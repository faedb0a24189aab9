"""Personal data beside the text, in the quarantine and on the data card; and the same in many processes."""

import json
import pickle
import shutil
from pathlib import Path

import pytest

pytest.importorskip("phonenumbers")
pytest.importorskip("stdnum")

from hornbook.cli import _run
from hornbook.corpus import parallel
from hornbook.corpus.document import Document
from hornbook.corpus.privacy.finding import Search
from hornbook.corpus.privacy.metadata import redact_metadata
from hornbook.corpus.privacy.redaction import Privacy, PrivacySettings, make_steps
from hornbook.corpus.quarantine import Quarantine
from hornbook.errors import HornbookError
from hornbook.pipeline.corpora.private import note_examples

ALL = {"emails": "replace", "phones": "replace", "cards": "replace", "private_keys": "drop"}


def step(workers: int = 1, **actions: str) -> Privacy:
    (made,) = make_steps(PrivacySettings.model_validate(actions or ALL), workers)
    assert isinstance(made, Privacy)
    return made


def test_strings_numbers_and_what_is_nested_are_looked_at() -> None:
    metadata = {
        "author": "Ann <ann@acme.org>",
        "phone": 2125550123,
        "other": {"notes": ["nothing", "call +44 20 7946 0958"], "bob@acme.org": None},
        "order": "4111111111111111",
        "score": 0.5,
        "kept": True,
        "year": 2024,
        "url": "https://acme.org/a?b=1",
    }
    changed, kinds = redact_metadata(metadata, Search(("US",)), ("emails", "phones", "cards"))
    assert changed == metadata | {
        "author": "Ann <<EMAIL>>",
        "phone": "<PHONE>",
        "other": {"notes": ["nothing", "call <PHONE>"], "<EMAIL>": None},
    }
    assert kinds == ["emails", "phones", "phones", "emails"]


def test_metadata_are_replaced_dropped_and_counted_as_the_text_is() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADAN\n-----END PRIVATE KEY-----"
    plain = Document("no one", "2", metadata={"by": "Cleo", "n": [1, 2]})
    given = [
        Document("ann@acme.org", "0", metadata={"by": "ann@acme.org"}),
        Document("a text", "1", metadata={"by": {"mail": "bob@acme.org"}}),
        plain,
        Document("another", "3", metadata={"attached": [key]}),
    ]
    privacy = step()
    kept = list(privacy.apply(iter(given)))
    assert [(d.text, d.metadata) for d in kept[:2]] == [
        ("<EMAIL>", {"by": "<EMAIL>"}),
        ("a text", {"by": {"mail": "<EMAIL>"}}),
    ]
    assert kept[2] is plain
    tallies = {t.name: (t.seen, t.removed, t.changed, t.examples) for t in privacy.tallies}
    assert tallies["emails"] == (
        *(4, 0, 2),
        [("0", "<EMAIL>", "2 of this kind"), ("1", "a text", "1 of this kind")],
    )
    assert tallies["private_keys"] == (4, 1, 0, [("3", "another", "1 of this kind")])


def test_processes_do_not_change_the_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "BATCH_DOCUMENTS", 7)
    given = [
        Document(f"mail a{n}@acme.org" if n % 3 else "nothing", str(n), metadata={"n": n})
        for n in range(40)
    ]
    alone, many = step(1), step(2)
    assert list(alone.apply(iter(given))) == list(many.apply(iter(given)))
    assert alone.tallies == many.tallies
    pickle.dumps(alone._redactor)


def test_a_cut_reason_shows_no_part_of_it() -> None:
    search = Search(("US",))
    line = "1 line left out, such as 'Contact our office by writing to ann.smith@ac…'"
    assert search.redact(line) == "1 line left out, such as 'Contact our office by writing to …'"


def test_a_reason_in_the_quarantine_is_without_it(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "q.jsonl", 0.5, Search(("US",)).without)
    quarantine.refuse("a.jsonl", 3, HornbookError("a.jsonl, line 3: no field ann@acme.org."))
    record = json.loads((tmp_path / "q.jsonl").read_text())
    assert record == {"file": "a.jsonl", "line": 3, "reason": "a.jsonl, line 3: no field <EMAIL>."}


def test_nothing_of_it_is_left_in_a_runs_folder(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lines = [
        json.dumps({"text": f"Tale {n} of ann{n}@acme.org.", "by": f"bob{n}@acme.org"})
        for n in range(60)
    ]
    lines[7] = json.dumps({"cleo@acme.org": "a line without a text"})
    lines[9] = json.dumps({"text": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANcafe", "by": "x"})
    source = tmp_path / "dora@acme.org.jsonl"
    source.write_text("\n".join(lines))
    run = tmp_path / "run"
    arguments = [
        *("prepare", f"corpus.source={source}", f"run.directory={run}"),
        *("tokenizer.vocab_size=300", 'corpus.metadata_fields=["by"]', "corpus.max_bad_share=0.1"),
        *("privacy.emails=replace", "privacy.private_keys=drop", "deduplication.exact=true"),
        'quality.filters=["c4-terminal-punctuation"]',
    ]
    assert _run(arguments) == 0
    capfd.readouterr()
    written = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    for path, content in written.items():
        assert b"cafe" not in content, path
        if path.name not in ("manifest.json", "key.json"):  # which name the source's file
            names = content.replace(b"dora@acme.org", b"")  # ids and places have it, too
            assert b"@acme" not in names, path
    card = (run / "datacard.md").read_text()
    assert "<EMAIL>" in card
    assert "@acme" not in card


def test_ids_are_redacted_and_still_tell_documents_apart() -> None:
    given = [
        Document("one", "mails.jsonl#ann@acme.org"),
        Document("two", "mails.jsonl#bob@acme.org"),
        Document("two", "mails.jsonl#cleo@acme.org"),
        Document("three of dan@acme.org", "mails.jsonl#4"),
        Document("five", "key.txt#-----BEGIN PRIVATE KEY-----\nMIIEvQIBADAN"),
    ]
    privacy = step()
    ids = [document.id for document in privacy.apply(iter(given))]
    assert ids[3] == "mails.jsonl#4"
    assert all(name.startswith("mails.jsonl#<EMAIL>~") for name in ids[:3])
    assert ids[0] != ids[1] == ids[2]  # made of what is left, which is the same
    assert ids[4].startswith("key.txt#<PRIVATE_KEY>~")  # not dropped for its name
    counts = {tally.name: (tally.removed, tally.changed) for tally in privacy.tallies}
    assert counts["emails"] == (0, 4)
    assert counts["private_keys"] == (0, 1)


def test_an_id_is_the_same_in_any_company() -> None:
    documents = [Document(f"text {n}", f"a{n}@acme.org") for n in range(4)]
    whole = [document.id for document in step().apply(iter(documents))]
    assert [next(step().apply(iter([document]))).id for document in documents] == whole
    assert len(set(whole)) == 4


def test_an_older_corpus_that_still_has_them_is_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text("Mail ann@acme.org.\n<|endoftext|>\nAnother text.")
    arguments = [
        "prepare",
        f"corpus.source={tmp_path / 'a.txt'}",
        f"run.directory={tmp_path / 'run'}",
        "tokenizer.vocab_size=300",
    ]
    assert _run(arguments) == 0
    assert "has a corpus from before" not in capfd.readouterr().out
    for _ in range(2):  # as long as it is there
        assert _run([*arguments, "privacy.emails=replace", "privacy.api_keys=drop"]) == 0
        said = capfd.readouterr().out
        assert (
            f"{tmp_path / 'run' / 'previous'} has a corpus from before api keys and emails" in said
        )
    shutil.rmtree(tmp_path / "run" / "previous")
    assert _run([*arguments, "privacy.emails=replace", "privacy.api_keys=drop"]) == 0
    assert "has a corpus from before" not in capfd.readouterr().out


def test_examples_to_learn_from_are_counted(capfd: pytest.CaptureFixture[str]) -> None:
    texts = ["ann@acme.org and bob@acme.org", "nothing", "call +44 20 7946 0958, ann@acme.org"]
    note_examples(texts, PrivacySettings.model_validate(ALL), Path("labelled.csv"))
    said = capfd.readouterr().out
    assert "labelled.csv: emails (3) and phones (1) in 2 of its texts, which stay there" in said
    note_examples(texts, PrivacySettings(), Path("labelled.csv"))
    note_examples(["nothing"], PrivacySettings.model_validate(ALL), Path("labelled.csv"))
    assert capfd.readouterr().out == ""
