"""One story while it is told: its random choices, the state of its world, and its text."""

import random
from typing import Literal, NamedTuple, TypeVar

from hornbook.corpus.world.lexicon import (
    BOYS,
    BY_NOUN,
    CHILDREN,
    GIRLS,
    THING_NOUNS,
    Animal,
    Goods,
    Person,
    Place,
    Thing,
)

T = TypeVar("T")

MIXED_SHARE = 0.75
"""How often two leading characters are a girl and a boy, so that pronouns tell them apart."""
PRONOUN_SHARE = 0.8
"""How often a pronoun is used where it is clear."""


class Fact(NamedTuple):
    """One change of the world that the text has told, in the order of telling.

    `kind` says what happened to `thing` (or to `who` for "goes" and "wins"): only "puts" and
    "goes" need a place, only "gets" and "holds" a holder.
    """

    kind: Literal["gets", "puts", "goes", "counts", "wins"]
    who: Person | None = None
    thing: Thing | None = None
    place: str = ""
    goods: Goods | None = None
    number: int = 0


class World:
    """Choices, state and sentences of one story.

    Attributes:
        holder: who has a thing now.
        spot: where a thing lies now that nobody holds ("under the bench").
        location: where a person is now ("in the mill").
        count: how many of some goods a person has now.
    """

    __slots__ = (
        "_named",
        "_other",
        "_topic",
        "_used_nouns",
        "cast",
        "count",
        "facts",
        "holder",
        "location",
        "random",
        "sentences",
        "spot",
    )

    def __init__(self, rng: random.Random) -> None:
        self.random = rng.random
        self.cast: list[Person] = []
        self.sentences: list[str] = []
        self.facts: list[Fact] = []
        self.holder: dict[Thing, Person] = {}
        self.spot: dict[Thing, str] = {}
        self.location: dict[Person, str] = {}
        self.count: dict[tuple[Person, Goods], int] = {}
        self._topic: Person | None = None
        self._other: Person | None = None
        self._used_nouns: list[str] = []
        self._named: list[Thing] = []

    # Choosing

    def pick(self, *options: T) -> T:
        """One of the options, each as likely."""
        return options[int(self.random() * len(options))]

    def draw(self, table: tuple[T, ...]) -> T:
        """One entry of a table."""
        return table[int(self.random() * len(table))]

    def draw_other(self, table: tuple[T, ...], *taken: T) -> T:
        """One entry of a table that is not among `taken`."""
        while True:
            entry = table[int(self.random() * len(table))]
            if entry not in taken:
                return entry

    def chance(self, share: float) -> bool:
        """True for this share of the calls."""
        return self.random() < share

    def number(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + int(self.random() * (high - low + 1))

    def child(self) -> Person:
        """A child who is not yet in the story."""
        return self.enter(self.draw_other(CHILDREN, *self.cast))

    def friend_of(self, who: Person) -> Person:
        """A second child, mostly of the other sex."""
        if self.chance(MIXED_SHARE):
            return self.enter(self.draw_other(BOYS if who.he == "she" else GIRLS, *self.cast))
        return self.child()

    def adult(self, table: tuple[Person, ...]) -> Person:
        """Somebody of a table of grown-ups, mostly told apart from the first child by pronoun."""
        taken = [person.name for person in self.cast]
        person = self.draw(table)
        if taken and person.he == self.cast[0].he:
            person = self.draw(table)
        while person.name in taken:
            person = self.draw(table)
        return self.enter(person)

    def enter(self, who: Person) -> Person:
        """Take somebody into the cast."""
        self.cast.append(who)
        return who

    def thing(self, nouns: tuple[str, ...] = THING_NOUNS) -> Thing:
        """A thing of a noun that the story has not used yet."""
        noun = self.draw_other(nouns, *self._used_nouns)
        self._used_nouns.append(noun)
        return self.draw(BY_NOUN[noun])

    def animal(self, kinds: tuple[tuple[Animal, ...], ...]) -> Animal:
        """An animal of one of the kinds; every kind is as likely."""
        return self.draw(self.draw(kinds))

    # Changing the world

    def gets(self, who: Person, thing: Thing) -> None:
        """From now on `who` has `thing`."""
        self.holder[thing] = who
        self.spot.pop(thing, None)
        self.facts.append(Fact("gets", who, thing))

    def puts(self, thing: Thing, spot: str) -> None:
        """From now on `thing` lies at `spot` and nobody holds it."""
        self.holder.pop(thing, None)
        self.spot[thing] = spot
        self.facts.append(Fact("puts", None, thing, spot))

    def goes(self, who: Person, place: Place) -> None:
        """From now on `who` is at `place`."""
        self.location[who] = place.at
        self.facts.append(Fact("goes", who, None, place.at))

    def counts(self, who: Person, goods: Goods, number: int) -> None:
        """From now on `who` has this many of the goods."""
        self.count[who, goods] = number
        self.facts.append(Fact("counts", who, None, "", goods, number))

    def wins(self, who: Person) -> None:
        """`who` wins."""
        self.facts.append(Fact("wins", who))

    # Telling

    def say(self, text: str, topic: Person | None = None, other: Person | None = None) -> None:
        """Add sentences to the story, with a capital at the start.

        `topic` is whom they are about and `other` whoever else they name: `sub` needs both.
        """
        self.sentences.append(text[0].upper() + text[1:])
        self._topic, self._other = topic, other

    def sub(self, who: Person) -> str:
        """`who` as the subject of the next sentence: mostly a pronoun where that is clear."""
        return who.he if self._clear(who) and self.random() < PRONOUN_SHARE else who.name

    def obj(self, who: Person) -> str:
        """`who` as an object in the next sentence: mostly a pronoun where that is clear."""
        return who.him if self._clear(who) and self.random() < PRONOUN_SHARE else who.name

    def _clear(self, who: Person) -> bool:
        """The sentence before names `who` and nobody else of that sex."""
        if who is self._topic:
            return self._other is None or self._other.he != who.he
        return who is self._other and (self._topic is None or self._topic.he != who.he)

    def his(self, who: Person, other: Person) -> str:
        """ "his" or "her" for `who`, or the name where `other` could be meant as well."""
        return who.his if who.he != other.he else f"{who.name}'s"

    def call(self, thing: Thing) -> str:
        """ "a red ball" the first time, then "the red ball" or "the ball"."""
        if thing not in self._named:
            self._named.append(thing)
            return thing.a
        return thing.the if self.random() < 0.5 else thing.short

    @property
    def started(self) -> bool:
        """The sentence before is about somebody, so that "then" has something to follow."""
        return self._topic is not None

    @property
    def text(self) -> str:
        """The story so far."""
        return " ".join(self.sentences)
