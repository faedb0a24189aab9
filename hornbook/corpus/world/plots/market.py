"""Market day: selling, bargaining, counting coins, and carrying things home."""

from hornbook.corpus.world import endings, speech
from hornbook.corpus.world.grammar import NUMBERS, capital, join
from hornbook.corpus.world.lexicon import (
    ADULTS,
    FARM_ANIMALS,
    FOOD,
    MARKET,
    SELLERS,
    SMALL_ANIMALS,
    Goods,
    Person,
)
from hornbook.corpus.world.openings import DAYS
from hornbook.corpus.world.state import World


def tell(w: World) -> None:
    """Somebody sells goods or buys things."""
    who = w.child() if w.chance(0.75) else w.adult(ADULTS)
    if w.chance(0.5):
        _sell(w, who)
    else:
        _buy(w, who)
    if w.chance(0.5):
        endings.evening(w, who)


def _set_out(w: World, who: Person, purpose: str) -> None:
    w.goes(who, MARKET)
    day = w.draw(DAYS)
    w.say(
        w.pick(
            f"{day}, {who} went to the market {purpose}.",
            f"it was market day. {capital(who.name)} got up early {purpose}.",
            f"{day}, {who} walked to town {purpose}.",
            f"the square was full of people when {who} came {purpose}.",
            f"every week {who} goes to the market. {capital(day)}, {who.he} went there {purpose}.",
        ),
        who,
    )


def _sell(w: World, who: Person) -> None:
    goods, other = w.draw(FOOD), w.draw(FOOD)
    while other is goods:
        other = w.draw(FOOD)
    have = w.number(4, 9)
    _set_out(w, who, w.pick(f"to sell {goods.of[have]}", f"with {goods.of[have]} to sell"))
    w.counts(who, goods, have)
    s = w.sub(who)
    w.say(
        w.pick(
            "for a long time nobody stopped.",
            f"{s} stood between a butcher and a man with baskets.",
            "an organ was playing, and children were eating sugar sticks.",
            f"{s} put them on a clean cloth and waited.",
            f"{capital(speech.cry(w, s, w.pick(f'Fresh {goods.many}', f'Good {goods.many}, come and buy')))}",
            f"{s} found a place beside a man who sold {other.many}.",
        ),
        who,
    )
    sold = w.number(1, have - 2)
    buyer = w.adult(ADULTS)
    price = w.number(2, 6)
    _bargain(w, who, buyer, goods, price)
    w.counts(who, goods, have - sold)
    left = have - sold
    w.say(
        w.pick(
            f"{buyer} bought {NUMBERS[sold]}, so {who} had {NUMBERS[left]} left.",
            f"{buyer} took {goods.of[sold]}, and {goods.of[left]} were left.",
            f"{who} sold {NUMBERS[sold]} of {who.his} {goods.many} to {buyer} and kept {NUMBERS[left]}.",
        ),
        who,
        buyer,
    )
    if w.chance(0.35):
        speech.talk_many(w, w.pick("a boy", "a girl"), who, goods)
    if w.chance(0.5):
        w.say(
            w.pick(
                f"with the money, {who} bought {other.of[w.number(1, 3)]}.",
                f"{who} counted the coins twice and put them away.",
                f"then {who} packed up and drank a cup of tea.",
                f"the next time, {who} will ask for more.",
            ),
            who,
        )
        return
    w.counts(who, goods, 0)
    animal = w.animal(SMALL_ANIMALS)
    w.say(
        w.pick(
            f"{who} changed the other {NUMBERS[left] + ' ' if left > 1 else ''}"
            f"{goods.many if left > 1 else goods.one} for {animal.a}.",
            f"{who} gave the rest to {w.pick('a hungry boy', 'a poor woman', 'an old soldier')}.",
            f"when {w.pick('the clock struck four', 'it grew dark')}, everything was sold.",
        ),
        who,
    )


def _bargain(w: World, who: Person, buyer: Person, goods: Goods, price: int) -> None:
    question = w.pick(f"How much are the {goods.many}?", "What do they cost?", "Are they good?")
    if question == "Are they good?":
        answer = w.pick(f"They are the best {goods.many} in town", "Nobody has better ones")
    else:
        answer = w.pick(f"{capital(NUMBERS[price])} coins", f"They cost {NUMBERS[price]} coins")
    w.say(
        f"{w.pick('then', 'at last', 'after an hour', 'soon')} {buyer} came. "
        f"{capital(speech.ask(w, buyer.he, question))} {capital(speech.reply(w, who, answer))}",
        who,
        buyer,
    )
    if w.chance(0.4):
        low = NUMBERS[max(price - w.number(1, 2), 1)]
        coins = "coin" if low == "one" else "coins"
        w.say(
            f"{capital(speech.tell(w, buyer, f'I will give you {low} {coins}'))} "
            + w.pick(
                f"{capital(who.name)} shook {who.his} head.",
                f"{capital(who.name)} thought about it and said yes.",
                "They talked for a while.",
            ),
            who,
            buyer,
        )


def _buy(w: World, who: Person) -> None:
    thing = w.thing()
    wanted = w.pick("some bread", "butter", "new shoes", "a little food", "a gift", "some salt")
    _set_out(w, who, w.pick(f"to buy {wanted}", "to look around", f"to buy {thing.a}"))
    coins = w.number(4, 9)
    s = w.sub(who)
    w.say(
        w.pick(
            f"{s} had {NUMBERS[coins]} coins in {who.his} purse.",
            f"{who.his} mother had given {who.him} {NUMBERS[coins]} coins."
            if who.kind in ("girl", "boy")
            else f"{s} had saved {NUMBERS[coins]} coins.",
            f"there was {w.pick('music', 'noise', 'a sweet smell')} everywhere.",
        ),
        who,
    )
    seller = w.adult(SELLERS)
    first, second = w.draw(FOOD), w.draw(FOOD)
    price = w.number(2, coins - 1)
    _choose(w, who, seller, thing.a, price)
    w.gets(who, thing)
    extra = [first.of[w.number(1, 4)]]
    if second is not first:
        extra.append(second.of[w.number(2, 4)])
    w.say(
        w.pick(
            f"{w.sub(who)} bought it and then had {_coins(coins - price)} left.",
            f"{who} took it and paid. Then {who.he} bought {join(extra)} as well.",
            f"{who} bought it, and the bag was full.",
            f"{who} paid, and then {who.he} bought {join(extra)}.",
        ),
        who,
    )
    if w.chance(0.5):
        w.say(
            w.pick(
                f"on the way home, {who} ate {w.pick('a warm bun', 'an apple', 'a piece of cheese')}.",
                f"{w.animal(FARM_ANIMALS).a} looked into {who}'s basket.",
                f"{who} met {w.pick('a cousin', 'a neighbour', 'an old friend')} and they talked.",
                f"the bag was so heavy that {w.pick('a boy', 'a neighbour')} helped to carry it.",
            ),
            who,
        )


def _choose(w: World, who: Person, seller: Person, what: str, price: int) -> None:
    question = w.pick("How much is it?", "What does it cost?", "How much do you want for it?")
    answer = w.pick(
        f"{capital(_coins(price))}", f"It costs {_coins(price)}", f"Only {_coins(price)}"
    )
    w.say(
        w.pick(
            f"at one table, {who.he} saw {what}.",
            f"{seller} had {what}.",
            f"{seller} showed {who.him} {what}.",
        )
        + f" {capital(speech.ask(w, who, question))} {capital(speech.reply(w, seller, answer))}",
        who,
        seller,
    )


def _coins(number: int) -> str:
    return f"{NUMBERS[number]} coin{'s' if number > 1 else ''}"
