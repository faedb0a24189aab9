"""Animal mischief: an animal takes or upsets something, and people run after it."""

from hornbook.corpus.world import endings, speech
from hornbook.corpus.world.grammar import NUMBERS, capital
from hornbook.corpus.world.lexicon import (
    ADULTS,
    FOOD,
    PLACES,
    THIEVES,
    Animal,
    Goods,
    Person,
    Place,
    Thing,
)
from hornbook.corpus.world.openings import DAYS
from hornbook.corpus.world.state import World

CHASE = tuple(
    place for place in PLACES if place.noun not in ("kitchen", "attic", "cellar", "hall", "valley")
)
"""Places that one can run past and hide at."""


def tell(w: World) -> None:
    """An animal steals food or a thing."""
    animal = w.animal(THIEVES)
    owner = w.child() if w.chance(0.5) else w.adult(ADULTS)
    place = w.draw(PLACES)
    w.goes(owner, place)
    _setting(w, animal, owner, place)
    food = w.chance(0.6)
    if food:
        _steals_food(w, animal, owner)
    else:
        _steals_thing(w, animal, owner, w.thing())
    _shouting(w, animal, owner)
    _chase(w, animal, owner, place)
    _end(w, animal, owner, food)
    if w.chance(0.3):
        endings.evening(w, owner)


def _setting(w: World, animal: Animal, owner: Person, place: Place) -> None:
    day = w.draw(DAYS)
    w.say(
        w.pick(
            f"{owner} had {animal.a} that was always hungry.",
            f"{day}, {animal.a} came {place.to}, where {owner} was at work.",
            f"{owner} was {place.at} and did not see {animal.the} at the door.",
            f"{animal.the} had eaten nothing all day. It came {place.to} and looked around.",
            f"{day}, {owner} was working {place.at}. {capital(animal.the)} was watching.",
            f"everybody knew {animal.the}, for it was never quiet.",
            f"{day}, {owner} left the gate open, and {animal.a} walked in.",
            f"{animal.the} was bored. {capital(day)}, it went {place.to} to see what {owner} was doing.",
        )
    )


def _steals_food(w: World, animal: Animal, owner: Person) -> None:
    goods: Goods = w.draw(FOOD)
    had = w.number(3, 9)
    stolen = w.number(1, had - 1)
    it = "them" if stolen > 1 else "it"
    verb = "were" if had - stolen > 1 else "was"
    lies = w.pick("in a basket", "on a bench", "on a plate", "in a bowl", "on a cloth")
    if w.chance(0.4):
        w.say(
            w.pick(
                f"when {owner} turned away, {animal.short} took {goods.of[stolen]} and ate {it}.",
                f"{animal.short} smelled the {goods.many} {lies}. It jumped up and ate "
                f"{goods.of[stolen]}.",
                f"{animal.short} saw the {goods.many} {lies} and could not wait. "
                f"{capital(goods.of[stolen])} disappeared at once.",
            )
        )
        return
    w.counts(owner, goods, had - stolen)
    some = NUMBERS[stolen]
    w.say(
        w.pick(
            f"{owner} had {goods.of[had]}. They lay {lies}. {capital(animal.short)} ate {some}.",
            f"{owner} had put {goods.of[had]} {lies}, but {animal.short} stole {some} of them.",
            f"{owner} had left {goods.of[had]} {lies}. Very quietly, {animal.short} carried "
            f"{some} away, and only {NUMBERS[had - stolen]} {verb} left.",
        )
    )


def _steals_thing(w: World, animal: Animal, owner: Person, thing: Thing) -> None:
    w.say(
        w.pick(
            f"{owner}'s {thing.name} lay on a chair. {capital(animal.short)} took it and {animal.ran}.",
            f"suddenly {animal.short} took {owner}'s {thing.name} and {animal.ran}.",
            f"{animal.short} knocked over the milk and sat down on {owner}'s {thing.name}.",
            f"{animal.short} saw {thing.a} shining in the sun, took it and {animal.ran}."
            if thing.adjective in ("silver", "golden", "shiny")
            else f"{animal.short} found {thing.a} and played with it until it was dirty.",
            f"{owner} put down {owner.his} {thing.name}, and a moment later {animal.short} had it.",
        )
    )


def _shouting(w: World, animal: Animal, owner: Person) -> None:
    w.say(
        w.pick(
            f"{capital(speech.cry(w, owner, w.pick('Stop', 'Come back', 'Thief', 'Oh no', 'Bad animal')))}",
            f"{owner} came in and could not believe {owner.his} eyes.",
            f"{owner} shouted so loudly that the neighbours came out.",
            f"{capital(speech.ask(w, owner, w.pick('Who did this?', 'What is going on here?')))} "
            f"{capital(animal.short)} {animal.voice}.",
            f"{owner} was angry, but {animal.short} only {animal.voice}.",
            f"a boy saw it and called {owner}.",
        ),
        owner,
    )


def _chase(w: World, animal: Animal, owner: Person, place: Place) -> None:
    first, second = w.draw(CHASE), w.draw_other(CHASE, place)
    helper = w.draw(ADULTS)
    if helper.name == owner.name:
        helper = w.draw_other(ADULTS, *(a for a in ADULTS if a.name == owner.name))
    w.say(
        w.pick(
            f"{owner} ran after it, past {first.the} and over a wall.",
            f"they chased it round and round, and {helper} fell into a heap of straw.",
            f"{owner} took a broom and ran, but {animal.short} was faster.",
            f"{animal.short} got out and hid {second.at}.",
            f"{owner} slipped on the wet stones and landed in a puddle.",
            "two chairs fell over, and flour flew through the air like snow.",
            f"{helper} threw a net over it, but it bit a hole and escaped.",
            f"{helper} tried to catch it but caught only {w.pick('mud', 'air', 'a chair')}.",
            f"it ran between the legs of {helper} and knocked over a bucket.",
            f"{animal.short} {animal.ran}, and {owner} ran after it all the way {second.to}.",
        )
    )


def _end(w: World, animal: Animal, owner: Person, food: bool) -> None:
    words = w.pick(
        "You are clever",
        "Next time I will lock the door",
        "At least you liked it" if food else "You only wanted to play",
    )
    w.say(
        w.pick(
            f"in the end {animal.short} lay down and fell asleep, for it was "
            f"{'full' if food else 'tired'}.",
            f"at last {owner} had to laugh. {capital(w.sub(owner))} gave {animal.short} some water.",
            f"since that day, {owner} has kept the door shut.",
            f"that evening {owner} built a new fence, and {animal.short} watched.",
            f"{capital(speech.tell(w, owner, words))}",
            f"the next day {owner} gave {animal.short} its own bowl, and it never stole again.",
            f"{owner} looked at its sad eyes and could not be angry any more.",
            f"but the next morning {animal.short} was there again.",
            f"as a punishment, {animal.short} had to stay in the shed. At night it got out.",
        ),
        owner,
    )
