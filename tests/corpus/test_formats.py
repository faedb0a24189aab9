"""Every kind of file, plain and compressed, gives the same documents; hostile ones are contained."""

import gzip
import io
import json
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from hornbook.corpus.document import Document
from hornbook.corpus.formats import Reading
from hornbook.corpus.quarantine import Quarantine
from hornbook.corpus.readers import CorpusSettings, corpus_files, read_corpus, read_documents
from hornbook.corpus.units import plan, read_unit
from hornbook.errors import HornbookError

pyarrow = pytest.importorskip("pyarrow")
pytest.importorskip("pyarrow.parquet")
zstandard = pytest.importorskip("zstandard")

TEXTS = ["One.", 'Two "2",\nand more', "Drei: ü"]
PAGE = """<!doctype html><html><head><title>T</title><style>p {}</style></head><body>
<nav><a href=x>Home</a></nav><h1>A <b>bold</b> title</h1><p>First
 line &amp; more.</p><p>Second.</p><script>no()</script><ul><li>x<li>y</ul><pre>a = 1
b = 2</pre></body></html>"""


def table_bytes(kind: str) -> bytes:
    records = [{"text": text, "url": f"u{n}"} for n, text in enumerate(TEXTS)]
    if kind == ".jsonl":
        return "".join(json.dumps(record) + "\n" for record in records).encode()
    if kind == ".csv":
        rows = [
            '"' + record["text"].replace('"', '""') + f'",{record["url"]}' for record in records
        ]
        return "\n".join(["text,url", *rows]).encode()
    if kind == ".txt":
        return "\n<|endoftext|>\n".join(TEXTS).encode()
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), buffer)
    return buffer.getvalue()


def compress(data: bytes, how: str) -> bytes:
    if how == ".gz":
        return gzip.compress(data)
    return data if not how else bytes(zstandard.compress(data))


def settings(source: Path | str, **more: object) -> CorpusSettings:
    return CorpusSettings.model_validate({"source": str(source), **more})


def read(source: Path | str, share: float = 0.0, **more: object) -> list[Document]:
    return list(read_corpus(settings(source, **more), Quarantine(max_bad_share=share)))


def complaint(source: Path | str, share: float = 0.0, **more: object) -> str:
    with pytest.raises(HornbookError) as caught:
        read(source, share, **more)
    return str(caught.value)


@pytest.mark.parametrize("how", ["", ".gz", ".zst"])
@pytest.mark.parametrize("kind", [".txt", ".jsonl", ".csv", ".parquet"])
def test_all_kinds_give_the_same_texts(tmp_path: Path, kind: str, how: str) -> None:
    path = tmp_path / f"a{kind}{how}"
    path.write_bytes(compress(table_bytes(kind), how))
    found = read(path)
    assert [document.text for document in found] == TEXTS
    assert {document.source for document in found} == {str(path)}
    assert found[0].id == f"a{kind}{how}#{2 if kind == '.csv' else 1}"
    if kind != ".txt":
        kept = read(path, metadata_fields=("url",))
        assert [document.metadata for document in kept] == [{"url": f"u{n}"} for n in range(3)]


def test_frames_and_members_one_after_another(tmp_path: Path) -> None:
    for name, how in (("a.txt.gz", ".gz"), ("a.txt.zst", ".zst")):
        (tmp_path / name).write_bytes(compress(b"One ", how) + compress(b"two", how))
        assert [document.text for document in read(tmp_path / name)] == ["One two"]


def test_html_is_its_visible_text_block_by_block(tmp_path: Path) -> None:
    pytest.importorskip("selectolax")
    (tmp_path / "a.html").write_text(PAGE)
    [page] = read(tmp_path)
    assert page.text == "A bold title\nFirst line & more.\nSecond.\nx\ny\na = 1\nb = 2"
    (tmp_path / "a.html").write_text("<p> </p><script>x</script>")
    assert "no text in its page" in complaint(tmp_path)


@pytest.mark.parametrize("how", [".gz", ".zst"])
def test_cut_off_and_damaged_files_stop_the_run(tmp_path: Path, how: str) -> None:
    lines = "".join(f'{{"text": "{os.urandom(20).hex()}"}}\n' for _ in range(3_000)).encode()
    whole = compress(lines, how)
    path = tmp_path / f"a.jsonl{how}"
    path.write_bytes(whole[:-40])
    assert f"a.jsonl{how} is cut off" in complaint(path, share=0.5)
    path.write_bytes(b"no such thing")
    assert f"a.jsonl{how} is damaged" in complaint(path, share=0.5)


@pytest.mark.parametrize("how", [".gz", ".zst"])
def test_a_bomb_is_refused_in_little_memory(tmp_path: Path, how: str) -> None:
    path = tmp_path / f"a.jsonl{how}"
    path.write_bytes(compress(bytes(2**27), how))  # 128 MiB of NUL bytes
    tracemalloc.start()
    try:
        assert "500-fold" in complaint(path, share=0.5, max_document_bytes=10_000)
        assert tracemalloc.get_traced_memory()[1] < 80e6
    finally:
        tracemalloc.stop()


def hostile_lines() -> Iterator[bytes]:
    for number in range(1_000):
        yield b'{"text": "fine %d"}\n' % number
    yield b'{"text": "NUL \0"}\n'
    yield b'{"text": "\xff"}\n'
    yield b'{"text": "' + b"long " * 50_000 + b'"}\n'
    yield b'{"text": null}\n'
    yield b'{"text": "last"}'


def test_bad_lines_are_set_aside_with_their_reasons(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(hostile_lines()))
    quarantine = Quarantine(tmp_path / "quarantine.jsonl", 0.01)
    documents = list(read_corpus(settings(path, max_document_bytes=10_000), quarantine))
    assert len(documents) == 1_001 == quarantine.good
    assert documents[-1].id == "a.jsonl#1005"
    lines = (tmp_path / "quarantine.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert [(record["file"], record["line"]) for record in records] == [
        ("a.jsonl", line) for line in (1_001, 1_002, 1_003, 1_004)
    ]
    for record, reason in zip(
        records, ("NUL byte", "not UTF-8", "10,000 bytes in one", "found null"), strict=True
    ):
        assert reason in record["reason"]


def test_an_overlong_line_is_never_held(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "x"}\n' * 200 + b"x" * 30_000_000 + b'\n{"text": "y"}\n')
    tracemalloc.start()
    try:
        assert len(read(path, 0.01, max_document_bytes=100_000)) == 201
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
    (tmp_path / "b.txt").write_bytes(b"x" * 30_000_000)
    assert "100,000 bytes in one document" in complaint(
        tmp_path / "b.txt", max_document_bytes=100_000
    )


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".txt"])
def test_a_line_of_a_gigabyte_is_set_aside_in_little_memory(tmp_path: Path, suffix: str) -> None:
    """Of nothing but NUL bytes, in a file with a hole: it takes no room on the disk."""
    good = {".jsonl": b'{"text": "fine"}\n', ".csv": b"fine\n", ".txt": b"fine\n<|endoftext|>\n"}
    path = tmp_path / f"a{suffix}"
    with path.open("wb") as file:
        file.write((b"text\n" if suffix == ".csv" else b"") + good[suffix] * 500)
        file.seek(2**30, os.SEEK_CUR)
        file.write(b"\n" + (b"<|endoftext|>\n" if suffix == ".txt" else b"") + good[suffix] * 500)
    quarantine = Quarantine(tmp_path / "quarantine.jsonl", 0.01)
    units = plan(corpus_files(str(path)), 10**8)
    assert len(units) == 2 if suffix == ".jsonl" else 1
    reading = Reading(str(path), quarantine, max_document_bytes=2**20)
    tracemalloc.start()
    try:
        found = [document.text for unit in units for document in read_unit(unit, reading)]
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()
    assert found == ["fine"] * 1_000
    [record] = (tmp_path / "quarantine.jsonl").read_text().splitlines()
    assert "more than 1,048,576 bytes in one document" in json.loads(record)["reason"]


def test_a_text_document_between_good_ones_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\n<|endoftext|>\n".join([b"good"] * 10 + [b"b\xffd"] + [b"good"] * 10))
    found = [document.id for document in read(path, 0.01)]
    assert len(found) == 20
    assert found[10] == "a.txt#12"


@pytest.mark.parametrize(
    ("good", "bad", "share", "stops"),
    [
        (1, 1, 0.01, True),  # half of a tiny file
        (19, 1, 0.01, False),
        (297, 3, 0.01, False),
        (296, 4, 0.01, True),
        (9_900, 100, 0.01, False),
        (9_899, 101, 0.01, True),
        (1_000, 1, 0.0, True),
    ],
)
def test_too_many_stop_the_run(
    tmp_path: Path, good: int, bad: int, share: float, stops: bool
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("nonsense\n" * bad + '{"text": "x"}\n' * good)
    if stops:
        assert "a.jsonl, line 1: not valid JSON" in complaint(path, share)
    else:
        assert len(read(path, share)) == good


def test_a_quotation_mark_never_closed_counts_for_all_it_takes(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = ["text", *["fine"] * 500, '"never closed', *["lost"] * 500]
    path.write_text("\n".join(rows))
    sentence = complaint(path, 0.01)
    assert "line 502: not valid: unexpected end of data" in sentence
    assert "(501 bad of 1,001" in sentence
    # With a bound, it takes no more than that, and reading goes on behind it.
    found = read(path, 0.5, max_document_bytes=500)
    assert 500 < len(found) < 1_000
    assert found[-1].text == "lost"


def test_parquet_with_nulls_and_other_types(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    texts = ["fine", None, " ", *["fine"] * 200]
    table = pyarrow.table({"text": texts, "id": [f"i{n}" for n in range(203)]})
    pyarrow.parquet.write_table(table, path)
    found = read(path, 0.01)
    assert len(found) == 201
    assert found[1].id == "a.parquet#i3"
    assert "row 2: 'text' must be a string, found null" in complaint(path)
    assert "no column 'body'; its columns are: text, id" in complaint(path, text_field="body")
    pyarrow.parquet.write_table(pyarrow.table({"text": [[1]]}), path)
    assert "must be a string, found a list" in complaint(path)
    path.write_bytes(path.read_bytes()[:-30])
    assert "is no whole parquet file" in complaint(path, 0.5)
    broken = pyarrow.Array.from_buffers(
        pyarrow.string(),
        1,
        [None, pyarrow.py_buffer(b"\0\0\0\0\1\0\0\0"), pyarrow.py_buffer(b"\xff")],
    )
    pyarrow.parquet.write_table(pyarrow.table({"text": broken}), path)
    assert "row 1: 'text' is not UTF-8 text" in complaint(path)


@pytest.mark.parametrize("pattern", ["", "**/*.txt", "**"])
def test_circles_of_links_are_not_walked(tmp_path: Path, pattern: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.txt").write_text("x")
    for number in range(3):
        (tmp_path / "a" / f"loop{number}").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "itself.txt").symlink_to(tmp_path / "itself.txt")
    assert [name for _, name in corpus_files(str(tmp_path / pattern))] == ["a/x.txt"]


def test_any_file_name_will_do(tmp_path: Path) -> None:
    names = ["a b.txt", "a\nb.txt", "ü;$(x).txt"]
    for name in names:
        (tmp_path / name).write_text("x")
    with open(os.fsencode(tmp_path) + b"/\xff.txt", "w") as file:
        file.write("x")
    found = [document.id for document in read_documents(str(tmp_path))]
    assert found == sorted([*(f"{name}#1" for name in names), "\\xff.txt#1"])


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    class Pipe:
        buffer = io.BytesIO(b'{"text": "x"}\n')

    monkeypatch.setattr("sys.stdin", Pipe)
    [document] = read("-.jsonl")
    assert (document.id, document.source) == ("stdin.jsonl#1", "-.jsonl")
    Pipe.buffer = io.BytesIO(b"text")
    assert read("-")[0].text == "text"


@pytest.mark.filterwarnings("ignore")
def test_hugging_face_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    rows = datasets.Dataset.from_dict({"text": TEXTS, "url": ["u0", "u1", "u2"]})
    datasets.DatasetDict({"train": rows, "test": rows.select([2])}).save_to_disk(tmp_path / "saved")
    assert [document.text for document in read(f"hf:{tmp_path}/saved")] == TEXTS
    [only] = read(f"hf:{tmp_path}/saved::test", metadata_fields=("url",))
    assert (only.text, only.metadata) == (TEXTS[2], {"url": "u2"})
    (tmp_path / "folder").mkdir()
    rows.to_parquet(tmp_path / "folder" / "train.parquet")
    assert [document.text for document in read(f"hf:{tmp_path}/folder")] == TEXTS
    assert "expected hf:NAME" in complaint("hf:a:b:c:d")
    assert "cannot be read" in complaint(f"hf:{tmp_path}/nowhere")
