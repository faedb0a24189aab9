"""An errand: things are fetched, carried and handed on, and somebody asks where they are."""

from hornbook.corpus.world import endings, events, openings, speech
from hornbook.corpus.world.grammar import capital
from hornbook.corpus.world.lexicon import ADULTS, INDOOR_SPOTS, OUTDOOR_SPOTS, PLACES, Person, Thing
from hornbook.corpus.world.state import World


def tell(w: World) -> None:
    """A child carries things for others."""
    who = w.child()
    start = w.draw(PLACES)
    openings.introduce(w, who, start)
    sender = w.adult(ADULTS)
    receiver = w.friend_of(who)
    thing = w.thing()
    _order(w, who, sender, receiver, thing)
    if w.chance(0.5):
        here = w.draw_other(PLACES, start)
        events.go(w, who, here)
        _fetch(w, who, thing, here.outdoors)
    else:
        here = start
        _receive(w, who, sender, thing)
    there = w.draw_other(PLACES, here, start)
    events.go(w, who, there)
    if w.chance(0.45):
        _leave(w, who, receiver, thing, there.outdoors)
    else:
        w.location[receiver] = there.at
        events.give(w, who, receiver, thing)
    _done(w, who, sender)


def _order(w: World, who: Person, sender: Person, receiver: Person, thing: Thing) -> None:
    w.call(thing)
    request = w.pick(
        f"Please take {thing.the} to {receiver}",
        f"{receiver} needs {thing.the}",
        f"Can you bring {receiver} {thing.the}",
        f"I promised {receiver} {thing.a}",
    )
    if request.startswith("Can"):
        asked = speech.ask(w, sender, f"{request}?")
    else:
        asked = speech.tell(w, sender, request)
    w.say(
        w.pick(
            f"{sender} called {who}. {capital(asked)}",
            f"then {sender} came. {capital(asked)}",
            capital(asked),
        ),
        sender,
        who,
    )
    if w.chance(0.5):
        w.say(
            capital(
                speech.reply(w, who, w.pick("I will go at once", "Of course", "I am on my way"))
            ),
            who,
            sender,
        )


def _fetch(w: World, who: Person, thing: Thing, outdoors: bool) -> None:
    spot = w.draw(OUTDOOR_SPOTS if outdoors else INDOOR_SPOTS)
    w.puts(thing, spot)
    s = w.sub(who)
    w.say(
        w.pick(
            f"{thing.short} was {spot}, and {s} took it.",
            f"{s} found {thing.short} {spot} and put it in a bag.",
            f"{s} looked for {thing.short}, and it was {spot}.",
        ),
        who,
    )
    w.gets(who, thing)


def _receive(w: World, who: Person, sender: Person, thing: Thing) -> None:
    w.gets(who, thing)
    w.say(
        w.pick(
            f"{sender} gave {thing.short} to {who}.",
            f"{who} took {thing.short} from {sender}'s hand.",
            f"{sender} wrapped {thing.short} in paper, and {who} carried it.",
        ),
        who,
        sender,
    )


def _leave(w: World, who: Person, receiver: Person, thing: Thing, outdoors: bool) -> None:
    spot = w.draw(OUTDOOR_SPOTS if outdoors else INDOOR_SPOTS)
    s = w.sub(who)
    w.puts(thing, spot)
    w.say(
        w.pick(
            f"{receiver} was not there, so {s} left {thing.short} {spot}. Later {receiver} came.",
            f"nobody was there. {capital(s)} put {thing.short} {spot}. At noon {receiver} came.",
            f"{s} put {thing.short} {spot} and waited until {receiver} came.",
        ),
        who,
        receiver,
    )
    speech.talk_where(w, receiver, who, thing)


def _done(w: World, who: Person, sender: Person) -> None:
    w.say(
        w.pick(
            f"{capital(speech.tell(w, sender, w.pick('Thank you', 'You are quick', 'Well done')))}",
            f"{sender} thanked {who} for {who.his} help.",
            f"{who} was glad that it was done.",
            f"{who} wiped {who.his} forehead and sat down on a barrel.",
            f"then {who} had time to play.",
            f"{who} ran all the way back.",
            f"{sender} gave {who} {w.pick('two coins', 'an apple', 'a warm bun', 'three nuts')} for it.",
        ),
        who,
        sender,
    )
    if w.chance(0.3):
        endings.evening(w, who)
