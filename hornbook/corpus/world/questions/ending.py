"""Finish: scenes whose last sentence follows from what was told."""

from hornbook.corpus.world import events
from hornbook.corpus.world.grammar import NUMBERS, capital
from hornbook.corpus.world.lexicon import (
    BY_NOUN,
    INDOOR_SPOTS,
    INDOORS,
    OUTDOOR_SPOTS,
    PETS,
    PLACES,
)
from hornbook.corpus.world.questions.counting import CHEAP_NOUNS
from hornbook.corpus.world.questions.question import Question, cast, setting
from hornbook.corpus.world.state import World

NEEDS = (
    ("hungry", "some bread", "ate the bread"),
    ("thirsty", "a glass of water", "drank the water"),
    ("tired", "a soft bed", "went to bed"),
    ("cold", "a warm fire", "sat down by the fire"),
    ("wet", "a dry coat", "put on the coat"),
    ("bored", "a new book", "read the book"),
    ("dirty", "a tub of hot water", "took a bath"),
    ("ill", "a bottle of medicine", "took the medicine"),
)
"""How somebody feels, what is at hand, and what they do with it."""


def finish(w: World) -> Question:
    """The last sentence of a scene; the instruction says what it must tell."""
    setting(w)
    return w.pick(_sleep, _gift, _winner, _found, _bought, _need)(w)


def _ask(w: World, what: str) -> str:
    return w.pick(
        f"Finish the story with {what}.",
        f"Write the last sentence: say {what}.",
        f"End the story with {what}.",
    )


def _sleep(w: World) -> Question:
    first_kind = w.draw(PETS)
    second_kind = w.draw_other(PETS, first_kind)
    animals = (w.draw(first_kind), w.draw(second_kind))
    place = w.draw(PLACES)
    places = (place, w.draw_other(PLACES, place))
    for animal, liked in zip(animals, places, strict=True):
        w.say(
            w.pick(
                f"{animal.the} liked to sleep {liked.at}.",
                f"{animal.the} had its bed {liked.at}.",
                f"{animal.the} always slept {liked.at}.",
            )
        )
    w.say(w.pick("Night came.", "Then it grew dark.", "In the evening they were tired."))
    which = w.number(0, 1)
    animal, liked = animals[which], places[which]
    return Question(
        _ask(w, f"where {animal.short} slept"),
        w.text,
        f"{capital(animal.short)} slept {liked.at}.",
    )


def _gift(w: World) -> Question:
    maker, star, other = cast(w, 3)
    thing = w.thing()
    w.say(
        w.pick(
            f"{maker} made {thing.a} for {star}. {other} helped.",
            f"{star} had a birthday. {maker} and {other} bought {thing.a}.",
            f"it was {star}'s birthday. {other} helped {maker} to make {thing.a}.",
            f"{maker} wanted to give {star} {thing.a}. {other} knew about it.",
        )
    )
    w.say(w.pick("Then the day came.", "They wrapped it in paper.", "Everybody was happy."))
    return Question(_ask(w, f"who got {thing.short}"), w.text, f"{star} got {thing.short}.")


def _winner(w: World) -> Question:
    people = cast(w, 3)
    top, middle, last = people
    w.say(
        w.pick(
            f"{top}, {middle} and {last} had a race.",
            f"{last}, {top} and {middle} had a race.",
            f"{middle}, {last} and {top} had a race.",
        )
    )
    w.say(
        w.pick(
            f"{middle} was fast, but {top} was faster. {last} was slow.",
            f"{last} fell. {middle} was first for a while, but then {top} went past {middle.him}.",
            f"{last} got tired, and {middle} lost a shoe. {top} ran on.",
            f"{middle} and {last} stopped to rest, but {top} did not stop.",
        )
    )
    return Question(_ask(w, "who won"), w.text, f"{top} won the race.")


def _found(w: World) -> Question:
    hider, seeker = cast(w, 2)
    thing, other = w.thing(), w.thing()
    spot = w.draw(INDOOR_SPOTS + OUTDOOR_SPOTS)
    wrong = w.draw_other(INDOOR_SPOTS + OUTDOOR_SPOTS, spot)
    events.put(w, hider, thing, spot)
    if w.chance(0.5):
        events.put(w, hider, other, wrong)
    w.say(
        w.pick(
            f"later, {seeker} looked for {thing.the}.",
            f"{seeker} came and wanted {thing.the}.",
            f"then {seeker} needed {thing.the} and looked for it.",
        )
    )
    return Question(
        _ask(w, f"where {seeker} found {thing.short}"),
        w.text,
        f"{seeker} found {thing.short} {spot}.",
    )


def _bought(w: World) -> Question:
    (who,) = cast(w, 1)
    first = w.draw(BY_NOUN[w.draw(CHEAP_NOUNS)])
    second = w.draw(BY_NOUN[w.draw_other(CHEAP_NOUNS, first.noun)])
    low = w.number(2, 6)
    high = w.number(low + 2, 9)
    has = w.number(low, high - 1)
    cheap, dear = first, second
    offers = [f"{cheap.a} cost {NUMBERS[low]} coins", f"{dear.a} cost {NUMBERS[high]} coins"]
    if w.chance(0.5):
        offers.reverse()
    place = w.pick("in the shop", "at the market")
    w.say(f"{place}, {offers[0]} and {offers[1]}.")
    w.say(
        w.pick(
            f"{who} had only {NUMBERS[has]} coins.",
            f"{who} had {NUMBERS[has]} coins and wanted to buy something.",
        )
    )
    return Question(_ask(w, f"what {who} bought"), w.text, f"{who} bought {cheap.short}.")


def _need(w: World) -> Question:
    people = cast(w, 2)
    first = w.draw(NEEDS)
    second = w.draw_other(NEEDS, first)
    place = w.draw(INDOORS).at
    at_hand = [first[1], second[1]]
    if w.chance(0.5):
        at_hand.reverse()
    w.say(f"{place} there were {at_hand[0]} and {at_hand[1]}.".replace("were", "was", 1))
    who = people[0]
    w.say(
        w.pick(
            f"{who} was very {first[0]}.",
            f"{who} came in and was {first[0]}.",
            f"{who} had worked all day and was {first[0]}."
            if first[0] != "bored"
            else f"{who} was alone and bored.",
        ),
        who,
    )
    if w.chance(0.4):
        w.say(f"{people[1]} was {second[0]}.", people[1])
    return Question(_ask(w, f"what {who} did"), w.text, f"{who} {first[2]}.")
