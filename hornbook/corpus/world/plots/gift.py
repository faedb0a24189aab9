"""A gift: somebody has a birthday, and others make, buy, hide and give something."""

from hornbook.corpus.world import endings, speech
from hornbook.corpus.world.grammar import NUMBERS, capital
from hornbook.corpus.world.lexicon import (
    GRANDFATHER,
    GRANDMOTHER,
    INDOOR_SPOTS,
    INDOORS,
    PETS,
    THING_NOUNS,
    Person,
    Thing,
)
from hornbook.corpus.world.state import World

MADE = ("scarf", "kite", "boat", "doll", "box", "basket", "drum", "flute", "blanket", "bag")


def tell(w: World) -> None:
    """Friends prepare a gift and give it."""
    star = w.child() if w.chance(0.75) else w.enter(w.pick(GRANDMOTHER, GRANDFATHER))
    friend = w.friend_of(star)
    helper = w.child()
    made = w.chance(0.5)
    thing = w.thing(MADE if made else THING_NOUNS)
    _occasion(w, star, friend)
    _plan(w, star, friend, helper)
    _prepare(w, friend, helper, thing, made)
    spot = w.draw(INDOOR_SPOTS)
    if w.chance(0.6):
        _hide(w, friend, helper, thing, spot)
    _party(w, star)
    _give(w, star, friend, thing)
    _joy(w, star, friend, thing)
    if w.chance(0.25):
        endings.evening(w, star)


def _occasion(w: World, star: Person, friend: Person) -> None:
    age = NUMBERS[w.number(6, 12)] if star.kind in ("girl", "boy") else "seventy"
    day = w.pick("on Sunday", "on Monday", "the next day", "in a week", "on Friday", "in May")
    w.say(
        w.pick(
            f"{star} was going to be {age} {day}.",
            f"it was {star}'s birthday. {capital(star.he)} was {age} years old now.",
            f"{friend} knew that {star} had a birthday {day}.",
            f"{star} turned {age}, but nobody seemed to remember.",
            f"{star} had been ill for a long time, and {friend} wanted to make {star.him} happy.",
            f"{star} was moving to another town {day}.",
        ),
        star,
        friend,
    )


def _plan(w: World, star: Person, friend: Person, helper: Person) -> None:
    idea = w.pick(
        "We will make something",
        "Let us sing a song as well",
        "It must be a surprise",
        "I have an idea",
        f"I know what {star.he} likes",
    )
    question = w.pick(
        f"What shall we give {star.him}?",
        f"What does {star} need?",
        f"What would {star.he} like?",
    )
    w.say(
        w.pick(
            f"{capital(speech.ask(w, friend, question))} {capital(speech.reply(w, helper, idea))}",
            f"{friend} and {helper} made a plan.",
            f"{friend} talked to {helper} in secret. {capital(speech.whisper(w, helper, idea))}",
            f"so {friend} asked {helper} for help.",
            f"{friend} had only {w.pick('three', 'four', 'five')} coins, and {helper} had none."
            if w.chance(0.5)
            else f"{friend} saved {friend.his} money for {w.pick('two', 'three', 'four')} weeks.",
        )
    )


def _prepare(w: World, friend: Person, helper: Person, thing: Thing, made: bool) -> None:
    w.gets(friend, thing)
    w.call(thing)
    if made:
        w.say(
            w.pick(
                f"{friend} made {thing.a} with {friend.his} own hands.",
                f"for {w.pick('two', 'three', 'five')} evenings {friend} worked on {thing.a}.",
                f"{helper} brought what was needed, and {friend} made {thing.a}.",
                f"together they made {thing.a}.",
            ),
            friend,
        )
        return
    w.say(
        w.pick(
            f"{friend} went to the shop and bought {thing.a}.",
            f"they looked in every shop until {friend} found {thing.a}.",
            f"at the market {friend} chose {thing.a}.",
            f"{friend} bought {thing.a}, and {helper} tied a {w.pick('red', 'blue', 'yellow', 'green')} "
            "ribbon around it.",
            f"{friend} had {thing.a} that looked like new.",
        ),
        friend,
    )


def _hide(w: World, friend: Person, helper: Person, thing: Thing, spot: str) -> None:
    w.puts(thing, spot)
    w.say(
        w.pick(
            f"then {friend} hid {thing.short} {spot}.",
            f"they put it {spot}, so that nobody would see it.",
            f"{w.sub(friend)} wrapped it in paper and hid it {spot}.",
            f"{helper} laid it {spot} and kept the secret.",
        ),
        friend,
    )
    if w.chance(0.45):
        speech.talk_where(w, helper, friend, thing)


def _party(w: World, star: Person) -> None:
    place = w.draw(INDOORS)
    w.say(
        w.pick(
            f"in the afternoon they all met {place.at}.",
            f"when {star} came in, everyone began to sing.",
            f"there was a cake with {w.pick('sugar', 'cherries', 'nuts', 'cream')} on the table.",
            f"when the great day came, {star} woke up early.",
            f"{place.the} was full of flowers and music.",
            f"{star} opened the door and saw all {star.his} friends.",
            f"friends came from near and far, and even {w.animal(PETS).a} was there.",
            "they lit candles and closed the curtains.",
            f"paper stars hung from the ceiling, and {star} stared with an open mouth.",
            "a long table stood in the middle, full of plates and glasses.",
        ),
        star,
    )


def _give(w: World, star: Person, friend: Person, thing: Thing) -> None:
    w.gets(star, thing)
    w.say(
        w.pick(
            f"{friend} gave {star} {thing.the}.",
            f"then {friend} took {thing.short} and gave it to {star}.",
            f"{capital(speech.tell(w, friend, 'This is for you'))} {star} opened the paper and saw {thing.the}.",
            f"{friend} held out {thing.short} and smiled.",
            f"{star} closed {star.his} eyes, and {friend} put {thing.short} into {star.his} hands.",
        )
    )


def _joy(w: World, star: Person, friend: Person, thing: Thing) -> None:
    words = w.pick(
        "It is just what I wanted", "Thank you", "How lovely", "You are the best friends of all"
    )
    w.say(
        w.pick(
            f"{capital(speech.cry(w, star, words))}",
            f"{star} was so glad that {star.he} hugged {friend}.",
            f"{star} laughed and cried at the same time.",
            f"now {star} {w.pick('has it with ' + star.him, 'keeps it close')} every day.",
            f"nothing had ever made {star} so happy.",
            f"{capital(speech.tell(w, star, 'I will always keep it'))}",
            f"then they all ate cake, and {star} got the biggest piece.",
        ),
        star,
        friend,
    )
