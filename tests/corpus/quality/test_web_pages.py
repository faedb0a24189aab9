"""C4's and FineWeb's rules, each with a text at its threshold, just below and just above."""

from pathlib import Path

import pytest

from hornbook.corpus.quality.c4 import C4Settings, c4_judges
from hornbook.corpus.quality.fineweb import FineWebSettings, fineweb_judges
from hornbook.corpus.quality.view import Changed, Removed, View
from hornbook.errors import HornbookError

C4 = c4_judges(C4Settings())
FINEWEB = fineweb_judges(FineWebSettings())


def left(name: str, text: str) -> str | None:
    """What a filter of C4 leaves of a text."""
    found = C4[f"c4-{name}"](View(text))
    if isinstance(found, Removed):
        return None
    return found.text if isinstance(found, Changed) else text


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("braces", "int main() { }", None),
        ("braces", "a } [b] (c)", "a } [b] (c)"),
        ("lorem-ipsum", "Here: Lorem IPSUM dolor.", None),
        ("lorem-ipsum", "lorem, ipsum", "lorem, ipsum"),
        ("citations", "So [1] it [23] is [] said[citation needed].", "So  it  is  said."),
        ("citations", "History[edit] [note] [1a]", "History [note] [1a]"),
        ("terminal-punctuation", 'One.\nTwo!\nThree?\n“Four.”\n"Five."', ...),
        ("terminal-punctuation", "Home\n\nA line.\nRead on...\nThen: \nEnd. ", "\nA line.\nEnd. "),
        ("terminal-punctuation", "Home\nAbout", None),
        (
            "short-lines",
            "One two three four.\nOne two three four five.",
            "One two three four five.",
        ),
        ("short-lines", "a b c d e f\n\n a  b c d e ", ...),
        ("javascript", "Enable JavaScript now.\nText.", "Text."),
        ("javascript", "Enable javascripts", None),
        ("javascript", "Java and scripts.", ...),
        ("policies", "We USE cookies.\nText.\nSee our Privacy Policy.", "Text."),
        ("policies", "We eat cookies, a policy of ours.", ...),
        ("policies", "We use coo\u212aies.\nText.", "Text."),  # a Kelvin sign
        ("javascript", "Enable JAVASCR\u0130PT.", ...),
        ("sentences", "One. Two!", None),
        ("sentences", "One. Two! Three?", ...),
        ("sentences", "One (so.) Two “so!” Three. Four.", ...),
        ("sentences", "Version 1.2.3 costs 4.50", None),
        ("sentences", "", None),
    ],
)
def test_c4(name: str, text: str, expected: str | None) -> None:
    assert left(name, text) == (text if expected is ... else expected)


def test_c4_says_what_it_left_out() -> None:
    found = C4["c4-terminal-punctuation"](View("Home\nA line.\n\nHome\n" + "x" * 99))
    assert isinstance(found, Changed)
    assert found.why == "3 lines left out, such as 'Home'"


def test_bad_words_come_from_a_file_of_the_users(tmp_path: Path) -> None:
    assert "c4-bad-words" not in C4
    path = tmp_path / "words.txt"
    path.write_text("Darn\n\n what the heck \nc++\n")
    judge = c4_judges(C4Settings(bad_words=str(path)))["c4-bad-words"]
    for text, gone in [
        ("Oh, DARN!", True),
        ("He darned his socks.", False),
        ("But what the heck?", True),
        ("What the heckler said.", False),
        ("I write C++.", True),
        ("", False),
    ]:
        assert (judge(View(text)) is not None) is gone, text


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe"])
def test_a_file_of_bad_words_that_cannot_be_used(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "words.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(HornbookError, match=r"^quality\.c4\.bad_words: .*words\.txt"):
        c4_judges(C4Settings(bad_words=str(path)))


def lines(*counts: tuple[int, str]) -> str:
    """Lines that are all different: `count` of each kind."""
    return "\n".join(f"{n}{kind[0] * 40}{kind}" for count, kind in counts for n in range(count))


@pytest.mark.parametrize(
    ("name", "text", "gone"),
    [
        # removed at 12 % or fewer lines that end with punctuation
        ("punctuation", lines((11, "a."), (89, "b")), True),
        ("punctuation", lines((3, "a."), (22, "b")), True),
        ("punctuation", lines((13, "a。"), (87, "b")), False),
        ("punctuation", "", False),
        # removed at 67 % or more lines of fewer than 30 characters
        ("short-lines", "x" * 29 + "\n" + "\n".join(["x" * 29] * 65 + ["x" * 30] * 34), False),
        ("short-lines", "\n\n".join(["x" * 29] * 67 + ["x" * 30] * 33), True),
        ("short-lines", "\n".join([" " + "x" * 29] * 68 + ["x" * 30] * 32), True),
        # removed at 10 % or more of the characters in lines that came before
        ("duplicate-lines", "\n".join(["a" * 799, "b" * 100, "b" * 100]), True),
        ("duplicate-lines", "\n".join(["a" * 800, "b" * 100, "b" * 100]), True),
        ("duplicate-lines", "\n".join(["a" * 801, "b" * 100, "b" * 100]), False),
        ("duplicate-lines", "\n".join(["a", "b"]), False),
        ("duplicate-lines", "", False),
    ],
)
def test_fineweb(name: str, text: str, gone: bool) -> None:
    assert (FINEWEB[f"fineweb-{name}"](View(text)) is not None) is gone
