"""A night mystery: a noise or a light in the dark, and what it really is."""

from hornbook.corpus.world import speech
from hornbook.corpus.world.grammar import capital
from hornbook.corpus.world.lexicon import ADULTS, INDOORS, NIGHT_ANIMALS, PLACES, Person, Place
from hornbook.corpus.world.state import World


def tell(w: World) -> None:
    """Somebody follows a strange sign in the dark and finds the cause."""
    who = w.child()
    friend = w.friend_of(who)
    place = w.draw(INDOORS if w.chance(0.6) else PLACES)
    sound = w.chance(0.6)
    _night(w, who)
    _sign(w, who, place, sound)
    _fear(w, who, friend)
    _going(w, who, friend, place)
    _truth(w, who, friend, place, sound)
    _relief(w, who, friend)


def _night(w: World, who: Person) -> None:
    w.say(
        w.pick(
            f"it was late, and {who} could not sleep.",
            f"one night, {who} woke up suddenly.",
            f"the moon was full, and the whole village was asleep. Only {who} was awake.",
            f"one dark evening, {who} was on the way home.",
            f"it was a {w.pick('cold', 'windy', 'quiet', 'warm')} night in "
            f"{w.pick('autumn', 'winter', 'spring', 'May')}, and {who} lay in bed.",
            f"when the clock struck {w.pick('ten', 'eleven', 'twelve')}, {who} was still reading.",
            f"one night there was no moon. {who} looked out of the window.",
            f"everyone had gone to bed but {who}.",
        ),
        who,
    )


def _sign(w: World, who: Person, place: Place, sound: bool) -> None:
    s = w.sub(who)
    if sound:
        noise = w.pick(
            "a knock", "a soft cry", "a scratching sound", "a strange noise", "a low voice"
        )
        w.say(
            w.pick(
                f"then {s} heard {noise} {place.at}.",
                f"from {place.the} came {noise}, and then another.",
                f"{s} held {who.his} breath. There was {noise}! It came from {place.the}.",
                f"something was moving {place.at}.",
                f"for the third night, {s} heard {noise} {place.at}.",
            ),
            who,
        )
        return
    w.say(
        w.pick(
            f"then {s} saw a light {place.at}, where there should be none.",
            f"a green light was shining {place.at}, where nobody lived.",
            f"two yellow eyes were shining {place.at}.",
            f"a tall shadow moved {place.at}.",
            f"something white was floating {place.at}.",
        ),
        who,
    )


def _fear(w: World, who: Person, friend: Person) -> None:
    question, answers = w.pick(
        ("What is that?", ("I do not know", "Let us go and see", "It is only the wind")),
        ("Is it a ghost?", ("I do not know", "There are no ghosts", "Hush", "Do not be afraid")),
        ("Who can it be?", ("Let us go and see", "Perhaps a thief", "I do not know")),
        ("Shall we go and look?", ("Yes, but quietly", "Of course", "I am not afraid")),
    )
    answer = w.draw(answers)
    s = w.sub(who)
    w.say(
        w.pick(
            f"{s} woke {w.pick(who.his + ' friend', who.his + ' cousin')} {friend}. {capital(speech.ask(w, who, question))} "
            f"{capital(speech.whisper(w, friend, answer))}",
            f"{friend} had noticed it too. {capital(speech.ask(w, friend, question))} "
            f"{capital(speech.whisper(w, who, answer))}",
            f"{s} was afraid, but {who.he} wanted to know what it was. {capital(who.he)} called {friend}.",
            f"{s} told {friend} about it, and {friend} only laughed. But then {friend.he} noticed it too.",
        ),
        who,
        friend,
    )


def _going(w: World, who: Person, friend: Person, place: Place) -> None:
    light = w.pick("a lamp", "a candle", "an old lantern", "a long stick")
    w.goes(who, place)
    w.goes(friend, place)
    w.say(
        w.pick(
            f"they took {light} and went {place.to}.",
            f"without a sound, they crept {place.to}.",
            f"{who} went first with {light}, and {friend} followed.",
            f"step by step, they came closer to {place.the}.",
            f"{friend} carried {light}, but the wind blew hard and {who} shook."
            if light != "a long stick"
            else f"{friend} carried {light}, just in case.",
            f"their knees trembled, but they went on towards {place.the}.",
            f"an icy breeze blew in their faces just as they reached {place.the}.",
            f"it was so dark {place.at} that they could not see their own hands.",
        )
    )


def _truth(w: World, who: Person, friend: Person, place: Place, sound: bool) -> None:
    if w.chance(0.6):
        animal = w.animal(NIGHT_ANIMALS)
        doing = w.pick(
            "looking for food",
            "eating a piece of cheese",
            f"playing with {w.thing().a}",
            "trying to get out",
            "sitting on a box",
            "running round in circles",
            "looking for its little ones",
        )
        w.say(
            w.pick(
                f"and what was it? {capital(animal.a)} was {doing}!",
                f"suddenly something {animal.voice}. It was only {animal.a}!",
                f"then {who} saw {animal.a}. It was {doing}.",
                f"{animal.a} sat there and {animal.voice}.",
                f"{friend} opened the door, and there stood {animal.a}.",
            )
        )
        return
    adult = w.adult(ADULTS)
    reason = w.pick(
        f"{adult.he} could not sleep",
        f"{adult.he} had lost {adult.his} glasses",
        f"{adult.he} was making a surprise",
        f"{adult.he} walked in {adult.his} sleep",
        f"{adult.he} wanted to look at the stars",
        f"{adult.he} was looking for {adult.his} cat",
    )
    w.say(
        w.pick(
            f"there sat {adult}. {capital(speech.ask(w, friend, 'What are you doing here?'))} "
            f"{capital(adult.name)} was there because {reason}.",
            f"it was {adult}! It turned out that {reason}.",
            f"it was not a ghost at all but {adult}, because {reason}.",
        )
    )


def _relief(w: World, who: Person, friend: Person) -> None:
    w.say(
        w.pick(
            f"{who} and {friend} laughed until their sides hurt.",
            f"{capital(speech.ask(w, friend, 'Were you afraid?'))} "
            f"{capital(speech.reply(w, who, w.pick('Not at all', 'Only a little', 'Yes, very much')))}",
            "so that was the whole secret.",
            f"{who} felt a little foolish, but {friend} patted {w.his(who, friend)} shoulder.",
            "they promised each other not to tell anybody how frightened they had been.",
            f"after that, {who} was never afraid of the dark again.",
            "they went back to bed and slept until noon.",
            "nobody would believe them the next morning.",
            f"{capital(speech.tell(w, who, 'And I thought it was a ghost'))}",
            f"{friend} took a deep breath and smiled.",
        ),
        who,
        friend,
    )
