"""First sentences that every kind of story shares: time, weather, who and where."""

from hornbook.corpus.world.grammar import NUMBERS, capital, with_article
from hornbook.corpus.world.lexicon import Person, Place
from hornbook.corpus.world.state import World
from hornbook.corpus.world.verbs import HABITS

DAYS = (
    "one morning",
    "one day",
    "one fine day",
    "one warm afternoon",
    "one cool morning",
    "early one morning",
    "one bright morning",
    "one day in spring",
    "one day in summer",
    "one day in autumn",
    "last Sunday",
    "last summer",
    "on Monday morning",
    "on Tuesday",
    "on Friday",
    "on Saturday morning",
    "on a quiet Sunday",
    "on a warm day in May",
    "on the first day of June",
    "after breakfast",
    "one afternoon",
    "one day in September",
    "on Wednesday",
    "on Thursday afternoon",
    "the day after the fair",
    "during the holidays",
    "one windy morning",
    "when school was over",
)
ROOMS = ("kitchen", "attic", "cellar", "hall", "yard", "field", "square", "garden")
"""Places too near to live near to."""
NATURES = [
    "kind",
    "clever",
    "brave",
    "quiet",
    "cheerful",
    "little",
    "curious",
    "gentle",
    "merry",
    "careful",
    "shy",
    "lively",
    "young",
    "patient",
    "friendly",
    "proud",
    "polite",
    "stubborn",
    "dreamy",
    "funny",
    "lucky",
    "helpful",
]
HOBBIES = (
    "climbing trees",
    "old stories",
    "singing",
    "painting",
    "long walks",
    "swimming",
    "music",
    "animals",
    "baking",
    "games",
    "drawing",
    "books",
    "stars",
    "boats",
    "riddles",
    "maps",
    "horses",
    "flowers",
    "dancing",
    "cooking",
    "jokes",
    "trains",
    "knights and castles",
)
FAMILIES = (
    "mother",
    "father",
    "grandmother",
    "aunt",
    "uncle",
    "big sister",
    "little brother",
    "old parents",
    "godmother",
    "three brothers",
    "two sisters",
)
DOINGS = (
    "playing",
    "sitting",
    "singing",
    "working",
    "sweeping",
    "resting",
    "dreaming",
    "drawing a picture",
    "reading a book",
    "drinking milk",
    "telling stories",
    "peeling carrots",
    "humming",
    "whistling a tune",
    "carving a stick",
    "knitting",
    "thinking about supper",
)


INDOOR_ASIDES = (
    "A fly was buzzing at the window.",
    "It smelled of wood and apples.",
    "Dust was dancing in the light.",
    "The clock ticked slowly.",
    "A candle was burning on the shelf.",
    "The floor was cold, and the walls were thick.",
    "Somebody had left a spoon on the floor.",
    "It was so quiet that one could hear a needle fall.",
    "A spider was busy in the corner.",
    "There was a smell of fresh bread.",
    "The old boards creaked.",
    "Through a small window one could see the street.",
)
OUTDOOR_ASIDES = (
    "Bees were humming in the flowers.",
    "A church bell rang far away.",
    "The grass was still wet.",
    "Two butterflies flew past.",
    "Smoke rose from a chimney.",
    "Somewhere a dog barked.",
    "The leaves moved softly.",
    "The air smelled of hay.",
    "A woodpecker was knocking on a trunk.",
    "A cart rolled by with a load of turnips.",
    "White clouds sailed over the roofs.",
    "A lark was singing high above.",
    "The ground was soft under every step.",
    "Ants were carrying tiny leaves.",
)


def introduce(w: World, who: Person, place: Place) -> None:
    """Who the story is about and where it starts."""
    w.goes(who, place)
    day = w.draw(DAYS)
    kind, roll = who.kind, w.random()
    if roll < 0.2:
        text = f"{day}, {who} {w.pick('was', 'was sitting', 'was playing')} {place.at}."
    elif roll < 0.4:
        text = w.pick(
            f"{day}, {who} went {place.to}.",
            f"{day}, {who} took a walk {place.to}.",
            f"{who} woke up early and ran {place.to}.",
            f"{who} had some time, so {who.he} went {place.to}.",
        )
    elif roll < 0.55 and place.noun not in ROOMS:
        text = (
            f"{who} lived near {place.the} with {who.his} {w.pick(*FAMILIES)}. "
            f"{capital(day)}, {who.he} {w.pick('went there', 'was playing there', 'went there to play')}."
        )
    elif roll < 0.7:
        nature = with_article(w.pick(*NATURES))
        text = w.pick(
            f"there was once {nature} {kind} called {who}. {capital(day)}, {who.he} was {place.at}.",
            f"{who} was {nature} {kind}. {capital(day)}, {who.he} went {place.to}.",
            f"{who} was {nature} {kind} who loved {w.pick(*HOBBIES)}. "
            f"{capital(day)}, {who.he} was {place.at}.",
        )
    elif roll < 0.85:
        doing = w.pick(*DOINGS)
        text = w.pick(
            f"it was a {w.pick('warm', 'sunny', 'cool', 'quiet', 'bright', 'lovely')} "
            f"{w.pick('day', 'morning', 'afternoon')}, and {who} was {doing} {place.at}.",
            f"the sun was shining, and {who} was {doing} {place.at}.",
            f"{who} was {doing} {place.at} when the clock struck {NUMBERS[w.number(8, 11)]}.",
            f"{place.at}, {who} was {doing}.",
        )
    else:
        verb = w.draw(HABITS)
        text = w.pick(
            f"{who} was {NUMBERS[w.number(6, 12)]} years old and loved {w.pick(*HOBBIES)}. "
            f"{capital(day)}, {who.he} went {place.to}.",
            f"the birds were singing when {who} came {place.to}.",
            f"nobody was {place.at} but {who}.",
            f"every {w.pick('morning', 'day', 'Sunday')}, {who} {verb.third} {verb.rest}. "
            f"But {day} {who.he} went {place.to} instead.",
            f"{day}, nothing was happening {place.at}, and {who} was bored.",
        )
    if w.chance(0.25):
        text = f"{text} {w.draw(OUTDOOR_ASIDES if place.outdoors else INDOOR_ASIDES)}"
    w.say(text, who)


def join_in(w: World, who: Person, friend: Person) -> None:
    """A second person comes to the first."""
    w.location[friend] = w.location[who]
    s = w.sub(who)
    w.say(
        w.pick(
            f"{who.his} friend {friend} was there too.",
            f"there {s} met {friend}.",
            f"{friend} came along a little later.",
            f"after a while, {friend} came too.",
            f"{friend} was waiting for {who.him} there.",
            f"there {who.he} saw {who.his} friend {friend}.",
            f"{who.his} friend {friend} came to play with {who.him}.",
            f"soon {friend} came running.",
            f"{s} was not alone, because {friend} was there too.",
        ),
        who,
        friend,
    )
