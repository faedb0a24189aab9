"""A contest: a race or a game, what happens in it, who wins and who is a good loser."""

from hornbook.corpus.world import endings, speech
from hornbook.corpus.world.grammar import NUMBERS, capital, join
from hornbook.corpus.world.lexicon import ADULTS, FINDABLE, OUTDOORS, RACERS, Person, Place
from hornbook.corpus.world.openings import DAYS
from hornbook.corpus.world.state import World


def tell(w: World) -> None:
    """Three children compete, and one wins."""
    players = [w.child(), w.child(), w.child()]
    place = w.draw(OUTDOORS)
    for player in players:
        w.goes(player, place)
    if w.chance(0.6):
        _race(w, players, place)
    else:
        _collecting(w, players, place)
    _after(w, players)
    if w.chance(0.3):
        endings.evening(w, players[0])


def _announce(w: World, players: list[Person], place: Place, event: str) -> None:
    names = join([player.name for player in players])
    day = w.draw(DAYS)
    w.say(
        w.pick(
            f"{day}, {names} met {place.at}. They wanted to have {event}.",
            f"{day} there was {event} {place.at}. {names} took part.",
            f"{capital(speech.tell(w, players[2], f'Let us have {event}'))} "
            f"{players[0]} and {players[1]} said yes.",
            f"every year there is {event} {place.at}. This time {names} were there.",
        )
    )


def _race(w: World, players: list[Person], place: Place) -> None:
    winner, second, third = players
    riding = w.chance(0.35)
    kind = w.pick("a race", "a running race", "a race in sacks", "a swimming race", "a boat race")
    if place.at.startswith("by") or not kind.startswith(("a swimming", "a boat")):
        event = kind
    else:
        event = "a race"
    if riding and event == "a race":
        animals = [w.draw(w.draw(RACERS)) for _ in range(2)]
        w.say(
            f"{winner} had {animals[0].a}, and {second} had {animals[1].a}. "
            + w.pick("Which of them was faster?", "Each of them thought that theirs was faster.")
        )
    order = w.pick((winner, second, third), (third, winner, second), (second, third, winner))
    _announce(w, list(order), place, event)
    goal = w.pick(
        "the old tree", "the bridge", "the mill", "the white stone", "the other side", "the gate"
    )
    w.say(
        w.pick(
            f"{w.draw(ADULTS)} counted to three, and they were off.",
            f"they had to reach {goal} and come back.",
            "a whistle blew, and it began.",
            f"{capital(speech.cry(w, w.draw(ADULTS), 'One, two, three, go'))}",
            f"the goal was {goal}.",
            "many people stood along the way and waved their handkerchiefs.",
        )
    )
    w.say(
        w.pick(
            f"at first {second} was in front, but then {second.he} slipped.",
            f"{third} lost a shoe and had to stop.",
            f"{second} was fast, but {winner} was faster.",
            f"halfway there, {third} was so tired that {third.he} sat down.",
            f"{second} looked back, and just then {winner} went past {second.him}.",
            f"{second} stumbled over a root, and {winner} jumped over {second.him}.",
            f"{third} stopped to tie a shoelace, and the crowd shouted.",
            f"{third} took a wrong turn, so only {winner} and {second} were left.",
            f"{winner} was last in the beginning, but {winner.he} did not give up.",
        )
    )
    w.wins(winner)
    w.say(
        w.pick(
            f"{winner} came first, {second} came second and {third} came third.",
            f"in the end {winner} won, just before {second}.",
            f"{winner} reached {goal} before the others and won.",
            f"{winner} was the winner, and {third} was the last.",
            f"nobody could catch {winner}, so {winner.he} won.",
        ),
        winner,
    )


def _collecting(w: World, players: list[Person], place: Place) -> None:
    winner, second, third = players
    goods = w.draw(FINDABLE)
    most = w.number(6, 9)
    middle = w.number(4, most - 1)
    least = w.number(2, middle - 1)
    _announce(w, [second, third, winner], place, w.pick("a game", "a little contest", "a hunt"))
    w.say(
        w.pick(
            f"who could find the most {goods.many} in an hour?",
            f"the one with the most {goods.many} would win.",
            f"each of them had to look for {goods.many}.",
        )
    )
    for player, number in ((winner, most), (second, middle), (third, least)):
        w.counts(player, goods, number)
    w.say(
        w.pick(
            f"{second} found {goods.of[middle]}, {third} found {NUMBERS[least]} and {winner} found "
            f"{NUMBERS[most]}.",
            f"{third} had {goods.of[least]}. {second} had {NUMBERS[middle]}, but {winner} had "
            f"{NUMBERS[most]}.",
            f"{winner} came back with {goods.of[most]}, {second} with {NUMBERS[middle]} and {third} "
            f"with only {NUMBERS[least]}.",
        )
    )
    if w.chance(0.4):
        asker, answerer = (second, winner) if w.chance(0.5) else (winner, third)
        speech.talk_many(w, asker, answerer, goods)
    w.wins(winner)
    w.say(
        w.pick(
            f"{winner} had more than the others, so {winner.he} was the winner.",
            f"so {winner} won, because {NUMBERS[most]} is more than {NUMBERS[middle]}.",
            f"{winner} had the most, and {third} had the fewest.",
        ),
        winner,
    )


def _after(w: World, players: list[Person]) -> None:
    winner, second, third = players
    if w.chance(0.4):
        answer = f"{winner} did"
        w.say(
            f"{capital(speech.ask(w, w.draw(ADULTS), 'Who won?'))} "
            f"{capital(speech.reply(w, second, answer))}"
        )
    if w.chance(0.35):
        prize = w.thing()
        w.gets(winner, prize)
        w.say(
            w.pick(
                f"{winner} got {prize.a} as a prize.",
                f"the prize was {prize.a}. {winner} let the others play with it too.",
            )
        )
        return
    w.say(
        w.pick(
            f"{second} shook {winner}'s hand. {capital(speech.tell(w, second.he, 'Well done'))}",
            f"{third} was sad, but {winner} gave {third.him} a piece of chocolate.",
            f"{capital(speech.cry(w, winner, 'I won'))} {second} and {third} clapped.",
            f"{capital(speech.tell(w, third, 'Next time I will win'))}",
        )
    )
