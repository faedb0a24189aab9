"""Verbs with something after them: "goes to the mill", "eats three apples"."""

from hornbook.corpus.world.lexicon import ANIMALS, FRUIT, OUTDOORS, PLACES, Person
from hornbook.corpus.world.state import World
from hornbook.corpus.world.verbs import COMPLETE, FEED, HANDLE, MOTION, STAY, TEND, Verb

COMPARED = (
    ("faster", "fastest", "slowest"),
    ("taller", "tallest", "shortest"),
    ("older", "oldest", "youngest"),
    ("stronger", "strongest", "weakest"),
)
"""What is said of one against another, and of the first and the last of several."""


def predicate(w: World) -> Verb:
    """What a person does."""
    roll = w.number(0, 5)
    if roll == 0:
        return w.draw(MOTION).with_rest(w.draw(OUTDOORS).to)
    if roll == 1:
        return w.draw(STAY).with_rest(w.draw(PLACES).at)
    if roll == 2:
        thing = w.thing()
        return w.draw(HANDLE).with_rest(w.pick(thing.the, thing.a))
    if roll == 3:
        return w.draw(FEED).with_rest(w.draw(FRUIT).of[w.number(2, 9)])
    if roll == 4:
        return w.draw(TEND).with_rest(w.animal(ANIMALS).the)
    return w.draw(COMPLETE)


def animal_predicate(w: World) -> Verb:
    """What animals do as well as people."""
    if w.chance(0.5):
        return w.pick(MOTION[1], MOTION[2], MOTION[5]).with_rest(w.draw(OUTDOORS).to)
    return w.draw(STAY).with_rest(w.draw(PLACES).at)


def chain(w: World, top: Person, middle: Person, last: Person, more: str) -> str:
    """Two sentences that put three people in order, in either sequence."""
    first, second = f"{top} is {more} than {middle}.", f"{middle} is {more} than {last}."
    return f"{first} {second}" if w.chance(0.5) else f"{second} {first}"
