"""What every kind of question returns, and what scenes have in common."""

from typing import NamedTuple

from hornbook.corpus.world.lexicon import Person
from hornbook.corpus.world.state import World


class Question(NamedTuple):
    """What to do, the scene to do it on (may be empty), and the one right answer."""

    instruction: str
    input: str
    output: str


def cast(w: World, size: int) -> list[Person]:
    """Some children who have not met before."""
    return [w.child() for _ in range(size)]


def setting(w: World) -> None:
    """In half of the scenes, one sentence that changes nothing."""
    if w.chance(0.5):
        w.say(
            w.pick(
                "it was a warm day.",
                "it was raining.",
                "the sun was shining.",
                "it was a quiet morning.",
                "it was a cold day in winter.",
                "the birds were singing.",
                "it was a windy day.",
                "nobody had to work that day.",
            )
        )
