"""Text and JSONL files come out as documents, and bad ones as one clear sentence."""

import json
import tracemalloc
from pathlib import Path

import pytest

from hornbook.config import load_settings
from hornbook.corpus.readers import CorpusSettings, read_documents
from hornbook.errors import HornbookError

DATA = Path(__file__).parents[2] / "../shared/data"


def write(path: Path, content: str | bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def read(source: str | Path) -> list[tuple[str, str]]:
    return [(document.id, document.text) for document in read_documents(str(source))]


def complaint(source: str | Path) -> str:
    with pytest.raises(HornbookError) as caught:
        read(source)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_text_file_is_one_document(tmp_path: Path) -> None:
    source = write(tmp_path / "a.txt", "One line.\n\nAnother.\n")
    assert read(source) == [("a.txt#1", "One line.\n\nAnother.\n")]


def test_a_separator_line_stands_between_documents(tmp_path: Path) -> None:
    text = "<|endoftext|>\nOne.\n<|endoftext|>\r\nTwo <|endoftext|> two.\n<|endoftext|>"
    source = write(tmp_path / "a.md", text)
    assert read(source) == [("a.md#1", "One."), ("a.md#2", "Two <|endoftext|> two.")]


def test_byte_order_mark_and_crlf_are_normalized(tmp_path: Path) -> None:
    source = write(tmp_path / "a.txt", b"\xef\xbb\xbfOne\r\nTwo\r\n")
    assert read(source) == [("a.txt#1", "One\nTwo\n")]


def test_jsonl_has_a_document_a_line_named_by_line_or_id(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", '{"text": "x\\r\\ny"}\n\n{"text": "z", "id": "last"}\n')
    assert read(source) == [("a.jsonl#1", "x\ny"), ("a.jsonl#last", "z")]


def test_a_folder_is_read_in_order_without_hidden_files_and_other_kinds(tmp_path: Path) -> None:
    for name in ("b.txt", "a/z.TXT", "a/b.md", ".git/c.txt", "d.py"):
        write(tmp_path / name, name)
    assert [name for name, _ in read(tmp_path)] == ["a/b.md#1", "a/z.TXT#1", "b.txt#1"]


def test_a_pattern_names_documents_as_their_folder_would(tmp_path: Path) -> None:
    for name in ("b.txt", "a/z.txt", "a/b.md"):
        write(tmp_path / name, name)
    assert [name for name, _ in read(tmp_path / "**/*.txt")] == ["a/z.txt#1", "b.txt#1"]


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a[1].txt", "x")) == [("a[1].txt#1", "x")]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", "", "a.txt is empty; put text into it or leave it out."),
        ("a.txt", " \n\t\r\n", "a.txt is empty"),
        ("a.txt", b"\xef\xbb\xbf", "a.txt is empty"),
        ("a.txt", "<|endoftext|>\n", "a.txt has no text beside"),
        ("a.txt", b"ab\ncd\x00", "a.txt is not text: it has a NUL byte at offset 5."),
        ("a.txt", b"\xef\xbb\xbfab\ncd\xff", "byte 0xff at offset 8; save it as UTF-8."),
        ("a.txt", "Grüße".encode("latin-1"), "byte 0xfc at offset 2"),
        ("a.txt", "x".encode("utf-16"), "a.txt is UTF-16 text; save it as UTF-8."),
        (
            "a.pdf",
            "x",
            "a.pdf: unknown kind of file; a corpus is .txt, .md, .jsonl, .csv, .tsv, .html, .parquet",
        ),
        ("a.jsonl", '{"text": "x"}\n{"text": \n', "a.jsonl, line 2: not valid JSON"),
        ("a.jsonl", '\n["x"]\n', "a.jsonl, line 2: expected an object, found a list."),
        ("a.jsonl", '{"body": "x", "n": 1}', "no field 'text'; its fields are: body, n."),
        ("a.jsonl", '{"text": 3}', "'text' must be a string, found a number."),
        ("a.jsonl", '{"text": null}', "'text' must be a string, found null."),
        ("a.jsonl", '{"text": true}', "'text' must be a string, found a boolean."),
        ("a.jsonl", '{"text": " "}', "line 1: 'text' is empty"),
        ("a.jsonl", '{"text": "x", "text": "y"}', "line 1: not valid JSON: key 'text' is given"),
        ("a.jsonl", '{"text": "x", "n": NaN}', "line 1: not valid JSON: NaN is not"),
        ("a.jsonl", '{"text": "\\ud800"}', "half a surrogate pair (\\ud800)"),
        ("a.jsonl", '{"text": ' + "[" * 100_000, "line 1: JSON nested too deeply."),
        ("a.jsonl", '{"text": ' + "9" * 10_000 + "}", "line 1: not valid JSON"),
    ],
)
def test_bad_content_is_one_clear_sentence(
    tmp_path: Path, name: str, content: str | bytes, expected: str
) -> None:
    assert expected in complaint(write(tmp_path / name, content))


def test_bad_sources_are_one_clear_sentence(tmp_path: Path) -> None:
    assert "no such file" in complaint(tmp_path / "missing.txt")
    assert "no file matches" in complaint(tmp_path / "*.txt")
    assert "has no readable files; expected .txt, .md, .jsonl, .csv, .tsv" in complaint(tmp_path)
    (tmp_path / "folder.txt").mkdir()
    assert "no readable files" in complaint(tmp_path / "folder.txt")


def test_documents_are_streamed(tmp_path: Path) -> None:
    line = json.dumps({"text": "word " * 2_000}) + "\n"
    source = write(tmp_path / "a.jsonl", line * 500)  # 5 MB
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_documents(source)) == 500
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_settings_say_when_nothing_is_left_to_train_on() -> None:
    with pytest.raises(HornbookError, match="leave nothing to train on"):
        load_settings(CorpusSettings, overrides=["validation_share=0.5", "test_share=0.5"])


@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data")
def test_real_files() -> None:
    [(_, verdict)] = read(DATA / "the-verdict.txt")
    assert len(verdict) == 20_479
    [(_, plays)] = read(DATA / "tinyshakespeare.txt")
    assert plays == (DATA / "tinyshakespeare.txt").read_text(encoding="utf-8")


def test_a_table_has_one_document_a_row(tmp_path: Path) -> None:
    path = tmp_path / "messages.tsv"
    path.write_text('label\ttext\nham\tSee "you" later\nspam\tWin now\n', encoding="utf-8")
    found = list(read_documents(str(path)))
    assert [document.text for document in found] == ['See "you" later', "Win now"]
    assert [document.id for document in found] == ["messages.tsv#2", "messages.tsv#3"]
    with pytest.raises(HornbookError, match=r"no column 'SMS'; its columns are: label, text"):
        list(read_documents(str(path), "SMS"))
