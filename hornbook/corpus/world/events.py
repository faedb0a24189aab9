"""Events that change the world and tell it: going, finding, giving, putting, buying.

Plots and question scenes share them, so a model meets in its stories the sentences that it is
later asked about.
"""

from hornbook.corpus.world.lexicon import Goods, Person, Place, Thing
from hornbook.corpus.world.state import World


def then(w: World) -> str:
    """A word of sequence, where something came before."""
    return w.pick("then ", "soon ", "a little later, ") if w.started else ""


def go(w: World, who: Person, place: Place) -> None:
    """Somebody goes somewhere."""
    s = w.sub(who)
    verb = w.pick("went", "walked", "ran", "went", "hurried")
    lead = w.pick("next ", "after that, ", "later, ", "", "", "soon ") if w.started else ""
    w.goes(who, place)
    w.say(f"{lead}{s} {verb} {place.to}.", who)


def find(w: World, who: Person, thing: Thing, where: str) -> None:
    """Somebody finds a thing and keeps it."""
    s, what = w.sub(who), w.call(thing)
    w.gets(who, thing)
    w.say(
        w.pick(
            f"{s} found {what} {where}.",
            f"{where}, {s} found {what}.",
            f"{s} looked {where} and found {what}.",
            f"{s} saw {what} {where} and picked it up.",
        ),
        who,
    )


def own(w: World, who: Person, thing: Thing) -> None:
    """Somebody has a thing from the start."""
    s, what = w.sub(who), w.call(thing)
    w.gets(who, thing)
    w.say(w.pick(f"{s} had {what}.", f"{s} had {what} with {who.him}."), who)


def give(w: World, giver: Person, taker: Person, thing: Thing) -> None:
    """A thing changes hands."""
    g, what = w.sub(giver), w.call(thing)
    w.gets(taker, thing)
    t = w.obj(taker)
    w.say(
        w.pick(
            f"{g} gave {what} to {taker}.",
            f"{g} gave {t} {what}.",
            f"{taker} asked for {what}, so {giver} gave it to {taker.him}.",
            f"{g} handed {what} to {taker}.",
            f"{then(w)}{g} gave {what} to {taker}.",
        ),
        giver,
        taker,
    )


def put(w: World, who: Person, thing: Thing, spot: str) -> None:
    """Somebody lays down what they hold."""
    s, what = w.sub(who), w.call(thing)
    w.puts(thing, spot)
    w.say(
        w.pick(
            f"{s} put {what} {spot}.",
            f"{s} left {what} {spot}.",
            f"{s} hid {what} {spot}.",
            f"{then(w)}{s} put {what} {spot}.",
            f"{s} laid {what} {spot}.",
        ),
        who,
    )


def take(w: World, who: Person, thing: Thing, spot: str) -> None:
    """Somebody picks up a thing that lies at `spot`."""
    s, what = w.sub(who), w.call(thing)
    w.gets(who, thing)
    w.say(
        w.pick(
            f"{s} took {what} from {w.pick('there', 'its place')}.",
            f"later, {s} found {what} {spot} and took it.",
            f"{s} came and took {what}.",
        ),
        who,
    )


def buy(w: World, who: Person, thing: Thing, where: str) -> None:
    """Somebody buys a thing."""
    s, what = w.sub(who), w.call(thing)
    w.gets(who, thing)
    w.say(
        w.pick(
            f"{s} bought {what} {where}.",
            f"{where}, {s} bought {what}.",
            f"{s} paid {w.pick('two', 'three', 'four', 'five')} coins for {what}.",
        ),
        who,
    )


def have_many(w: World, who: Person, goods: Goods, number: int) -> None:
    """Somebody has a number of goods."""
    s = w.sub(who)
    w.counts(who, goods, number)
    w.say(
        w.pick(
            f"{s} had {goods.of[number]}.",
            f"{s} had {goods.of[number]} in {who.his} {w.pick('basket', 'bag', 'pocket')}.",
            f"{'' if w.started else 'in the morning '}{s} had {goods.of[number]}.",
            f"there were {goods.of[number]} in {possessive(who)} {w.pick('basket', 'bag')}."
            if number > 1
            else f"there was {goods.of[number]} in {possessive(who)} basket.",
        ),
        who,
    )


def gain_many(w: World, who: Person, goods: Goods, number: int) -> None:
    """Somebody gets some more of the goods."""
    s = w.sub(who)
    w.counts(who, goods, w.count[who, goods] + number)
    more = f"{_numbered(goods, number)} more"
    w.say(
        w.pick(
            f"{s} found {more}.",
            f"then {s} got {more}.",
            f"{w.pick('the farmer', 'the baker', 'Grandmother', 'the cook')} gave {who.him} {more}.",
            f"{s} bought {more}.",
        ),
        who,
    )


def lose_many(w: World, who: Person, goods: Goods, number: int, edible: bool) -> None:
    """Somebody parts with some of the goods."""
    s = w.sub(who)
    w.counts(who, goods, w.count[who, goods] - number)
    some = _numbered(goods, number)
    w.say(
        w.pick(
            f"{s} gave {some} to {w.pick('the doctor', 'the postman', 'Grandfather', 'a friend')}.",
            f"{s} {w.pick('ate', 'sold', 'ate') if edible else w.pick('lost', 'sold')} {some}.",
            f"then {s} gave {some} away.",
            f"{s} dropped {some} on the way.",
        ),
        who,
    )


def _numbered(goods: Goods, number: int) -> str:
    """The bare number word: what is counted has been named before."""
    return goods.of[number].split(" ", 1)[0]


def possessive(who: Person) -> str:
    """ "Tom's", "the baker's"."""
    return f"{who}'s"
