"""Stop strings, wherever the pieces are cut."""

from hypothesis import given
from hypothesis import strategies as st

from hornbook.inference.stops import AnswerText, StopStrings
from hornbook.tokenizing.settings import TokenizerSettings
from hornbook.tokenizing.tokenizer import Tokenizer

TEXT = st.text("abc", max_size=30)


@given(TEXT, st.lists(st.text("abc", min_size=1, max_size=4), max_size=3), st.data())
def test_the_text_is_cut_before_the_first_stop_string(
    text: str, stops: list[str], data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    found, out = StopStrings(stops), ""
    for piece in pieces:
        out += found.add(piece)
        assert text.startswith(out)
        assert not any(stop in out for stop in stops)
    out += found.finish()
    # the earliest end of a stop string is where it is known
    ends = [text.find(stop) + len(stop) for stop in stops if stop in text]
    assert (found.found is None) == (not ends)
    if not ends:
        assert out == text
    else:
        assert found.found is not None
        assert text.startswith(out + found.found)


def test_nothing_waits_that_cannot_become_a_stop_string() -> None:
    stops = StopStrings(["\n\nHuman:"])
    assert stops.add("Hello\n") == "Hello"
    assert stops.add("\nHu") == ""
    assert stops.add("ge.") == "\n\nHuge."
    assert stops.add(" Bye.\n\nHuman: more") == " Bye."
    assert stops.found == "\n\nHuman:"
    assert stops.add("x") == stops.finish() == ""


def test_answers_keep_characters_whole_and_may_be_stripped() -> None:
    text = "  Äpfel 🍎🍏 – süß!\n"
    tokenizer = Tokenizer.train([text], TokenizerSettings(vocab_size=300))
    ids = tokenizer.encode(text)
    for strip in (False, True):
        answer = AnswerText(tokenizer, ["\n\n"], strip=strip)
        pieces = [answer.add(token) for token in ids]
        assert not any("�" in piece for piece in pieces)
        assert not pieces[-1]  # the line break might begin a stop string
        whole = "".join(pieces) + answer.finish()
        assert whole == (text.lstrip() if strip else text)
        assert not answer.stopped
