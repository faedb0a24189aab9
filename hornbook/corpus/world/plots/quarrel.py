"""A quarrel: two friends fall out over something and make it up."""

from hornbook.corpus.world import openings, speech
from hornbook.corpus.world.grammar import capital, with_article
from hornbook.corpus.world.lexicon import BAKED, FRUIT, PLACES, Person, Thing
from hornbook.corpus.world.state import World


def tell(w: World) -> None:
    """Two children quarrel and are friends again."""
    who = w.child()
    openings.introduce(w, who, w.draw(PLACES))
    friend = w.friend_of(who)
    openings.join_in(w, who, friend)
    if w.chance(0.45):
        thing = w.thing()
        w.pick(_both_want, _breaks, _borrows)(w, who, friend, thing)
        _anger(w, who, friend)
        _apart(w, who, friend)
        _sorry(w, friend, who)
        _peace_with(w, who, friend, thing)
    else:
        cause = w.pick(_blames, _disagrees, _laughs_at)
        cause(w, who, friend)
        _anger(w, who, friend)
        _apart(w, who, friend)
        if cause is _blames:
            _sorry(w, who, friend)
        else:
            _sorry(w, friend, who)
        _peace(w, who, friend)


def _both_want(w: World, who: Person, friend: Person, thing: Thing) -> None:
    claims = (
        f"{capital(speech.cry(w, who, 'It is mine'))} "
        f"{capital(speech.cry(w, friend, w.pick('No, I saw it first', 'You always take everything')))}"
    )
    w.say(
        w.pick(
            f"they found {thing.a}, and both of them wanted it. {claims}",
            f"there was only one {thing.noun}, and both wanted to have it. {claims}",
            f"{who} had {thing.a}, but {friend} wanted to have it too. {claims}",
        )
    )


def _breaks(w: World, who: Person, friend: Person, thing: Thing) -> None:
    w.say(
        w.pick(
            f"{who} showed {friend.him} {thing.a}. {friend} dropped it, and it broke.",
            f"{friend} wanted to try {who}'s {thing.name}, but it fell down and broke.",
            f"by mistake, {friend} stepped on {who}'s {thing.name}.",
            f"{friend} ran too fast and knocked {thing.a} into the mud. It belonged to {who}.",
        )
    )


def _borrows(w: World, who: Person, friend: Person, thing: Thing) -> None:
    question = w.pick(
        f"Why did you take my {thing.name}?", f"Who said you could have my {thing.noun}?"
    )
    w.say(
        f"{friend} had taken {who}'s {thing.name} without asking. "
        f"{capital(speech.ask(w, who, question))}"
    )


def _blames(w: World, who: Person, friend: Person) -> None:
    goods = w.draw(BAKED + FRUIT)
    number = w.number(2, 5)
    w.say(
        w.pick(
            f"{goods.of[number]} were missing from the table. "
            f"{capital(speech.cry(w, who, 'You ate them'))} But {friend} had not touched them.",
            f"{who} and {friend} had to share {goods.of[2 * number]}. {who} said that {friend} took "
            "more than half.",
            f"{who} thought that {friend} had eaten the last {goods.one}, and {who.he} said so.",
            f"somebody had told {who}'s secret. {who} thought it was {friend}.",
        )
    )


def _disagrees(w: World, who: Person, friend: Person) -> None:
    first, second = w.pick(
        ("swim", "climb trees"),
        ("play ball", "draw"),
        ("build a boat", "build a house"),
        ("go to the river", "stay at home"),
        ("sing", "hear a story"),
        ("feed the ducks", "fly a kite"),
    )
    w.say(
        w.pick(
            f"{who} wanted to {first}, but {friend} wanted to {second}.",
            f'"Let us {first}," said {who}. "No, I would rather {second}," said {friend}.',
            f"{who} did not want to {second}, and {friend} did not want to {first}.",
        )
    )


def _laughs_at(w: World, who: Person, friend: Person) -> None:
    colour = with_article(w.pick("red", "green", "yellow", "big", "funny", "old"))
    wearing = w.pick("hat", "scarf", "coat")
    w.say(
        w.pick(
            f"{who} wore {colour} {wearing}, and {friend} laughed at it.",
            f"{friend} laughed when {who} fell over {w.his(who, friend)} own feet.",
            f"{who} sang a song. {friend} laughed and said that it was out of tune.",
            f"{who} had drawn a horse. {capital(speech.ask(w, friend, 'Is that a pig?'))}",
            f"{friend} called {who} a {w.pick('goose', 'donkey', 'snail')}.",
        )
    )


def _anger(w: World, who: Person, friend: Person) -> None:
    w.say(
        w.pick(
            f"{who} turned red with anger.",
            "soon they were both shouting.",
            f"{capital(speech.cry(w, who, 'I will never speak to you again'))}",
            f"they said many unkind words, and then {who} ran away.",
            f"{capital(speech.cry(w, who, 'You are not my friend any more'))}",
            f"{who} was so angry that {who.he} stamped on the ground.",
            "neither of them would give way.",
            f"{who} folded {who.his} arms and said nothing more.",
            f"{capital(speech.tell(w, who, 'That is not fair'))} "
            f"{capital(speech.reply(w, friend, 'It is your own fault'))}",
            f"{friend} stuck out {friend.his} tongue.",
            f"{who} pushed {friend}, and {friend} pushed back.",
        )
    )


def _apart(w: World, who: Person, friend: Person) -> None:
    days = w.pick("two days", "three days", "a week", "the whole day", "the rest of the day")
    w.say(
        w.pick(
            f"for {days} they did not speak to each other.",
            f"{who} went home and slammed the door, and {friend} sat alone on the steps.",
            f"{who} played alone, but it was no fun without {friend}.",
            "they looked away when they met. Both felt bad.",
            f"that night {friend} could not sleep.",
            "at school they sat far apart, and at noon each of them ate alone.",
            f"{who} kicked stones along the road and felt lonely.",
            "the sun was still shining, but nothing was fun any more.",
            f"{who} missed {friend}, and {friend} missed {who}.",
            f"{friend} told {friend.his} {w.pick('mother', 'father', 'aunt')} everything. "
            f'The answer was short: "Talk to {who}."',
        )
    )


def _sorry(w: World, friend: Person, who: Person) -> None:
    words = w.pick("I am sorry", "I was wrong", "It was my fault", "I did not mean it")
    answer = w.pick("I am sorry too", "It does not matter", "Let us forget it", "So was I")
    if words != "I was wrong" and answer == "So was I":
        answer = "Let us be friends again"
    w.say(
        w.pick("Then ", "In the end, ", "The next morning, ", "After that, ", "At last, ")
        + w.pick(
            f"{friend} knocked at {who}'s door.",
            f"{friend} went up to {who}.",
            f"{friend} came with a flower in {friend.his} hand.",
            "they met on the bridge.",
        )
        + f" {capital(speech.tell(w, friend, words))} {capital(speech.reply(w, who, answer))}"
    )


def _peace_with(w: World, who: Person, friend: Person, thing: Thing) -> None:
    w.say(
        w.pick(
            f"now they both use {thing.short}, one on {w.pick('Monday', 'Friday')} and the other on Sunday.",
            f"together they made {thing.short} look like new.",
            f"they agreed to share {thing.short}.",
            f"{friend} smiled and gave {who} {w.his(friend, who)} best {w.pick('marble', 'feather', 'shell')}.",
            f"then they played with {thing.short} until it was dark.",
            f"{who} shook {w.his(friend, who)} hand, and they laughed about the whole thing.",
        )
    )


def _peace(w: World, who: Person, friend: Person) -> None:
    goods = w.draw(BAKED + FRUIT)
    number = w.number(1, 4)
    w.say(
        w.pick(
            f"they shared {goods.of[2 * number]}, {goods.of[number].split()[0]} for each of them.",
            f"{who} shook {w.his(friend, who)} hand, and they laughed about the whole thing.",
            f"since then, {who} and {friend} have never quarrelled again.",
            f"then they played {w.location[who]} until it was dark.",
            f"and so {who} and {friend} were friends again.",
            f"first they did what {who} wanted, and then they did what {friend} wanted.",
        )
    )
