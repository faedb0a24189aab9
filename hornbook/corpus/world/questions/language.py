"""Past and spell: questions about words instead of facts."""

from typing import NamedTuple

from hornbook.corpus.world.grammar import capital
from hornbook.corpus.world.lexicon import (
    ADULTS,
    ANIMALS,
    CHILDREN,
    PLACES,
    SPELLING_WORDS,
)
from hornbook.corpus.world.predicates import animal_predicate, predicate
from hornbook.corpus.world.questions.question import Question
from hornbook.corpus.world.state import World
from hornbook.corpus.world.verbs import (
    COMPLETE,
    WEATHER,
    Verb,
)

FEELINGS = ["happy", "tired", "hungry", "cold", "sad", "angry", "late", "ill", "wet", "afraid"]


def spell(w: World) -> Question:
    """A word's letters with hyphens between them."""
    word = w.draw(SPELLING_WORDS)
    return Question(
        w.pick(
            f"Spell the word {word}.",
            f"Spell {word}.",
            f"How do you spell {word}?",
            f"How is {word} spelled?",
            f"Write {word} letter by letter.",
            f"Write the letters of the word {word}.",
            f"Which letters does {word} have?",
            f"Can you spell {word}?",
            f"Please spell {word}.",
            f"Spell out the word {word}.",
            f"Say the letters of {word}.",
            f"Split {word} into its letters.",
        ),
        "",
        "-".join(word),
    )


class _Subject(NamedTuple):
    text: str
    pronoun: str
    """"he", "she", "it" or "they"; the last takes the base form and "are"."""


def past(w: World) -> Question:
    """A sentence in the present, to be put in the past."""
    now, then = _sentence(w)
    return Question(
        w.pick(
            "Rewrite the sentence in the past tense.",
            "Put this sentence in the past.",
            "Change the sentence to the past tense.",
            "Write the sentence as if it happened yesterday.",
        ),
        capital(now),
        capital(then),
    )


def _sentence(w: World) -> tuple[str, str]:
    subject = _subject(w)
    if subject.pronoun == "it":
        now, then = _clause(subject, animal_predicate(w))
        return f"{now}.", f"{then}."
    verb = predicate(w)
    now, then = _clause(subject, verb)
    second = w.draw(COMPLETE)
    form = w.number(0, 7)
    if form == 0:
        return f"{now}.", f"{then}."
    if form == 1:
        finite = second.base if subject.pronoun == "they" else second.third
        return f"{now} and {finite} {second.rest}.", f"{then} and {second.past} {second.rest}."
    if form == 2:
        while_now, while_then = w.draw(WEATHER)
        return f"when {while_now}, {now}.", f"when {while_then}, {then}."
    if form == 3:
        lead = w.pick("every morning", "every day", "in the evening", "every Sunday", "at noon")
        return f"{lead}, {now}.", f"{lead}, {then}."
    if form == 4:
        other_now, other_then = _clause(_subject(w), second)
        link = w.pick(", but", ", and", " while")
        return f"{now}{link} {other_now}.", f"{then}{link} {other_then}."
    if form == 5:
        does = "do" if subject.pronoun == "they" else "does"
        rest = f"{verb.base} {verb.rest}."
        return f"{subject.text} {does} not {rest}", f"{subject.text} did not {rest}"
    place = w.draw(PLACES).at
    is_now, was = ("are", "were") if subject.pronoun == "they" else ("is", "was")
    feeling = w.pick(*FEELINGS)
    if form == 6:
        return (
            f"{subject.text} {is_now} {place}, because {subject.pronoun} {is_now} {feeling}.",
            f"{subject.text} {was} {place}, because {subject.pronoun} {was} {feeling}.",
        )
    return (
        f"{now}, because {subject.pronoun} {is_now} {feeling}.",
        f"{then}, because {subject.pronoun} {was} {feeling}.",
    )


def _clause(subject: _Subject, verb: Verb) -> tuple[str, str]:
    finite = verb.base if subject.pronoun == "they" else verb.third
    return f"{subject.text} {finite} {verb.rest}", f"{subject.text} {verb.past} {verb.rest}"


def _subject(w: World) -> _Subject:
    person = w.draw(CHILDREN)
    roll = w.random()
    if roll < 0.55:
        return _Subject(person.name, person.he)
    if roll < 0.7:
        adult = w.draw(ADULTS)
        return _Subject(adult.name, adult.he)
    if roll < 0.9:
        return _Subject(f"{person} and {w.draw_other(CHILDREN, person)}", "they")
    if roll < 0.95:
        return _Subject(w.animal(ANIMALS).the, "it")
    pronoun = w.pick("he", "she", "they")
    return _Subject(pronoun, pronoun)
