"""Helping: somebody has too much to do or is stuck, and somebody comes."""

from hornbook.corpus.world import endings, openings, speech
from hornbook.corpus.world.grammar import capital
from hornbook.corpus.world.lexicon import (
    ADULTS,
    FOOD,
    OUTDOORS,
    PLACES,
    SMALL_ANIMALS,
    Person,
)
from hornbook.corpus.world.state import World


def tell(w: World) -> None:
    """A child helps a grown-up or an animal."""
    who = w.child()
    if w.chance(0.35):
        openings.introduce(w, who, w.draw(OUTDOORS))
        _help_animal(w, who)
    else:
        openings.introduce(w, who, w.draw(PLACES))
        other = w.adult(ADULTS)
        _need(w, who, other)
        _offer(w, who, other)
        _work(w, who, other)
        _thanks(w, who, other)
    if w.chance(0.5):
        endings.evening(w, who)


def _help_animal(w: World, who: Person) -> None:
    kind = w.draw(SMALL_ANIMALS)
    animal = w.draw(kind)
    s = w.sub(who)
    trouble, rescue = w.pick(
        (f"{animal.a} was stuck in a fence", "bent the wire and set it free"),
        (f"{animal.a} had fallen into a hole", "climbed down and lifted it out"),
        (f"{animal.a} had hurt its leg", "tied a clean cloth around the leg"),
        (f"{animal.a} had lost its mother", "carried it until they found her"),
        (f"{animal.a} was shaking with cold", f"wrapped it in {who.his} coat"),
        (f"{animal.a} had a thorn in its foot", "pulled the thorn out"),
        (f"{animal.a} was caught in an old net", "cut the net with a knife"),
    )
    w.say(
        w.pick(
            f"suddenly {s} heard a small sound. {capital(trouble)}!",
            f"there {who.he} saw that {trouble}.",
            f"beside the path, {trouble}.",
            f"{s} stopped, because {trouble}.",
        ),
        who,
    )
    s = w.sub(who)
    words = w.pick("Do not be afraid", "Poor little thing", "Keep still", "I will help you")
    w.say(
        w.pick(
            f"{capital(speech.tell(w, s, words))}",
            f"{s} went close, very slowly.",
            f"{capital(speech.whisper(w, s, words))}",
            f"it looked at {who.him} with big eyes.",
        ),
        who,
    )
    w.say(
        w.pick(
            f"{who} {rescue}.",
            f"very carefully, {who} {rescue}.",
            f"it was not easy, but {who} {rescue}.",
            f"with some help from {w.draw(ADULTS)}, {who} {rescue}.",
        ),
        who,
    )
    s = w.sub(who)
    w.say(
        w.pick(
            f"{s} gave it {w.pick('some water', 'warm milk', 'a little bread', 'something to eat')}.",
            f"after {w.pick('two', 'three', 'five')} days, {animal.short} was well again.",
            f"{s} stayed with it until it felt better.",
            f"{animal.short} {animal.voice} as if to say thank you.",
        ),
        who,
    )
    w.say(
        w.pick(
            f"then it {animal.ran}, but the next day it came back.",
            f"from then on, {animal.short} followed {who} everywhere.",
            f"since that day, {who} and {animal.short} have been friends.",
            f"at last {animal.short} {animal.ran}, and {who} waved.",
        ),
        who,
    )


def _need(w: World, who: Person, other: Person) -> None:
    goods = w.draw(FOOD)
    w.say(
        w.pick(
            f"{other} was carrying a heavy basket, and {other.he} had to stop at every tree.",
            f"there {who.he} met {other}, who had hurt {other.his} foot.",
            f"{other} was standing on a ladder and could not reach the {goods.many}.",
            f"{other} had so much work that {other.he} did not know where to begin.",
            f"{other} had dropped a bag, and there were {goods.many} all over the road.",
            f"{other} was trying to push a cart out of the mud.",
            f"{other} was looking at a hole in {other.his} roof.",
            f"{other} was ill, and nobody had brought in any wood.",
            f"{other} had a long letter but had broken {other.his} glasses.",
            f"{other} sat on a stone and looked very tired.",
        ),
        other,
        who,
    )


def _offer(w: World, who: Person, other: Person) -> None:
    question = w.pick("Can I help you?", "What is the matter?", "Shall I help you?", "May I help?")
    answer = w.pick(
        "That is kind of you",
        "I cannot do it alone",
        "Yes, please",
        "You are too small for this",
        "I am too old for this work",
        "I would be very glad",
    )
    w.say(
        f"{capital(speech.ask(w, who, question))} {capital(speech.reply(w, other, answer))}",
        who,
        other,
    )


def _work(w: World, who: Person, other: Person) -> None:
    task = w.pick(
        "carried the basket",
        "picked everything up",
        "swept the floor",
        "fetched water from the well",
        "chopped the wood",
        "pushed as hard as possible",
        "fed the hens",
        "washed the plates",
        "went for a hammer and nails",
        "read the letter aloud",
        "pulled out the weeds",
        "held the ladder",
    )
    more = w.pick(
        "made some soup", "lit the fire", "opened the windows", "brought fresh bread", "watered the beans"
    )
    w.say(
        w.pick(
            f"so {who} {task} and {more}.",
            f"{who} {task}. Then {who.he} {more}.",
            f"{who} {task} while {other} {more}.",
            f"first {who} {task}, and after that {who.he} {more}.",
            f"{who} worked until noon: {who.he} {task} and {more}.",
            f"without a word, {who} {task}.",
        ),
        who,
        other,
    )


def _thanks(w: World, who: Person, other: Person) -> None:
    goods = w.draw(FOOD)
    number = w.number(2, 9)
    w.counts(who, goods, number)
    given = goods.of[number]
    w.say(
        w.pick(
            f"{other} thanked {who} and gave {who.him} {given}.",
            f"{capital(speech.tell(w, other, 'What would I do without you'))} "
            f"{who} got {given}.".replace("you.", "you?"),
            f"as a reward, {who} got {given} from {other}.",
            f"when everything was done, {other} gave {who.him} {given}.",
            f"{other} wanted to give {who.him} {given}, but {who} took only one.",
            f"{other} smiled and said, \"These {given} are for you.\"",
        ),
        who,
        other,
    )
    if w.chance(0.3):
        w.say(
            w.pick(
                f"now {who} visits {other} every {w.pick('Sunday', 'week', 'Friday')}.",
                f"the next day {who} came again.",
                f"{who} shared them with {who.his} family.",
            ),
            who,
        )
