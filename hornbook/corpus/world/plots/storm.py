"""Bad weather: it comes, people get wet or shelter, and something has to be set right."""

from hornbook.corpus.world import endings, openings, speech
from hornbook.corpus.world.grammar import capital
from hornbook.corpus.world.lexicon import FARM_ANIMALS, INDOORS, OUTDOORS, Person, Place
from hornbook.corpus.world.state import World

SHELTERS = tuple(place for place in INDOORS if place.noun not in ("kitchen", "attic", "cellar"))
SUMMERY = ("summer", "spring", "May", "June", "warm", "sun", "birds", "swim")
"""An opening with one of these is not followed by snow."""


def tell(w: World) -> None:
    """The weather turns while somebody is outside."""
    who = w.child()
    openings.introduce(w, who, w.draw(OUTDOORS))
    friend = w.friend_of(who)
    openings.join_in(w, who, friend)
    snow = w.chance(0.3) and not any(word in w.sentences[0] for word in SUMMERY)
    _sky(w, who, snow)
    shelter = w.draw(SHELTERS)
    _shelter(w, who, friend, shelter, snow)
    if w.chance(0.5):
        _animal(w, who, friend, snow)
    _waiting(w, who, friend, shelter)
    _after(w, who, friend, snow)
    if w.chance(0.35):
        endings.evening(w, who, friend)


def _sky(w: World, who: Person, snow: bool) -> None:
    if snow:
        w.say(
            w.pick(
                "all at once it began to snow, and soon everything was white.",
                "the air grew cold, and big white flakes came down.",
                "an icy wind blew, and they could not see the path for snow.",
            )
        )
        return
    w.say(
        w.pick(
            "suddenly the sky turned black.",
            "dark clouds came over the hill.",
            "then the wind began to blow hard.",
            "all at once big drops began to fall.",
            "the birds stopped singing, and the air grew still.",
            f"{capital(speech.tell(w, who, 'Look at those clouds'))}",
        )
        + " "
        + w.pick(
            "Thunder rolled like a big drum, and then it poured.",
            "There was thunder, and the rain came down.",
            "A flash of light crossed the sky, and it began to rain.",
            "Soon it was raining so hard that they could not see the road.",
            "The trees bent, and it began to rain.",
            "It rained so hard that water ran down the path.",
        )
    )


def _shelter(w: World, who: Person, friend: Person, shelter: Place, snow: bool) -> None:
    wet = "cold" if snow else "wet"
    w.goes(who, shelter)
    w.goes(friend, shelter)
    w.say(
        w.pick(
            f"{capital(speech.cry(w, friend, f'Quick, into {shelter.the}'))} They ran as fast as "
            "they could.",
            f"they ran {shelter.to}, but they were {wet} when they got there.",
            f"{who} took {w.his(friend, who)} hand, and they hurried {shelter.to}.",
            f"because they had no {w.pick('umbrella', 'coats')}, they hid {shelter.at}.",
            f"they were {wet} to the skin when they reached {shelter.the}.",
            f"the door of {shelter.the} was open, so they went in.",
        )
    )
    if w.chance(0.4):
        w.say(
            w.pick(
                f"{capital(speech.ask(w, friend, f'Are you {wet}?'))} "
                f"{capital(speech.reply(w, who, w.pick('Only my feet', 'Yes, and cold', 'Not very')))}",
                f"{who} was shaking, so {friend} gave {who if who.he == friend.he else who.him} a dry {w.pick('coat', 'blanket', 'scarf')}.",
                f"{friend} was afraid of the noise, but {who} held {w.his(friend, who)} hand.",
                f"{capital(speech.whisper(w, friend, 'I want to go home'))}",
            )
        )


def _animal(w: World, who: Person, friend: Person, snow: bool) -> None:
    animal = w.animal(FARM_ANIMALS)
    w.say(
        w.pick(
            f"{animal.a} was there too. It stood in a corner and shook.",
            f"then {who} heard something outside. {capital(animal.a)} stood at the door, and they let it in.",
            f"{capital(speech.cry(w, who, f'{capital(animal.short)} is still outside'))} "
            f"{friend} ran out and brought it in.",
            f"an open gate banged, and {animal.the} came in without being asked.",
        )
    )


def _waiting(w: World, who: Person, friend: Person, shelter: Place) -> None:
    w.say(
        w.pick(
            f"they sat {shelter.at} and told each other stories until it was over.",
            f"to pass the time, {who} sang and {friend} clapped.",
            f"they lit a lamp, and {friend} dried {friend.his} shoes.",
            "they made a fire and dried their coats.",
            f"for {w.pick('an hour', 'two hours', 'half the night')} they heard nothing but the wind.",
            f"{who} sat at the window and {friend} lay down on some sacks.",
            "they waited, and slowly it grew quiet.",
            f"{friend} found some old sacks, and they wrapped themselves in them.",
            f"water dripped through the roof, so {who} put a bucket under the hole.",
            f"{who} knew a game with fingers, and they played it again and again.",
        )
    )


def _after(w: World, who: Person, friend: Person, snow: bool) -> None:
    if snow:
        w.say(
            w.pick(
                f"the next morning {who} and {friend} built a big man of snow.",
                "later they dug a path through the snow.",
                f"when they came out, {who} threw a snowball and {friend} laughed.",
                f"when it stopped, a farmer took them home on {w.pick('a sledge', 'his cart')}.",
            )
        )
        return
    w.say(
        w.pick(
            f"when the sun came out again, there was a rainbow over the {w.draw(OUTDOORS).noun}.",
            f"in the morning a tree lay across the road, and {who} helped to clear it away.",
            f"then the clouds went away. {who} and {friend} jumped over every puddle.",
            f"the wind had blown down a fence. {who} and {friend} put it up again.",
            f"part of the roof was gone, so {friend} and {friend.his} father mended it.",
            "at last it stopped. They went home and put on dry clothes.",
            f"{who} caught a cold and had to stay in bed for {w.pick('two', 'three')} days.",
            "the bridge was gone, so they had to take the long way home.",
        )
    )
