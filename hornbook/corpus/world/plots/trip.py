"""A trip: somebody travels, meets something on the way, and arrives or comes home."""

from hornbook.corpus.world import endings, speech
from hornbook.corpus.world.grammar import NUMBERS, capital
from hornbook.corpus.world.lexicon import (
    FARM_ANIMALS,
    FOOD,
    WILD_ANIMALS,
    Person,
)
from hornbook.corpus.world.openings import DAYS
from hornbook.corpus.world.state import World

WAYS = (
    ("by train", "the train"),
    ("on foot", "the path"),
    ("by bus", "the bus"),
    ("in a little cart", "the cart"),
    ("by bicycle", "the road"),
)
BOAT = ("by boat", "the boat")
GOALS = (
    "the sea",
    "the mountains",
    "the big city",
    "the old castle",
    "the king's garden",
    "the waterfall",
    "the lighthouse",
    "the great forest",
)
WATER_GOALS = ("the island", "the lighthouse", "the old castle", "the big city")
WAYSIDE = (
    "the river",
    "the lake",
    "a farm",
    "a village",
    "a green hill",
    "the old mill",
    "a meadow",
    "a garden",
    "a tower",
)
GRAZING = ("goat", "donkey", "horse", "cow", "sheep", "lamb")


def tell(w: World) -> None:
    """Two people travel somewhere and come back."""
    who = w.child()
    friend = w.friend_of(who)
    if w.chance(0.2):
        goal, (way, vehicle) = w.draw(WATER_GOALS), BOAT
    else:
        goal, (way, vehicle) = w.draw(GOALS), w.draw(WAYS)
    _departure(w, who, friend, goal, way)
    _packing(w, who, friend)
    _on_the_way(w, who, friend, vehicle)
    if w.chance(0.6):
        _trouble(w, who, friend, vehicle)
    _arrival(w, who, friend, goal, vehicle)
    _return(w, who)


def _departure(w: World, who: Person, friend: Person, goal: str, way: str) -> None:
    day = w.draw(DAYS)
    w.say(
        w.pick(
            f"{day}, {who} and {friend} went to {goal} {way}.",
            f"{who} had never seen {goal}. {capital(day)}, {friend} took {who.him} there {way}.",
            f"{who} and {who.his} friend {friend} wanted to see {goal}. They set off {way}.",
            f'{day}, {who} said to {friend}, "Let us go and see {goal}!" They left {way}.',
            f"for weeks {who} had dreamed of {goal}. {capital(day)}, {who.he} and {friend} set off "
            f"{way}.",
            f"{friend} knew the way to {goal}, and {day} {who} went there with {friend.him}.",
        ),
        who,
        friend,
    )


def _packing(w: World, who: Person, friend: Person) -> None:
    goods, other = w.draw(FOOD), w.thing()
    number = w.number(2, 7)
    if w.chance(0.2):
        w.say(
            w.pick(
                f"in the bag were {goods.of[number]} and {other.a}.",
                f"they took {goods.of[number]} with them.",
            )
        )
        return
    w.counts(who, goods, number)
    w.gets(friend, other)
    w.say(
        w.pick(
            f"{who} packed {goods.of[number]}, and {friend} took {other.a}.",
            f"{friend} took {other.a} along, and {who} had {goods.of[number]} in a bag.",
            f"{who} carried {goods.of[number]} and {friend} carried {other.a}.",
        )
    )
    if w.chance(0.3):
        speech.talk_who(w, who, friend, other)
    elif w.chance(0.25):
        speech.talk_many(w, friend, who, goods)


def _on_the_way(w: World, who: Person, friend: Person, vehicle: str) -> None:
    first, second = w.draw(WILD_ANIMALS), w.draw(FARM_ANIMALS)
    place = w.draw(WAYSIDE)
    fewer = w.number(2, 6)
    few, number = NUMBERS[fewer], NUMBERS[fewer + w.number(1, 3)]
    grazing = "was eating grass" if second[0].noun in GRAZING else "was asleep in the sun"
    w.say(
        w.pick(
            f"on the way they saw {few} {second[0].plural} and {w.draw(first).a}.",
            f"they passed {place}, where {w.draw(second).a} {grazing}.",
            f"{vehicle} went past {place} and through a dark wood.",
            f"they sang songs and counted the {second[0].plural}. There were {number} of them.",
            f"the sky was blue, and near {place} they saw {w.draw(first).a}.",
            f"{who} counted {number} {second[0].plural}, but {friend} had seen only {few}.",
            f"near {place}, {few} {second[0].plural} looked at them.",
            f"{friend} told a funny story, and {who} laughed.",
            "they came through a narrow valley with steep rocks on both sides.",
            "an eagle circled above, and far below a stream was glittering.",
            f"at a crossing stood a stone with strange letters, and {who} tried to read them.",
            f"{friend} held the map upside down, and {who} had to laugh.",
        )
    )


def _trouble(w: World, who: Person, friend: Person, vehicle: str) -> None:
    if vehicle in ("the cart", "the road", "the bus") and w.chance(0.5):
        w.say(
            w.pick(
                f"then a wheel broke, and they had to wait until {friend} had mended it.",
                "suddenly there was a loud noise: a wheel was broken. They walked the rest of "
                "the way.",
                "a big tree lay across the road, so they took another way.",
            )
        )
        return
    if vehicle in ("the train", "the boat", "the bus"):
        w.say(
            w.pick(
                f"it was a long way, and {who} was bored. They sang all the songs they knew.",
                f"an old man sat beside them and told them about {w.pick('the war', 'his farm')}.",
                f"{vehicle} stopped, and nobody knew why. After an hour it went on.",
                f"{who} looked out and saw {w.draw(w.draw(WILD_ANIMALS)).a} near the water.",
                f"the wind blew away {friend}'s cap, and {who} caught it.",
                f"{friend} felt ill, so {who} held {w.his(friend, who)} hand.",
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
            f"it was a long way, and {who}'s feet hurt. Luckily they found a bench.",
            f"a wind came up and blew away {friend}'s cap. {who} ran and caught it.",
            f"they missed the right path. Luckily {guide} showed them the way.",
            "there was no bridge over the river, so a fisherman took them across.",
        )
    )


def _arrival(w: World, who: Person, friend: Person, goal: str, vehicle: str) -> None:
    wonder = w.pick("How beautiful", "I have never seen anything like it", "Look how big it is")
    w.say(
        w.pick(
            f"at noon they came to {goal}.",
            f"at last they saw {goal}.",
            f"when they reached {goal}, it was already afternoon.",
            f"and then, behind the last hill, there was {goal}."
            if vehicle != "the boat"
            else f"at last there was {goal}.",
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


def _return(w: World, who: Person) -> None:
    w.say(
        w.pick(
            "they went back in the evening, and the stars came out.",
            f"on the way home {who} was very quiet.",
            "it was dark when they came home, and they were very tired.",
            f"they stayed there for {w.pick('two', 'three', 'four')} days before they came back.",
            "they came home late, full of new stories.",
            f"{capital(speech.ask(w, who, 'Where shall we go next time?'))}",
        ),
        who,
    )
    if w.chance(0.4):
        endings.evening(w, who)
