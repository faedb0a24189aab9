"""`make_story(seed, index)`: a story as a pure function of two integers."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hornbook.corpus.world import coda
from hornbook.corpus.world.plots import (
    contest,
    errand,
    gift,
    helping,
    lost,
    market,
    mischief,
    mystery,
    quarrel,
    school,
    storm,
    trip,
)
from hornbook.corpus.world.state import Fact, World

PLOTS: dict[str, Callable[[World], None]] = {
    "contest": contest.tell,
    "errand": errand.tell,
    "gift": gift.tell,
    "help": helping.tell,
    "lost": lost.tell,
    "market": market.tell,
    "mischief": mischief.tell,
    "mystery": mystery.tell,
    "quarrel": quarrel.tell,
    "school": school.tell,
    "storm": storm.tell,
    "trip": trip.tell,
}
GENRES = tuple(PLOTS)
_64_BITS = (1 << 64) - 1
CODA_SHARE = 0.8
"""How many stories end with a question about what was told."""


@dataclass(frozen=True, slots=True)
class Story:
    """A story with what it is about.

    `facts` are the changes of the world in the order in which the text tells them.
    """

    text: str
    genre: str
    sentences: tuple[str, ...]
    facts: tuple[Fact, ...]


def random_of(seed: int, index: int) -> random.Random:
    """The generator of story `index`: neighbouring indexes and seeds share nothing.

    The two are mixed by the finalizer of SplitMix64 (Steele, Lea, Flood 2014).
    """
    state = (seed * 0xD1342543DE82EF95 + index * 0x9E3779B97F4A7C15) & _64_BITS
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _64_BITS
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _64_BITS
    return random.Random(state ^ (state >> 31))


def make_story(seed: int, index: int) -> Story:
    """The story of this seed and index: always the same, and independent of every other.

    Genres take turns, so any run of `len(GENRES)` indexes has one of each.
    """
    world = World(random_of(seed, index))
    genre = GENRES[index % len(GENRES)]
    PLOTS[genre](world)
    if world.chance(CODA_SHARE):
        coda.talk(world)
    return Story(world.text, genre, tuple(world.sentences), tuple(world.facts))


def stories(seed: int, start: int, stop: int) -> Iterator[Story]:
    """The stories `start` to `stop - 1`."""
    return (make_story(seed, index) for index in range(start, stop))
