"""Facts about a tokenizer on a text, counted by hand."""

from tokenizer_examples import STORIES, foreign, trained

from hornbook.tokenizing.statistics import describe


def test_counted_by_hand() -> None:
    facts = describe(trained("word"), ["the dog ran.", "漢 the"])
    assert facts == {
        "vocab_size": trained("word").vocab_size,
        "texts": 2,
        "bytes": 12 + 7,
        "words": 5,
        "tokens": 6,
        "bytes_per_token": 19 / 6,
        "tokens_per_word": 6 / 5,
        "unknown_share": 1 / 6,
    }


def test_a_stream_of_many_texts() -> None:
    facts = describe(trained("bpe"), (text for text in STORIES * 40))
    assert facts["texts"] == len(STORIES) * 40
    assert facts["unknown_share"] == 0
    assert facts["bytes"] == sum(len(text.encode()) for text in STORIES) * 40


def test_nothing() -> None:
    facts = describe(foreign("byte-bpe"), [])
    assert facts["tokens"] == facts["bytes_per_token"] == facts["tokens_per_word"] == 0
