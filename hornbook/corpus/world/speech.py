"""Dialogue: who says what in which order, and questions answered from the state of the world."""

from hornbook.corpus.world.grammar import capital
from hornbook.corpus.world.lexicon import Goods, Person, Thing
from hornbook.corpus.world.state import World

PRONOUNS = ("he", "she")
"""These never follow their verb: "he said", not "said he"."""


def ask(w: World, who: Person | str, question: str) -> str:
    """Somebody asks; `question` ends in a question mark."""
    if who in PRONOUNS:
        return f'"{question}" {who} asked.'
    return w.pick(
        f'"{question}" asked {who}.',
        f'"{question}" {who} asked.',
        f'{who} asked, "{question}"',
        f'"{question}" said {who}.',
    )


def tell(w: World, who: Person | str, words: str) -> str:
    """Somebody says `words`, which carry no mark at their end."""
    if who in PRONOUNS:
        return f'"{words}," {who} said.'
    return w.pick(
        f'"{words}," said {who}.',
        f'"{words}," {who} said.',
        f'{who} said, "{words}."',
    )


def reply(w: World, who: Person | str, words: str) -> str:
    """Somebody answers `words`, which carry no mark at their end."""
    if who in PRONOUNS:
        return f'"{words}," {who} {w.pick("said", "answered")}.'
    return w.pick(
        f'"{words}," said {who}.',
        f'"{words}," answered {who}.',
        f'"{words}," {who} said.',
        f'{who} answered, "{words}."',
    )


def cry(w: World, who: Person | str, words: str) -> str:
    """Somebody calls out `words`, which carry no mark at their end."""
    if who in PRONOUNS:
        return f'"{words}!" {who} {w.pick("cried", "shouted", "called")}.'
    return w.pick(
        f'"{words}!" cried {who}.',
        f'"{words}!" {who} shouted.',
        f'"{words}!" called {who}.',
        f'{who} shouted, "{words}!"',
    )


def whisper(w: World, who: Person | str, words: str) -> str:
    """Somebody says `words` softly; they carry no mark at their end."""
    if who in PRONOUNS:
        return f'"{words}," {who} {w.pick("whispered", "said softly")}.'
    return w.pick(
        f'"{words}," whispered {who}.',
        f'"{words}," {who} said softly.',
        f'{who} whispered, "{words}."',
    )


def talk_where(w: World, asker: Person, answerer: Person, thing: Thing) -> None:
    """One asks where a thing is, the other says what the state knows."""
    spot = w.spot.get(thing)
    holder = w.holder.get(thing)
    if spot is not None:
        answer = w.pick(f"It is {spot}", f"It is {spot}", f"{capital(thing.the)} is {spot}")
    elif holder is answerer:
        answer = "I have it"
    elif holder is asker or holder is None:
        return
    else:
        answer = f"{capital(holder.name)} has it"
    question = w.pick(f"Where is {thing.the}?", f"Where is {thing.short}?")
    w.say(f"{ask(w, asker, question)} {capital(reply(w, answerer, answer))}")


def talk_who(w: World, asker: Person, answerer: Person, thing: Thing) -> None:
    """One asks who has a thing, the other says what the state knows."""
    holder = w.holder.get(thing)
    if holder is None or holder is asker:
        return
    answer = "I have it" if holder is answerer else f"{capital(holder.name)} has it"
    question = ask(w, asker, f"Who has {thing.the}?")
    w.say(f"{question} {capital(reply(w, answerer, answer))}")


def talk_many(w: World, asker: Person | str, answerer: Person, goods: Goods) -> None:
    """One asks how many the other has."""
    number = w.count[answerer, goods]
    answer = w.pick(f"I have {goods.of[number]}", f"{capital(goods.of[number])}")
    question = ask(w, asker, f"How many {goods.many} do you have?")
    w.say(f"{question} {capital(reply(w, answerer, answer))}")
