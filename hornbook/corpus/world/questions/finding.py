"""Who and where: scenes in which people move and things change hands."""

from itertools import pairwise

from hornbook.corpus.world import events
from hornbook.corpus.world.lexicon import (
    ANIMALS,
    FOOD,
    INDOOR_SPOTS,
    OUTDOOR_SPOTS,
    PLACES,
    Person,
    Place,
)
from hornbook.corpus.world.questions.question import Question, cast, setting
from hornbook.corpus.world.state import World
from hornbook.corpus.world.verbs import HANDLE, TEND

SPOTS = INDOOR_SPOTS + OUTDOOR_SPOTS


def who(w: World) -> Question:
    """Somebody's name: who has a thing, did a deed, is somewhere."""
    setting(w)
    return w.pick(_who_has, _who_did, _who_went)(w)


def _who_has(w: World) -> Question:
    people = cast(w, w.number(2, 3))
    thing, other = w.thing(), w.thing()
    first = people[0]
    if w.chance(0.5):
        events.own(w, first, thing)
    else:
        events.find(w, first, thing, w.draw(PLACES).at)
    if w.chance(0.4):
        events.find(w, people[-1], other, w.draw(PLACES).at)
    for giver, taker in pairwise(people):
        if w.chance(0.3):
            events.go(w, giver, w.draw(PLACES))
        events.give(w, giver, taker, thing)
    if w.chance(0.3):
        events.give(w, people[-1], first, thing)
    if other in w.holder and w.chance(0.3):
        thing = other
    return Question(
        w.pick(
            f"Who has {thing.the} at the end?",
            f"Say who has {thing.the} at the end.",
            f"At the end of the story, who has {thing.the}?",
        ),
        w.text,
        w.holder[thing].name,
    )


def _who_did(w: World) -> Question:
    people = cast(w, 3)
    animal = w.animal(ANIMALS)
    thing, goods = w.thing(), w.draw(FOOD)
    number = w.number(2, 9)
    tend, handle = w.draw(TEND).past, w.draw(HANDLE).past
    eat = w.pick("ate", "bought", "sold", "counted")
    place = w.draw(PLACES).at
    deeds = [
        (f"{tend} {animal.a} {place}", f"{tend} {animal.the}"),
        (f"{handle} {thing.a}", f"{handle} {thing.the}"),
        (f"{eat} {goods.of[number]}", f"{eat} {goods.of[number]}"),
    ]
    asked = w.number(0, 2)
    turn = w.number(0, 2)
    for step in range(3):
        which = (turn + step) % 3
        lead = "" if step == 0 else w.pick("", "", "then ", "after that, ", "later, ")
        w.say(f"{lead}{people[which]} {deeds[which][0]}.", people[which])
    return Question(
        w.pick(f"Who {deeds[asked][1]}?", f"Say who {deeds[asked][1]}."),
        w.text,
        people[asked].name,
    )


def _visits(w: World) -> tuple[list[Person], list[Place]]:
    """Two or three people go to different places."""
    people = cast(w, w.number(2, 3))
    places: list[Place] = []
    for person in people:
        places.append(w.draw_other(PLACES, *places))
        events.go(w, person, places[-1])
    return people, places


def _who_went(w: World) -> Question:
    people, places = _visits(w)
    if w.chance(0.4):
        mover = w.number(0, len(people) - 1)
        places[mover] = w.draw_other(PLACES, *places)
        events.go(w, people[mover], places[mover])
    which = w.number(0, len(people) - 1)
    at = places[which].at
    return Question(
        w.pick(f"Who is {at} at the end?", f"Say who is {at} at the end."),
        w.text,
        people[which].name,
    )


def where(w: World) -> Question:
    """A place: where a thing lies or a person is at the end."""
    setting(w)
    return w.pick(_where_thing, _where_two, _where_person)(w)


def _where_thing(w: World) -> Question:
    people = cast(w, 2)
    thing = w.thing()
    events.own(w, people[0], thing)
    if w.chance(0.4):
        events.give(w, people[0], people[1], thing)
        people.reverse()
    spot = w.draw(SPOTS)
    events.put(w, people[0], thing, spot)
    if w.chance(0.5):
        events.take(w, people[1], thing, spot)
        events.put(w, people[1], thing, w.draw_other(SPOTS, spot))
    return _ask_where(w, thing.the, w.spot[thing])


def _where_two(w: World) -> Question:
    people = cast(w, 2)
    things = [w.thing(), w.thing()]
    spots: list[str] = []
    for person, thing in zip(people, things, strict=True):
        spots.append(w.draw_other(SPOTS, *spots))
        events.put(w, person, thing, spots[-1])
    if w.chance(0.4):
        events.go(w, people[0], w.draw(PLACES))
    thing = things[w.number(0, 1)]
    return _ask_where(w, thing.the, w.spot[thing])


def _where_person(w: World) -> Question:
    people, places = _visits(w)
    for _ in range(w.number(0, 2)):
        mover = people[w.number(0, len(people) - 1)]
        events.go(w, mover, w.draw_other(PLACES, *places))
    person = people[w.number(0, len(people) - 1)]
    return _ask_where(w, person.name, w.location[person])


def _ask_where(w: World, subject: str, answer: str) -> Question:
    return Question(
        w.pick(
            f"Where is {subject} at the end?",
            f"Say where {subject} is at the end.",
            f"At the end of the story, where is {subject}?",
        ),
        w.text,
        answer,
    )
