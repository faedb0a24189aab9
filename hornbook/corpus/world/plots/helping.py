"""Helping: somebody has too much to do or is stuck, and somebody comes."""

from hornbook.corpus.world import endings, openings, speech
from hornbook.corpus.world.grammar import capital
from hornbook.corpus.world.lexicon import (
    ADULTS,
    FOOD,
    FRUIT,
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
        task, more = _need(w, who, other)
        _offer(w, who, other)
        _work(w, who, other, task, more)
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


def _need(w: World, who: Person, other: Person) -> tuple[str, str]:
    """Tell what is wrong; returns what sets it right and one more thing to do, in the past."""
    fruit = w.draw(FRUIT).many
    need, task, more = w.pick(
        (
            f"was carrying a heavy basket and had to stop at every {w.pick('tree', 'corner')}",
            "carried the basket",
            "opened the door",
        ),
        (f"had hurt {other.his} foot and could not walk", "brought a stick", "fetched the doctor")
        if other.name != "the doctor"
        else (f"had hurt {other.his} foot", "brought a stick", "tied a cloth around the foot"),
        (
            f"was standing on a ladder and could not reach the {fruit}",
            "climbed up the tree",
            f"picked all the {fruit}",
        ),
        (
            "had so much work that there was no time for lunch",
            "swept the floor",
            "washed the plates",
        ),
        (f"had dropped a bag of {fruit} on the road", "picked everything up", "mended the bag"),
        (
            "was trying to push a cart out of the mud",
            "pushed as hard as possible",
            "held the horse",
        ),
        (
            f"was looking at a hole in {other.his} roof",
            "went for a hammer and nails",
            "held the ladder",
        ),
        ("was ill and had no wood for the fire", "chopped the wood", "made hot soup"),
        (
            f"had a long letter but had lost {other.his} glasses",
            "read the letter aloud",
            "wrote an answer",
        ),
        (
            f"had a garden full of weeds and a bad {w.pick('back', 'foot')}",
            "pulled out the weeds",
            "watered the beans",
        ),
        ("had no water in the house", "fetched water", "cleaned the bucket"),
        ("could not open a rusty lock", "fetched some oil", "turned the key with both hands"),
        ("had to paint a long fence before dark", "mixed the paint", "took a second brush"),
        ("had not fed the hens yet", "fed the hens", "collected the eggs"),
    )
    lead = w.pick("", "there ", "on the way, ", "a little later, ")
    w.say(
        f"{lead}{w.sub(who)} {w.pick('met', 'saw')} {other}, who {need}."
        if w.chance(0.6)
        else f"{other} {need}.",
        other,
        who,
    )
    return task, more


def _offer(w: World, who: Person, other: Person) -> None:
    question, answers = w.pick(
        ("Can I help you?", ("That is kind of you", "Yes, please", "I would be very glad")),
        ("What is the matter?", ("I cannot do it alone", "I am too old for this work")),
        ("Shall I help you?", ("You are too small for this", "Yes, please", "Oh, thank you")),
        ("May I help?", ("That is kind of you", "But it is hard work", "Of course")),
    )
    w.say(
        f"{capital(speech.ask(w, who, question))} {capital(speech.reply(w, other, w.draw(answers)))}",
        who,
        other,
    )


def _work(w: World, who: Person, other: Person, task: str, more: str) -> None:
    w.say(
        w.pick(
            f"so {who} {task} and {more}.",
            f"{who} {task}. Then {who.he} {more}.",
            f"{who} {task} while {other} rested.",
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
            f"{capital(speech.ask(w, other, 'What would I do without you?'))} {who} got {given}.",
            f"as a reward, {who} got {given} from {other}.",
            f"when everything was done, {other} gave {who.him} {given}.",
            f'{other} smiled and said, "These {given} are for you."',
        ),
        who,
        other,
    )
    if w.chance(0.3):
        w.say(
            w.pick(
                f"now {who} visits {other} every {w.pick('Sunday', 'week', 'Friday')}.",
                f"the next day {who} came again.",
                f"{who} ran home and showed them to everyone.",
            ),
            who,
        )
