"""Last sentences that many kinds of story share: going home, supper, sleep, and a look ahead."""

from hornbook.corpus.world.lexicon import FOOD, Person
from hornbook.corpus.world.state import World
from hornbook.corpus.world.verbs import HABITS

DISHES = (
    "bread and cheese",
    "hot soup",
    "bread and honey",
    "a big bowl of soup",
    "fish and potatoes",
    "warm bread",
    "a plate of biscuits",
    "beans and rice",
    "pancakes",
    "apple pie",
    "porridge with honey",
    "roast chicken",
    "noodles with butter",
    "plum cake",
    "bread and jam",
    "a big plate of dumplings",
)


def evening(w: World, who: Person, friend: Person | None = None) -> None:
    """The day ends well for one or two people."""
    s = w.sub(who)
    if friend is not None and w.chance(0.7):
        w.say(
            w.pick(
                f"{who} and {friend} laughed all the way home.",
                f"then {who} and {friend} walked home together.",
                f"in the evening they sat by the fire and ate {w.pick(*DISHES)}.",
                f"they shared {w.draw(FOOD).of[w.number(2, 6)]} and were happy.",
                "the two friends smiled at each other.",
                f"{who} and {friend} have been good friends ever since.",
                "after that, the two of them sat on the wall and talked.",
                f"that night, {who} and {friend} told everyone about it.",
                f"now {who} and {friend} meet {w.pick('every day', 'every Sunday', 'after school')}.",
            )
        )
        return
    verb = w.draw(HABITS)
    w.say(
        w.pick(
            f"{s} went home and ate {w.pick(*DISHES)}.",
            f"that evening, {s} was tired but happy.",
            f"{s} smiled all the way home.",
            f"in the evening, {s} told {who.his} {w.pick('mother', 'father', 'sister', 'uncle')} "
            "the whole story.",
            f"that night, {s} slept very well.",
            f"{s} never forgot that day.",
            f"at home, {w.pick('a warm supper', 'hot soup', 'a cup of tea')} was waiting "
            f"for {who.him}.",
            f"when the moon rose, {s} was already asleep.",
            f"and that was the end of a {w.pick('long', 'good', 'strange', 'happy')} day.",
            f"{s} went to bed with a smile.",
            f"{s} wrote everything down in {who.his} diary.",
            f"{s} hummed a tune and looked at the stars.",
            f"before {who.he} fell asleep, {who.he} thought of it once more.",
            f"{s} washed {who.his} hands and sat down to supper.",
            f"years later, {who} still liked to talk about it.",
            f"now {who} {verb.third} {verb.rest} every {w.pick('day', 'week', 'Sunday')}.",
        ),
        who,
    )
