"""Texts in the languages wanted stay, and others go."""

import pickle

import pytest

from hornbook.corpus.quality.language import Language, sample
from hornbook.corpus.quality.view import View
from hornbook.errors import HornbookError

pytest.importorskip("py3langid")

TEXTS = {
    "en": "All human beings are born free and equal in dignity and rights, and they should act "
    "towards one another in a spirit of brotherhood.",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren und sollen einander im "
    "Geist der Brüderlichkeit begegnen.",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits et doivent agir "
    "les uns envers les autres dans un esprit de fraternité.",
    "ru": "Все люди рождаются свободными и равными в своём достоинстве и правах.",
    "zh": "人人生而自由，在尊严和权利上一律平等。",
}


@pytest.fixture(scope="module")
def english() -> Language:
    return Language(("en",), 0.65)


@pytest.mark.parametrize("code", TEXTS)
def test_languages_are_told_apart(english: Language, code: str) -> None:
    found, probability = english.identify(TEXTS[code])
    assert found == code
    assert 0.65 < probability <= 1
    verdict = english(View(TEXTS[code]))
    assert (verdict is None) is (code == "en")
    assert verdict is None or verdict.why == f"language {code} ({probability:.2f})"


def test_the_threshold_itself_is_enough(english: Language) -> None:
    probability = english.identify(TEXTS["en"])[1]
    assert Language(("en", "de"), probability)(View(TEXTS["en"])) is None
    if probability < 1:
        higher = probability + (1 - probability) / 2
        verdict = Language(("en", "de"), higher)(View(TEXTS["en"]))
        assert verdict is not None
        assert "below" in verdict.why


@pytest.mark.parametrize("text", ["", "   ", "12345 !!!", "\x00"])
def test_no_language_at_all_is_not_sure_enough(english: Language, text: str) -> None:
    assert english(View(text)) is not None


def test_other_processes_get_no_copy_of_the_model(english: Language) -> None:
    sent = pickle.dumps(english)
    assert len(sent) < 1000
    assert pickle.loads(sent)(View(TEXTS["en"])) is None


def test_an_unknown_language_is_an_error() -> None:
    with pytest.raises(HornbookError, match=r"'english' is none of the languages .*\ben\b"):
        Language(("english",), 0.5)


def test_of_a_long_text_three_pieces_are_looked_at() -> None:
    assert sample("x" * 300) == "x" * 300
    long = "a" * 500 + "b" * 500 + "c" * 500
    assert sample(long) == " ".join(letter * 100 for letter in "abc")
