"""A trip: somebody travels, meets something on the way, and arrives or comes home."""

from hornbook.corpus.world import endings, speech
from hornbook.corpus.world.grammar import capital
from hornbook.corpus.world.lexicon import (
    FARM_ANIMALS,
    FOOD,
    OUTDOORS,
    WILD_ANIMALS,
    Person,
    Place,
)
from hornbook.corpus.world.openings import DAYS
from hornbook.corpus.world.state import World

WAYS = (
    ("by train", "the train"),
    ("by boat", "the boat"),
    ("on foot", "the path"),
    ("by bus", "the bus"),
    ("in a little cart", "the cart"),
    ("by bicycle", "the road"),
)
GOALS = (
    "the sea",
    "the mountains",
    "the big city",
    "the old castle",
    "an island",
    "the next village",
    "the waterfall",
    "the lighthouse",
)


def tell(w: World) -> None:
    """Two people travel somewhere and come back."""
    who = w.child()
    friend = w.friend_of(who)
    goal = w.draw(GOALS)
    way, vehicle = w.draw(WAYS)
    _departure(w, who, friend, goal, way)
    _packing(w, who, friend)
    _on_the_way(w, who, friend, vehicle)
    if w.chance(0.6):
        _trouble(w, who, friend, vehicle)
    _arrival(w, who, friend, goal)
    _return(w, who, friend, vehicle)


def _departure(w: World, who: Person, friend: Person, goal: str, way: str) -> None:
    day = w.draw(DAYS)
    w.say(
        w.pick(
            f"{day}, {who} and {friend} went to {_goal(goal)} {way}.",
            f"{who} had never seen {goal}. {capital(day)}, {friend} took {who.him} there {way}.",
            f"{who} and {who.his} friend {friend} wanted to see {goal}. They set off {way}.",
            f"{day}, {who} said to {friend}, \"Let us go and see {goal}!\" They left {way}.",
            f"for weeks {who} had dreamed of {goal}. {capital(day)}, {who.he} and {friend} set off "
            f"{way}.",
            f"{friend} knew the way to {goal}, and {day} {who} went there with {friend.him}.",
        ),
        who,
        friend,
    )


def _goal(goal: str) -> str:
    return goal


def _packing(w: World, who: Person, friend: Person) -> None:
    goods, other = w.draw(FOOD), w.thing()
    number = w.number(2, 7)
    w.counts(who, goods, number)
    w.gets(friend, other)
    w.call(other)
    w.say(
        w.pick(
            f"{who} packed {goods.of[number]}, and {friend} took {other.a}.",
            f"in the bag were {goods.of[number]} and {other.a}.",
            f"they took {goods.of[number]} with them.",
            f"{who} carried {goods.of[number]} and {friend} carried {other.a}.",
        )
    )
    if w.chance(0.3):
        speech.talk_who(w, who, friend, other)
    elif w.chance(0.25):
        speech.talk_many(w, friend, who, goods)


def _on_the_way(w: World, who: Person, friend: Person, vehicle: str) -> None:
    first, second = w.draw(WILD_ANIMALS), w.draw(FARM_ANIMALS)
    place: Place = w.draw(OUTDOORS)
    number = w.number(2, 8)
    from_number = w.pick("two", "three", "four", "five", "six")
    w.say(
        w.pick(
            f"on the way they saw {from_number} {second[0].plural} and {w.draw(first).a}.",
            f"they passed {place.the}, where {w.draw(second).a} was eating grass."
            if second[0].noun in ("goat", "donkey", "horse", "cow", "sheep", "lamb")
            else f"they passed {place.the}, where {w.draw(second).a} was asleep in the sun.",
            f"{vehicle} went past {place.the} and through a dark wood.",
            f"they sang songs and counted the {second[0].plural} {place.at}. "
            f"There were {NUMBER_WORDS[number]} of them.",
            f"the sky was blue, and {w.draw(first).a} looked at them from {place.the}.",
            f"{friend} told a funny story, and {who} laughed.",
        )
    )


NUMBER_WORDS = ("", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def _trouble(w: World, who: Person, friend: Person, vehicle: str) -> None:
    if vehicle in ("the cart", "the road", "the bus") and w.chance(0.5):
        w.say(
            w.pick(
                f"then a wheel broke, and they had to wait until {friend} had mended it.",
                f"suddenly there was a loud noise: a wheel was broken. They walked the rest of "
                "the way.",
                f"a big tree lay across the road, so they took another way.",
            )
        )
        return
    guide = w.pick("a shepherd", "an old sailor", "a postman", "a woman with a basket", "a hunter")
    answer = w.pick(
        "Go left at the bridge",
        "Follow the river",
        "Walk straight on",
        "Go over the hill",
        "Turn right at the mill",
        "It is not far now",
    )
    w.say(
        w.pick(
            f"soon they did not know the way any more. {capital(speech.ask(w, who, 'Which way is it?'))} "
            f"{capital(speech.reply(w, guide, answer))}",
            f"{friend} was tired, so they rested under a tree and drank some water.",
            f"it was a long way, and {who} was hungry. They stopped and ate.",
            f"a wind came up and blew away {friend}'s cap. {who} ran and caught it.",
            f"they missed the right path. Luckily {guide} showed them the way.",
            f"there was no bridge over the river, so a fisherman took them across.",
        )
    )


def _arrival(w: World, who: Person, friend: Person, goal: str) -> None:
    wonder = w.pick("How beautiful", "I have never seen anything like it", "Look how big it is")
    w.say(
        w.pick(
            f"at noon they came to {goal}.",
            f"at last they saw {goal}.",
            f"when they reached {goal}, it was already afternoon.",
            f"in the end they stood before {goal} at last.".replace(" at last", ""),
        )
        + " "
        + w.pick(
            capital(speech.cry(w, who, wonder)),
            capital(speech.cry(w, friend, wonder)),
            f"{who} was so happy that {who.he} could not speak.",
            f"{friend} ran ahead, and {who} ran after {friend.him}.",
            "They stayed for a long time and looked at everything.",
            f"{who} drew a picture of it for {who.his} mother.",
        ),
        who,
        friend,
    )


def _return(w: World, who: Person, friend: Person, vehicle: str) -> None:
    w.say(
        w.pick(
            "they went back in the evening, and the stars came out.",
            f"on the way home {who} fell asleep.",
            f"it was dark when they came home, and they were very tired.",
            f"they stayed there for {w.pick('two', 'three', 'four')} days before they came back.",
            f"they came home late, full of new stories.",
            f"{capital(speech.ask(w, who, 'Where shall we go next time?'))}",
        ),
        who,
    )
    if w.chance(0.4):
        endings.evening(w, who)
