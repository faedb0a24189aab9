"""Characters are normalized and repaired, and nothing that is meant is touched."""

import re
import unicodedata
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.corpus.quality.unicode import (
    CONTROL,
    KIND,
    NO_CHARACTER,
    ODD,
    PLAIN,
    has_suspects,
    is_suspect,
    normalize,
    repair,
)
from hornbook.corpus.quality.view import Changed, Removed, View

ftfy = pytest.importorskip("ftfy")

MEANT = [
    "Plain ASCII, with tabs\tand\nlines.",
    "“Curly”, naïve café: 50 € – Ärger, ¿señor? № ½ ² ﬁ Ａ",
    "Привет, мир. Ἀρχή. שלום. नमस्ते दुनिया. 你好，世界。 안녕하세요",
    "🙂 👩‍👩‍👧 ÂÃ alone, Ã\u0303",
    "Über Åland, Ça va? Él y Ñandú.",
]
WRONG_ENCODINGS = ["latin-1", "cp1252", "cp1251", "mac_roman", "cp437"]


def after(text: str, mode: object = repair) -> str | None:
    found = mode(View(text))  # type: ignore[operator]
    if isinstance(found, Removed):
        return None
    return found.text if isinstance(found, Changed) else text


@pytest.mark.parametrize("text", MEANT)
def test_what_is_meant_stays(text: str) -> None:
    text = unicodedata.normalize("NFC", text)
    assert normalize(View(text)) is None
    assert repair(View(text)) is None


@pytest.mark.parametrize("encoding", WRONG_ENCODINGS)
def test_wrong_decodings_are_undone_line_by_line(encoding: str) -> None:
    line = "“So naïve – a café’s Ärger”, she said to the señor"
    try:
        broken = line.encode().decode(encoding)
    except UnicodeDecodeError:
        broken = line.encode().decode(f"sloppy-{encoding.replace('cp', 'windows-')}")
    found = repair(View(f"“Fine”\n{broken}\nPlain"))
    assert isinstance(found, Changed)
    assert found.text == f"“Fine”\n{line}\nPlain"
    assert found.why == "1 line wrongly decoded"


def test_a_blank_where_a_no_break_space_was() -> None:
    assert after("voilÃ  le travail") == "voilà le travail"


@settings(deadline=None, max_examples=300)
@given(st.text("abcé’ñ–Яж中🙂 ", max_size=12), st.sampled_from(WRONG_ENCODINGS))
def test_no_line_that_ftfy_would_repair_is_passed_over(text: str, encoding: str) -> None:
    for line in (text, text.encode().decode(encoding, "ignore").replace("\xa0", " ")):
        if ftfy.fix_encoding(line) != line:
            assert is_suspect(line)


@given(st.text("aé’Ã \n", max_size=8))
def test_a_line_is_suspect_for_two_signs_beyond_ascii_or_one_and_a_blank(text: str) -> None:
    pairs = [one + two for one, two in pairwise(text) if not one.isascii()]
    assert is_suspect(text) is any(p == "Ã " or not p[1].isascii() for p in pairs)
    assert has_suspects(View(text)) is is_suspect(text)


def test_plain_characters_are_in_normal_form_beside_any_other() -> None:
    plain = [chr(code) for code in np.flatnonzero(KIND == PLAIN)]
    odd = [chr(code) for code in np.flatnonzero(KIND == ODD)]
    replaced = (CONTROL, NO_CHARACTER, re.compile("[\u2028\u2029]"))
    assert odd == [s for s in map(chr, range(2**16)) if any(p.match(s) for p in replaced)]
    assert all(unicodedata.normalize("NFC", sign) == sign for sign in plain)
    for before, sign in ((one, two) for one in "aAe’—" for two in plain):
        assert unicodedata.is_normalized("NFC", before + sign)


@given(st.text("aé’e\u0301\x00\r\n\u2028\ufeff\x85\x7f\t", max_size=8))
def test_what_is_left_as_it_is_is_in_normal_form(text: str) -> None:
    plain = text.replace("\r\n", "\n").translate(
        {0: None, 13: "\n", 0x85: "\n", 0x2028: "\n", 0xFEFF: None, 0x7F: None}
    )
    assert (after(text, normalize) or "").strip() == unicodedata.normalize("NFC", plain).strip()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cafe\u0301", "café"),
        ("a\r\nb\rc\x85d\u2028e\u2029f", "a\nb\nc\nd\ne\n\nf"),
        ("a\x00b\x07\x0b\x0cc\x7f\x9fd\ufeff", "abcd"),
        ("\ud800x\uffff", "x"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("\x00\x01", None),
        ("", ""),
    ],
)
def test_normal_form(text: str, expected: str | None) -> None:
    assert after(text, normalize) == expected
    assert after(text, repair) == expected
