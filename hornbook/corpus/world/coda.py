"""Talk after a story: somebody asks about what was told, and the answer is what the state knows."""

from collections.abc import Callable

from hornbook.corpus.world import speech
from hornbook.corpus.world.grammar import capital, join
from hornbook.corpus.world.lexicon import Person
from hornbook.corpus.world.state import World

ASKERS = (
    "mother",
    "father",
    "grandmother",
    "grandfather",
    "sister",
    "brother",
    "aunt",
    "uncle",
    "cousin",
)


def talk(w: World) -> None:
    """One question and its answer, if anything can be asked."""
    teller = next((who for who in w.cast if who.kind in ("girl", "boy")), None)
    if teller is None:
        return
    asker = f"{teller.his} {w.draw(ASKERS)}"
    options: list[Callable[[World, Person], tuple[str, str] | None]] = [_who_was_there, _where]
    if w.holder:
        options += [_who_has, _who_has]
    if w.spot:
        options += [_where_is, _where_is]
    if w.count:
        options.append(_how_many)
    pair = options[int(w.random() * len(options))](w, teller)
    if pair is None:
        return
    question, answer = pair
    lead = w.pick("later, ", "that evening, ", "at supper, ", "the next day, ")
    w.say(
        w.pick(
            f'{lead}{asker} asked, "{question}"',
            f"{lead}{teller} told {asker} about it. {capital(speech.ask(w, asker, question))}",
            f"{capital(speech.ask(w, asker, question))}",
        )
        + f" {capital(speech.reply(w, teller, answer))}",
    )


def _who_was_there(w: World, teller: Person) -> tuple[str, str] | None:
    others = [who.name for who in w.cast if who is not teller]
    if not others:
        return None
    return w.pick("Who was there?", "Whom did you meet?", "Who was with you?"), capital(
        join(others)
    )


def _where(w: World, teller: Person) -> tuple[str, str] | None:
    if teller not in w.location:
        return None
    return w.pick("Where were you today?", "Where have you been?"), f"I was {w.location[teller]}"


def _who_has(w: World, teller: Person) -> tuple[str, str]:
    thing, holder = w.pick(*w.holder.items())
    question = w.pick(f"Who has {thing.the} now?", f"And who has {thing.the}?")
    return question, "I have it" if holder is teller else f"{capital(holder.name)} has it"


def _where_is(w: World, teller: Person) -> tuple[str, str]:
    thing, spot = w.pick(*w.spot.items())
    return w.pick(f"Where is {thing.the} now?", f"And where is {thing.the}?"), f"It is {spot}"


def _how_many(w: World, teller: Person) -> tuple[str, str]:
    (who, goods), number = w.pick(*w.count.items())
    if who is teller:
        return f"How many {goods.many} do you have?", f"I have {goods.of[number]}"
    return f"How many {goods.many} does {who} have?", capital(goods.of[number])
