"""A school day: spelling, counting, comparing, and what goes wrong on the way."""

from hornbook.corpus.world import endings, speech
from hornbook.corpus.world.grammar import NUMBERS, capital
from hornbook.corpus.world.lexicon import CHILDREN, GOODS, SPELLING_WORDS, TEACHERS, Person
from hornbook.corpus.world.predicates import COMPARED, chain, predicate
from hornbook.corpus.world.state import World

SCHOOL_DAYS = (
    "one morning",
    "on Monday",
    "on Tuesday morning",
    "on Wednesday",
    "on Thursday morning",
    "on Friday",
    "one cold morning",
    "after the holidays",
    "one day in autumn",
    "early in the morning",
)


def tell(w: World) -> None:
    """A lesson with questions and answers."""
    who, friend = w.child(), w.child()
    teacher = w.enter(w.draw(TEACHERS))
    _arrival(w, who, friend, teacher)
    tasks = (_spelling, _adding, _comparing, _tenses)
    first = w.number(0, 3)
    for offset in range(3):
        pupil, other = (who, friend) if offset % 2 == 0 else (friend, who)
        tasks[(first + offset) % 4](w, pupil, other, teacher)
    if w.chance(0.6):
        _break(w, who, friend, teacher)
    if w.chance(0.4):
        endings.evening(w, who, friend)


def _arrival(w: World, who: Person, friend: Person, teacher: Person) -> None:
    day = w.draw(SCHOOL_DAYS)
    w.say(
        w.pick(
            f"{who} ran to school, for {who.he} was late.",
            f"the bell rang, and {who} and {friend} sat down.",
            f"{day}, {who} sat beside {friend} and opened {who.his} book.",
            f"{day}, the teacher came in with a big box under {teacher.his} arm.",
            f"{who} liked numbers, and {friend} liked words.",
            f"it was {who}'s first day, and {friend} showed {who.him} where to sit.",
            f"{who} and {friend} had learned all evening, because there was a test.",
            f"outside the sun was shining, but {who} and {friend} had a lesson.",
        ),
        who,
        friend,
    )


def _spelling(w: World, who: Person, friend: Person, teacher: Person) -> None:
    word = w.draw(SPELLING_WORDS)
    letters = "-".join(word)
    question = w.pick(
        f"How do you spell {word}?", f"Who can spell {word}?", f"Can you spell {word}?"
    )
    if w.chance(0.25):
        wrong = "-".join(word[:-1])
        w.say(
            f"{who} wrote {wrong} on the board. {capital(speech.tell(w, teacher, f'Look again: {word} is {letters}'))}",
            who,
        )
        return
    w.say(
        f"{speech.ask(w, teacher, question)} {capital(speech.reply(w, who, f'It is {letters}' if w.chance(0.5) else capital(letters)))}",
        who,
        teacher,
    )


def _adding(w: World, who: Person, friend: Person, teacher: Person) -> None:
    goods = w.draw(GOODS)
    adding = w.chance(0.5)
    if adding:
        first, second = w.number(1, 5), w.number(1, 4)
        total = first + second
        words = w.pick(
            f"You have {goods.of[first]} and get {NUMBERS[second]} more",
            f"There are {goods.of[first]}, and I add {NUMBERS[second]}"
            if first > 1
            else f"There is {goods.of[first]}, and I add {NUMBERS[second]}",
        )
    else:
        first = w.number(4, 9)
        second = w.number(1, first - 2)
        total = first - second
        words = w.pick(
            f"You have {goods.of[first]} and give {NUMBERS[second]} away",
            f"I have {goods.of[first]} and eat {NUMBERS[second]}"
            if goods in GOODS[:-8]
            else f"I have {goods.of[first]} and lose {NUMBERS[second]}",
        )
    answer = capital(goods.of[total])
    end = w.pick("How many is that?", "How many are there now?") if adding else "How many are left?"
    w.say(
        f"{capital(speech.ask(w, teacher, f'{words}. {end}'))} "
        f"{capital(speech.reply(w, who, answer))}",
        who,
        teacher,
    )


def _comparing(w: World, who: Person, friend: Person, teacher: Person) -> None:
    goods = w.draw(GOODS)
    other = w.draw_other(CHILDREN, *w.cast)
    if w.chance(0.3):
        third = w.draw_other(CHILDREN, other, *w.cast)
        than, most, least = w.draw(COMPARED)
        named, word = (friend, most) if w.chance(0.5) else (third, least)
        order = chain(w, friend, other, third, than)
        w.say(
            f"{speech.ask(w, teacher, f'{order} Who is the {word}?')} "
            f"{capital(speech.reply(w, who, f'{named.name} is the {word}'))}",
            who,
            teacher,
        )
        return
    mine, theirs = w.number(2, 9), w.number(2, 8)
    if theirs >= mine:
        theirs += 1
    more, fewer = (friend, other) if mine > theirs else (other, friend)
    question = f"{friend} has {goods.of[mine]} and {other} has {NUMBERS[theirs]}. Who has "
    w.say(
        w.pick(
            f"{speech.ask(w, teacher, f'{question}more?')} "
            f"{capital(speech.reply(w, who, f'{more.name} has more'))}",
            f"{speech.ask(w, teacher, f'{question}fewer?')} "
            f"{capital(speech.reply(w, who, f'{fewer.name} has fewer'))}",
        ),
        who,
        teacher,
    )


def _tenses(w: World, who: Person, friend: Person, teacher: Person) -> None:
    verb = predicate(w)
    today, yesterday = f"{verb.third} {verb.rest}", f"{verb.past} {verb.rest}"
    w.say(
        w.pick(
            f"{speech.ask(w, teacher, f'Today {friend} {today}. And yesterday?')} "
            f"{capital(speech.reply(w, who, f'Yesterday {friend} {yesterday}'))}",
            f"{speech.ask(w, teacher, f'Today I {verb.base} {verb.rest}. And yesterday?')} "
            f"{capital(speech.reply(w, who, f'Yesterday you {yesterday}'))}",
        ),
        who,
        teacher,
    )


def _break(w: World, who: Person, friend: Person, teacher: Person) -> None:
    w.say(
        w.pick(
            f"{capital(speech.tell(w, teacher, w.pick('That is enough for today', 'You have worked well', 'Now we will sing')))}",
            f"{friend} whispered, and the teacher looked at {friend.him}.",
            "then the bell rang, and everyone ran outside.",
            f"the teacher smiled and read them a story about {w.pick('a king', 'a bear', 'the moon')}.",
            f"suddenly {w.pick('a mouse', 'a bird', 'a frog', 'a cat')} came in, and nobody could "
            "learn any more.",
            f"{who} was proud and drew a star in {who.his} book.",
            f"after the lesson, {who} and {friend} cleaned the board.",
            f"{friend} had forgotten {friend.his} bread, so {who} gave {friend.him} half of {who.his} own.",
        ),
        who,
        friend,
    )
