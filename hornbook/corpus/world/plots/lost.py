"""Lost and found: something is gone, is looked for, and turns up."""

from hornbook.corpus.world import endings, openings, speech
from hornbook.corpus.world.grammar import capital
from hornbook.corpus.world.lexicon import (
    ADULTS,
    INDOOR_SPOTS,
    INDOORS,
    OUTDOOR_SPOTS,
    PLACES,
    THIEVES,
    Person,
    Place,
    Thing,
)
from hornbook.corpus.world.state import World


def tell(w: World) -> None:
    """A child loses a thing and gets it back."""
    who = w.child()
    place = w.draw(PLACES)
    openings.introduce(w, who, place)
    thing = w.thing()
    _treasure(w, who, thing)
    _loss(w, who, thing, place)
    finder = w.friend_of(who) if w.chance(0.7) else w.adult(ADULTS)
    _call_for_help(w, who, finder, thing)
    _search(w, who, place)
    _find(w, who, finder, thing, place)
    _afterwards(w, who, finder, thing)


def _treasure(w: World, who: Person, thing: Thing) -> None:
    w.gets(who, thing)
    w.call(thing)
    s = w.sub(who)
    giver = w.pick("grandmother", "father", "mother", "uncle", "aunt", "brother")
    w.say(
        w.pick(
            f"{s} had {thing.a} and took it everywhere.",
            f"{s} was proud of {who.his} new {thing.noun}."
            if thing.adjective not in ("old", "new")
            else f"{s} liked {who.his} {thing.name} very much.",
            f"in {who.his} hand was {thing.a}.",
            f"{s} had brought {thing.a} along.",
            f"{s} had {thing.a}, a gift from {who.his} {giver}.",
            f"{who.his} {giver} had given {who.him} {thing.a}.",
            f"{s} loved {who.his} {thing.name} more than anything.",
        ),
        who,
    )


def _loss(w: World, who: Person, thing: Thing, place: Place) -> None:
    s = w.sub(who)
    w.say(
        w.pick(
            f"but when {s} wanted to go home, {thing.short} was gone.",
            f"after lunch {s} could not find it any more.",
            f"then {s} looked down, and {thing.short} was not there.",
            f"when {s} came back from a walk, it was gone.",
            f"but a little later {s} did not have it any more.",
            f"but somewhere on the way {s} lost it.",
            f"{s} fell asleep for a while, and when {who.he} woke up, {thing.short} was gone.",
            f"{s} put it down for a moment and then forgot where.",
            f"{s} played for an hour. Then {who.he} saw that {thing.short} was missing.",
        ),
        who,
    )
    s = w.sub(who)
    if w.chance(0.6):
        w.say(
            w.pick(
                f"{s} was very sad.",
                f"{s} began to cry.",
                f"{s} did not know what to do.",
                f"{who.his} heart beat fast.",
                f"{s} looked and looked, but found nothing.",
                f"{s} sat down and thought hard.",
                f"{s} turned {who.his} pockets inside out.",
                f"tears ran down {who.his} cheeks.",
                f"{s} walked back the whole way with {who.his} eyes on the ground.",
            ),
            who,
        )


def _call_for_help(w: World, who: Person, finder: Person, thing: Thing) -> None:
    s = w.sub(who)
    words, no = w.pick(
        (f"Have you seen my {thing.name}?", "No, but I will help you"),
        (f"Did you take my {thing.noun}?", "No, I did not"),
        (f"Where is my {thing.name}?", "I do not know"),
        (f"I cannot find my {thing.noun}. Is it here?", "I have not seen it"),
    )
    question = speech.ask(w, s, words)
    if w.chance(0.15):
        answer = speech.ask(w, finder, "Where did you have it last?")
    else:
        answer = speech.reply(
            w,
            finder,
            w.pick(
                no,
                "Let us look for it together",
                "Do not worry, we will find it",
                "It cannot be far away",
            ),
        )
    arrival = w.pick(
        f"just then {finder} came by. ",
        f"{finder} saw that something was wrong. ",
        f"so {s} ran to {finder}. ",
        f"at that moment {finder} came round the corner. ",
    )
    w.say(f"{arrival}{capital(question)} {capital(answer)}", who, finder)


def _search(w: World, who: Person, place: Place) -> None:
    spots = OUTDOOR_SPOTS if place.outdoors else INDOOR_SPOTS
    first, second = w.draw(spots), w.draw(INDOORS).at
    odd = w.pick(
        "an old shoe",
        "a dead leaf",
        "a spider",
        "a broken plate",
        "some dust",
        "a beetle",
        "a rusty nail",
        "an empty bottle",
        "a feather",
    )
    w.say(
        w.pick(
            f"they looked {first}, but there was nothing.",
            f"first they looked {first}. They found only {odd}.",
            f"they looked {first} and {second}, but it was not there.",
            f"{first} there was only {odd}.",
            f"they searched for an hour, first {first} and then {second}.",
            f"{second} they met an old sailor, but he knew nothing.",
            "they asked everyone, but nobody had seen it.",
        )
    )


def _find(w: World, who: Person, finder: Person, thing: Thing, place: Place) -> None:
    spot = w.draw(OUTDOOR_SPOTS if place.outdoors else INDOOR_SPOTS)
    if w.chance(0.3):
        animal = w.animal(THIEVES)
        w.say(
            w.pick(
                f"then they heard {animal.a}. It was sitting {spot}, and beside it lay {thing.the}!",
                f"at last they saw {animal.a} {spot}. It was playing with {thing.the}!",
                f"suddenly {animal.a} {animal.ran}, and {spot} they found {thing.the}.",
            )
        )
        w.gets(who, thing)
        return
    w.puts(thing, spot)
    if w.chance(0.4):
        w.say(speech.cry(w, finder, w.pick("Come here", "I see it", "Look", "Here it is")), finder)
        speech.talk_where(w, who, finder, thing)
        w.gets(who, thing)
        return
    f = w.sub(finder)
    w.say(
        w.pick(
            f"at last {f} looked {spot}, and there it was.",
            f"then {f} saw something {spot}. It was {thing.the}!",
            f"in the end {f} found {thing.short} {spot}.",
            f"{thing.the} was {spot} all the time.",
        ),
        finder,
    )
    w.gets(who, thing)


def _afterwards(w: World, who: Person, finder: Person, thing: Thing) -> None:
    w.say(
        w.pick(
            f"{who} thanked {finder} and held {thing.short} tight.",
            f"{who} was so happy that {who.he} danced.",
            f"{who} wiped {thing.short} clean and laughed with relief.",
            f"{who} promised to be more careful in future.",
            f"{who} took {thing.short} and never lost it again.",
            f"from then on, {who} kept it {w.pick('beside the bed', 'in a safe place', 'close')}.",
            f"{capital(speech.tell(w, who, w.pick('Thank you so much', 'You are a true friend')))}",
        ),
        who,
        finder,
    )
    if w.chance(0.4):
        endings.evening(w, who, finder if finder.kind in ("girl", "boy") else None)
