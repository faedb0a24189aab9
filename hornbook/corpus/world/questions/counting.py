"""List, count and compare: scenes with several people, things and numbers."""

from hornbook.corpus.world import events
from hornbook.corpus.world.grammar import NUMBERS, join
from hornbook.corpus.world.lexicon import (
    ANIMALS,
    BY_NOUN,
    FOOD,
    GOODS,
    OUTDOORS,
    PLACES,
    WEARABLES,
    Animal,
    Goods,
)
from hornbook.corpus.world.predicates import COMPARED, chain
from hornbook.corpus.world.questions.question import Question, cast, setting
from hornbook.corpus.world.state import World

CHEAP_NOUNS = ("ball", "kite", "cup", "book", "drum", "doll", "lamp", *WEARABLES)


def listing(w: World) -> Question:
    """All of something, in the order in which the scene names it."""
    setting(w)
    return w.pick(_list_people, _list_bought, _list_animals)(w)


def _list_people(w: World) -> Question:
    people = cast(w, w.number(2, 4))
    for person in people:
        thing = w.thing()
        if w.chance(0.5):
            events.go(w, person, w.draw(PLACES))
        else:
            events.find(w, person, thing, w.draw(PLACES).at)
    return Question(
        w.pick(
            "List the people in the story.",
            "Name all the people in the story.",
            "List everyone who is in the story.",
        ),
        w.text,
        join([person.name for person in people]),
    )


def _list_bought(w: World) -> Question:
    buyer, other = cast(w, 2)
    bought: list[str] = []
    goods: list[Goods] = []
    for _ in range(w.number(2, 3)):
        if w.chance(0.5):
            bought.append(w.thing().a)
        else:
            goods.append(w.draw_other(FOOD, *goods))
            bought.append(goods[-1].of[w.number(2, 9)])
    others = w.thing().a
    w.say(w.pick(f"{buyer} went to the shop.", f"{buyer} and {other} went to the market."))
    if w.chance(0.5):
        w.say(f"{buyer} bought {join(bought)}.", buyer)
        w.say(f"{other} bought {others}.")
    else:
        w.say(f"first {buyer} bought {bought[0]}.", buyer)
        w.say(f"{other} bought {others}.", other)
        w.say(f"then {buyer} bought {join(bought[1:])}.", buyer)
    return Question(
        w.pick(
            f"List what {buyer} bought.",
            f"What did {buyer} buy? Make a list.",
            f"Name everything that {buyer} bought.",
        ),
        w.text,
        join(bought),
    )


def _list_animals(w: World) -> Question:
    (who,) = cast(w, 1)
    kinds: list[tuple[Animal, ...]] = []
    seen: list[Animal] = []
    place = w.draw(OUTDOORS)
    events.go(w, who, place)
    for step in range(w.number(2, 4)):
        kinds.append(w.draw_other(ANIMALS, *kinds))
        animal = w.draw(kinds[-1])
        seen.append(animal)
        s = w.sub(who)
        lead = (
            w.pick("there ", "first ") if step == 0 else w.pick("then ", "later, ", "after that, ")
        )
        w.say(
            w.pick(
                f"{lead}{s} saw {animal.a}.",
                f"{lead}{s} met {animal.a}.",
                f"{lead}{animal.a} came.",
            ),
            who,
        )
    return Question(
        w.pick(
            "List the animals in the story.",
            "Name all the animals in the story.",
            "Which animals are in the story? Make a list.",
        ),
        w.text,
        join([animal.the for animal in seen]),
    )


def count(w: World) -> Question:
    """How many: told outright, or after some more or fewer."""
    setting(w)
    if w.chance(0.15):
        return _count_people(w)
    who, other = cast(w, 2)
    goods = w.draw(GOODS)
    if w.chance(0.5):
        events.have_many(w, who, goods, w.number(2, 9))
    else:
        number = w.number(2, 6)
        events.have_many(w, who, goods, number)
        if w.chance(0.5):
            events.gain_many(w, who, goods, w.number(1, min(4, 9 - number)))
        elif number > 2:
            events.lose_many(w, who, goods, w.number(1, number - 2), goods in FOOD)
    subject = who
    if w.chance(0.5):
        events.have_many(w, other, goods, w.number(2, 9))
        subject = w.pick(who, other)
    if w.chance(0.3):
        events.go(w, who, w.draw(PLACES))
    return Question(
        w.pick(
            f"How many {goods.many} does {subject} have at the end?",
            f"Say how many {goods.many} {subject} has at the end.",
            f"Count the {goods.many} that {subject} has at the end.",
        ),
        w.text,
        goods.of[w.count[subject, goods]],
    )


def _count_people(w: World) -> Question:
    people = cast(w, w.number(2, 5))
    for person in people:
        events.go(w, person, w.draw(PLACES))
    return Question(
        w.pick("How many people are in the story?", "Count the people in the story."),
        w.text,
        f"{NUMBERS[len(people)]} people",
    )


def compare(w: World) -> Question:
    """Which of two or three is more, older, earlier, dearer or faster."""
    setting(w)
    return w.pick(_more, _older, _earlier, _dearer, _fastest)(w)


def _two_numbers(w: World, low: int, high: int) -> tuple[int, int]:
    first = w.number(low, high)
    second = w.number(low, high - 1)
    return first, second + (second >= first)


def _more(w: World) -> Question:
    people = cast(w, 2)
    goods = w.draw(GOODS)
    numbers = _two_numbers(w, 2, 9)
    for person, number in zip(people, numbers, strict=True):
        events.have_many(w, person, goods, number)
    more, fewer = people if numbers[0] > numbers[1] else people[::-1]
    names = f"{people[0]} or {people[1]}"
    if w.chance(0.5):
        return Question(f"Who has more {goods.many}, {names}?", w.text, more.name)
    return Question(f"Who has fewer {goods.many}, {names}?", w.text, fewer.name)


def _older(w: World) -> Question:
    people = cast(w, 2)
    ages = _two_numbers(w, 5, 12)
    first, second = people
    a, b = NUMBERS[ages[0]], NUMBERS[ages[1]]
    w.say(
        w.pick(
            f"{first} is {a} years old, and {second} is {b}.",
            f"{first} is {a} years old. {second} is {b} years old.",
            f"{first} turned {a} today. {second} turned {b} last week.",
        )
    )
    w.say(w.pick("They are good friends.", "They live in the same house.", "They play together."))
    old, young = people if ages[0] > ages[1] else people[::-1]
    if w.chance(0.5):
        return Question(f"Who is older, {first} or {second}?", w.text, old.name)
    return Question(f"Who is younger, {first} or {second}?", w.text, young.name)


def _earlier(w: World) -> Question:
    people = cast(w, 2)
    hours = _two_numbers(w, 2, 11)
    first, second = people
    place = w.draw(PLACES)
    a, b = f"{NUMBERS[hours[0]]} o'clock", f"{NUMBERS[hours[1]]} o'clock"
    w.say(
        w.pick(
            f"{first} came {place.to} at {a}. {second} came at {b}.",
            f"at {a}, {first} was {place.at}. {second} got there at {b}.",
            f"{first} left at {a}, and {second} left at {b}. They met {place.at}.",
        )
    )
    early, late = people if hours[0] < hours[1] else people[::-1]
    if w.chance(0.5):
        return Question(f"Who was earlier, {first} or {second}?", w.text, early.name)
    return Question(f"Who was later, {first} or {second}?", w.text, late.name)


def _dearer(w: World) -> Question:
    (who,) = cast(w, 1)
    first = w.draw(BY_NOUN[w.draw(CHEAP_NOUNS)])
    second = w.draw(BY_NOUN[w.draw_other(CHEAP_NOUNS, first.noun)])
    prices = _two_numbers(w, 2, 9)
    a, b = f"{NUMBERS[prices[0]]} coins", f"{NUMBERS[prices[1]]} coins"
    w.say(
        w.pick(
            f"{who} saw {first.a} for {a} and {second.a} for {b}.",
            f"in the shop, {first.a} cost {a}, and {second.a} cost {b}. {who} looked at both.",
            f"{who} paid {a} for {first.a} and {b} for {second.a}.",
        )
    )
    things = (first.the, second.the)
    dear, cheap = things if prices[0] > prices[1] else things[::-1]
    if w.chance(0.5):
        return Question(f"Which cost more, {things[0]} or {things[1]}?", w.text, dear)
    return Question(f"Which cost less, {things[0]} or {things[1]}?", w.text, cheap)


def _fastest(w: World) -> Question:
    top, middle, last = cast(w, 3)
    more, most, least = w.draw(COMPARED)
    order = chain(w, top, middle, last, more)
    filler = w.pick("They are friends.", "They go to the same school.", "They play every day.")
    w.say(f"{order} {filler}" if w.chance(0.6) else f"{filler} {order}")
    answer, word = (top, most) if w.chance(0.5) else (last, least)
    return Question(f"Who is the {word}?", w.text, answer.name)
