"""Files in parts: whatever they are cut into, the documents and what is bad are those of the whole."""

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hornbook.corpus import plain
from hornbook.corpus.document import Document
from hornbook.corpus.formats import Reading, TornError
from hornbook.corpus.quarantine import Quarantine
from hornbook.corpus.readers import CorpusSettings, corpus_files, read_corpus
from hornbook.corpus.units import plan, read_unit
from hornbook.errors import HornbookError

LIMIT = 60
TEXT = (
    b"\xef\xbb\xbfOne.\n<|endoftext|>\n \n\xc2\xa0\n<|endoftext|> \t\r\nTwo <|endoftext|>\n<|endoftext|>x\n"
    + (
        b"<|endoftext|>\n" + b"long " * 20 + b"\n<|endoftext|>\nbad \xff\n<|endoftext|>\nnul \0\n"
        b"<|endoftext|>\r\nThree\r\n\r\n<|endoftext|>"
    )
)
CSV = (
    b'\n"bad"row,x\nid,text\n1,"Two\nlines, ""quoted"" 5"""\n2,plain\n3\n4,"\xff"\n5,"nul\n\0\n more"\n'
    b'6,"' + b"long " * 20 + b'"\n7,""\n8,"a\r\nb"\n\n9,last'
)
TSV = CSV.replace(b'"bad"row,x', b"nul\0").replace(b",", b"\t")


class Noted(Quarantine):
    """Keeps what is refused."""

    def __init__(self) -> None:
        super().__init__(max_bad_share=0.99)
        self.notes: list[tuple[str, int | None, str, int]] = []

    def refuse(self, file: str, line: int | None, error: HornbookError, lines: int = 1) -> None:
        self.notes.append((file, line, str(error), lines))

    def judge(self) -> None:
        pass


def whole(path: Path) -> tuple[list[Document], Noted]:
    noted = Noted()
    corpus = CorpusSettings(source=str(path), max_document_bytes=LIMIT)
    return list(read_corpus(corpus, noted)), noted


def in_parts(path: Path, unit_bytes: int) -> tuple[list[Document], Noted, int]:
    noted = Noted()
    units = plan(corpus_files(str(path)), unit_bytes, LIMIT)
    reading = Reading(str(path), noted, max_document_bytes=LIMIT)
    return [document for unit in units for document in read_unit(unit, reading)], noted, len(units)


@pytest.mark.parametrize(
    ("name", "content", "most"),
    [("a.txt", TEXT, 7), ("a.md", TEXT, 7), ("a.csv", CSV, 10), ("a.tsv", TSV, 15)],
)
def test_hostile_files(tmp_path: Path, name: str, content: bytes, most: int) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    documents, noted = whole(path)
    assert len(documents) >= 2
    assert len(noted.notes) >= 3
    for unit_bytes in (1, 10, 50, 150, len(content)):
        found, refused, units = in_parts(path, unit_bytes)
        assert found == documents
        assert refused.notes == noted.notes
        assert refused.good == noted.good
        assert units >= (most if unit_bytes == 1 else 1)


PARTS = ["<|endoftext|>", "\n", " ", "\r\n", "a", "é", "<|endof", "text|>", "\xa0", "\0", "b" * 40]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(
    parts=st.lists(st.sampled_from(PARTS), max_size=30),
    block=st.integers(1, 40),
    unit_bytes=st.integers(1, 60),
)
def test_any_text_however_it_is_read(
    tmp_path: Path, parts: list[str], block: int, unit_bytes: int
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("".join(parts).encode())
    documents, noted = whole(path)
    before = plain.BLOCK
    plain.BLOCK = block
    try:
        assert whole(path)[0] == documents
        found, refused, _ = in_parts(path, unit_bytes)
    finally:
        plain.BLOCK = before
    assert (found, refused.notes) == (documents, noted.notes)
    # And as one reads it line by line.
    pieces: list[list[str]] = [[]]
    for line in "".join(parts).splitlines(keepends=True) if "\0" not in parts else ():
        if line.rstrip(" \t\r\n") == plain.SEPARATOR and "\xa0" not in line:
            pieces.append([])
        else:
            pieces[-1].append(line)
    texts = ["".join(piece).replace("\r\n", "\n") for piece in pieces]
    cut = [text.removesuffix("\n") for text in texts[:-1]] + texts[-1:]
    if "\0" not in parts and all(len(text.encode()) < LIMIT - 9 for text in texts):
        assert [document.text for document in documents] == [text for text in cut if text.strip()]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(
    parts=st.lists(st.sampled_from(['"', ",", "\n", "a", '"a,\n"', "\r\n", '""']), max_size=40),
    unit_bytes=st.integers(1, 30),
)
def test_a_table_in_parts_is_the_whole_or_says_that_it_is_torn(
    tmp_path: Path, parts: list[str], unit_bytes: int
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,text\n" + "".join(parts), newline="")
    documents, noted = whole(path)
    try:
        found, refused, _ = in_parts(path, unit_bytes)
    except TornError:
        return
    assert (found, refused.notes) == (documents, noted.notes)


def test_a_table_as_it_should_be_is_never_torn(tmp_path: Path) -> None:
    chance = random.Random(1)
    texts = ["".join(chance.choices('ab ,"\n', k=20)) + "." for _ in range(200)]
    path = tmp_path / "a.csv"
    rows = ['{},"{}"\r\n'.format(n, text.replace('"', '""')) for n, text in enumerate(texts)]
    path.write_text("id,text\r\n" + "".join(rows), newline="")
    found, refused, units = in_parts(path, 200)
    assert [document.text for document in found] == texts
    assert units > 10
    assert not refused.notes


def test_parquet_is_cut_between_row_groups(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    texts = [f"text {n}" if n % 7 else None for n in range(100)]
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"text": texts}), path, row_group_size=10)
    documents, noted = whole(path)
    for unit_bytes, expected in ((1, 10), (200, 5), (10**6, 1)):
        found, refused, units = in_parts(path, unit_bytes)
        assert (found, refused.notes) == (documents, noted.notes)
        assert units <= expected
    assert len(documents) == 85
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(HornbookError, match="no whole parquet file"):
        in_parts(path, 1)
