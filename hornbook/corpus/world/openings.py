"""First sentences that every kind of story shares: time, weather, who and where."""

from hornbook.corpus.world.grammar import NUMBERS, with_article
from hornbook.corpus.world.lexicon import Person, Place
from hornbook.corpus.world.state import World

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
    "a long time ago",
)
ROOMS = ("kitchen", "attic", "cellar", "hall", "yard", "field", "square", "garden")
"""Places too near to live near to."""
NATURES = (
    "kind clever brave quiet cheerful little curious gentle merry careful shy lively young patient"
).split()
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
)
FAMILIES = (
    "mother",
    "father",
    "grandmother",
    "aunt",
    "uncle",
    "big sister",
    "little brother",
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
            f"{day}, {who} walked {place.to} with {who.his} {w.pick(*FAMILIES)}.",
            f"{who} woke up early and ran {place.to}.",
            f"{who} had some time, so {who.he} went {place.to}.",
        )
    elif roll < 0.55 and place.noun not in ROOMS:
        text = (
            f"{who} lived near {place.the} with {who.his} {w.pick(*FAMILIES)}. "
            f"{_capital_day(day)}, {who.he} went {place.to}."
        )
    elif roll < 0.7:
        nature = with_article(w.pick(*NATURES))
        text = w.pick(
            f"there was once {nature} {kind} called {who}. {_capital_day(day)}, {who.he} was {place.at}.",
            f"{who} was {nature} {kind}. {_capital_day(day)}, {who.he} went {place.to}.",
            f"{who} was {nature} {kind} who loved {w.pick(*HOBBIES)}. "
            f"{_capital_day(day)}, {who.he} was {place.at}.",
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
        text = w.pick(
            f"{who} was {NUMBERS[w.number(6, 12)]} years old and loved {w.pick(*HOBBIES)}. "
            f"{_capital_day(day)}, {who.he} went {place.to}.",
            f"the birds were singing when {who} came {place.to}.",
            f"nobody was {place.at} but {who}.",
            f"{day}, nothing was happening {place.at}, and {who} was bored.",
        )
    w.say(text, who)


def _capital_day(day: str) -> str:
    return day[0].upper() + day[1:]


def join_in(w: World, who: Person, friend: Person) -> None:
    """A second person comes to the first."""
    w.location[friend] = w.location[who]
    s = w.sub(who)
    where = w.location[who]
    w.say(
        w.pick(
            f"{who.his} friend {friend} was there too.",
            f"{s} met {friend} {where}.",
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
