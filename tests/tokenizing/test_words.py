"""Spaces between words and punctuation, by worked examples."""

import pytest

from hornbook.tokenizing.words import Spacer


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("the dog , the cat .", "the dog, the cat."),
        ('" Yes , " said Ann .', '"Yes," said Ann.'),
        ("he said \" no \" and ' go ' twice", "he said \"no\" and 'go' twice"),
        ("Jack 's dog can 't sleep", "Jack's dog can't sleep"),
        ("( one ) [ two ] { three }", "(one) [two] {three}"),
        ("well - known and / or so -- he ran", "well-known and/or so--he ran"),
        ("wait ... what ?!", "wait... what ?!"),
        ("play ##ing un ##do ##ne", "playing undone"),
        ("it costs $ 5 or € 6 , 7 % off", "it costs $5 or €6, 7% off"),
        ("“ Oh ! ” ‘ Ah ’ « So »", "“Oh!” ‘Ah’ «So»"),
        ("[BOS] the [UNK] dog [EOS]", "[BOS] the [UNK] dog [EOS]"),
        ('a " b ⏎ ⏎ " c "', 'a "b\n\n"c"'),
        ("", ""),
    ],
)
def test_spaces(tokens: str, text: str) -> None:
    spacer = Spacer()
    spelled = [token.replace("⏎", "\n") for token in tokens.split()]
    assert "".join(spacer.text_of(token) for token in spelled) == text
