"""The sample world's stories: pure, distinct, grammatical, and true to their own facts."""

import re
from collections import Counter
from itertools import pairwise

import pytest

from hornbook.corpus.world.generate import generate_texts, labelled_examples
from hornbook.corpus.world.lexicon import BOYS, GIRLS
from hornbook.corpus.world.settings import WorldSettings
from hornbook.corpus.world.story import GENRES, Story, make_story, stories

COUNT = 6_000


@pytest.fixture(scope="module")
def told() -> list[Story]:
    return list(stories(seed=7, start=0, stop=COUNT))


def test_a_story_is_a_pure_function_of_seed_and_index(told: list[Story]) -> None:
    for index in (0, 5, 17, 5_999):
        assert make_story(7, index).text == told[index].text
    assert make_story(8, 5).text != told[5].text


def test_any_number_of_workers_tells_the_same_stories() -> None:
    settings = WorldSettings(stories=4_500, seed=3)
    done: list[int] = []
    alone = list(generate_texts(settings, done.append, workers=1))
    assert sum(done) == len(alone) == 4_500
    assert list(generate_texts(settings, workers=2)) == alone
    assert alone[4_321] == make_story(3, 4_321).text


def test_nearly_all_stories_are_distinct(told: list[Story]) -> None:
    assert len({story.text for story in told}) > 0.999 * COUNT


def test_length_and_vocabulary(told: list[Story]) -> None:
    lengths = [len(story.text.split()) for story in told]
    assert 60 < sum(lengths) / COUNT < 95
    assert min(lengths) > 30
    assert max(lengths) < 170
    words = Counter(word for story in told for word in re.findall(r"[a-z]+", story.text.lower()))
    assert 1_200 < len(words) < 1_800


def test_every_genre_has_an_equal_share(told: list[Story]) -> None:
    shares = Counter(story.genre for story in told)
    assert set(shares) == set(GENRES)
    assert max(shares.values()) - min(shares.values()) <= 1


def test_punctuation(told: list[Story]) -> None:
    for story in told:
        text = story.text
        assert text.count('"') % 2 == 0, text
        assert not re.search(r"  |\.\.|[{}_\n]| [,.!?]|,[^ \"]|\.\"\.|[,.!?] ?,|,\.", text), text
        for sentence in story.sentences:
            assert re.match(r'"?[A-Z]', sentence), sentence
            assert re.search(r'[.!?]"?$', sentence), sentence


def test_every_piece_between_full_stops_starts_with_a_capital(told: list[Story]) -> None:
    for story in told:
        outside = re.sub(r'"[^"]*"', lambda quote: "Q" if quote[0][-2] in "," else "Q.", story.text)
        for piece in re.split(r"(?<=[.!?]) ", outside):
            # After a question or an exclamation in quotes the speaker follows: "…?" asked Tom.
            if not piece.startswith(("asked ", "said ", "cried ", "called ")):
                assert piece[0].isupper() or re.match(SPEAKER, piece), (piece, story.text)


SPEAKER = (
    r"(he|she|the [a-z ]+|his [a-z]+|her [a-z]+|an? [a-z ]+) (asked|said|shouted|called|cried)"
)


def test_a_and_an_agree_with_the_next_word(told: list[Story]) -> None:
    for story in told:
        for article, word in re.findall(r"(?<!-)\b([Aa]n?) ([A-Za-z]+)", story.text):
            vowel = word[0].lower() in "aeiou" and not word.startswith(("one", "uni", "use"))
            vowel = vowel or word.startswith("hour")
            assert (article.lower() == "an") == vowel, f"{article} {word}: {story.text}"


def test_numbers_and_nouns_agree(told: list[Story]) -> None:
    singular = [
        "apple",
        "pear",
        "plum",
        "cherry",
        "peach",
        "cake",
        "bun",
        "pie",
        "coin",
        "shell",
        "stone",
        "loaf",
        "egg",
        "nut",
    ]
    many = r"\b(two|three|four|five|six|seven|eight|nine) (" + "|".join(singular) + r")\b"
    one = r"\bone (apples|pears|plums|cherries|cakes|buns|coins|shells|eggs)\b"
    for story in told:
        assert not re.search(many, story.text), story.text
        assert not re.search(one, story.text), story.text


def test_subjects_and_verbs_agree(told: list[Story]) -> None:
    wrong = (
        r"\b(he|she|it) (were|are|have|do)\b"
        r"|\b(they|we|you) (was|is|has|does)\b|\bI (was not|is|has|are)\b"
        r"|\b[A-Z][a-z]+ and [A-Z][a-z]+ (was|is|has)\b"
        r"|\bthere was (two|three|four|five|six|seven|eight|nine)\b|\bthere were (one|a|an)\b"
        r"|\b(the the|a the|the a|his his|to to|in in|at at)\b"
    )
    for story in told:
        found = re.search(wrong, story.text)
        assert not found, f"{found}: {story.text}"


def test_pronouns_match_the_only_child_of_a_story(told: list[Story]) -> None:
    """In a sentence about one child alone, "his" and "her" are that child's."""
    girls = "|".join(person.name for person in GIRLS)
    boys = "|".join(person.name for person in BOYS)
    own = r"(?:lost|opened|told|washed|wiped|turned|never forgot) (his|her) "
    for story in told:
        for name, pronoun in re.findall(rf"\b({girls}|{boys}) {own}", story.text):
            assert pronoun == ("her" if name in girls.split("|") else "his"), story.text


def test_no_sentence_is_told_twice_in_a_row(told: list[Story]) -> None:
    for story in told:
        assert all(first != second for first, second in pairwise(story.sentences)), story.text


def test_facts_are_told(told: list[Story]) -> None:
    """Whoever and whatever a fact is about stands in the text."""
    for story in told:
        text = story.text.lower()
        for fact in story.facts:
            if fact.who is not None:
                assert fact.who.name.lower() in text, (fact, story.text)
            if fact.thing is not None:
                assert fact.thing.noun in text, (fact, story.text)
            if fact.goods is not None:
                assert fact.goods.one in text or fact.goods.many in text, (fact, story.text)
            if fact.kind == "puts":
                assert fact.place in text, (fact, story.text)


def test_answers_in_dialogue_follow_from_the_facts(told: list[Story]) -> None:
    """ "It is under the bed" and "I have five buns" were facts before they were said."""
    asked = 0
    for story in told:
        spots = {fact.place for fact in story.facts if fact.kind == "puts"}
        numbers = {fact.goods.of[fact.number] for fact in story.facts if fact.goods is not None}
        where = r'"Where is the ([a-z ]+)\?".{0,40}?"(?:It|The [a-z ]+) is ([a-z ]+)[,."]'
        for _, spot in re.findall(where, story.text):
            asked += 1
            assert spot in spots, story.text
        for answer in re.findall(
            r'How many [^?]*do you have\?.{0,60}?"I have ([a-z ]+)', story.text
        ):
            asked += 1
            assert answer in numbers, story.text
    assert asked > COUNT / 50


def test_labelled_stories_are_balanced_and_not_in_the_corpus(told: list[Story]) -> None:
    settings = WorldSettings(stories=COUNT, labelled=600, seed=7)
    examples = labelled_examples(settings)
    assert Counter(example.label for example in examples) == dict.fromkeys(GENRES, 50)
    assert not {example.text for example in examples} & {story.text for story in told}


def test_no_single_word_gives_a_genre_away(told: list[Story]) -> None:
    """No word stands in nearly all stories of one genre and in hardly any other."""
    present: dict[str, Counter[str]] = {genre: Counter() for genre in GENRES}
    for story in told:
        present[story.genre].update(set(re.findall(r"[a-z]+", story.text.lower())))
    each = COUNT / len(GENRES)
    allowed = {"school": {"teacher"}}
    for genre in GENRES:
        for word, count in present[genre].items():
            elsewhere = sum(present[other][word] for other in GENRES if other != genre)
            if count > 0.9 * each and word not in allowed.get(genre, ()):
                assert elsewhere > 0.1 * count, (genre, word, count, elsewhere)
