"""Much text at once, as flat arrays of ids: by fastokens where it is there and exact.

fastokens encodes BPE several times faster than the tokenizers library, and gives the ids without
making a Python object of each. It is believed only after it has given the same ids for a sample of
awkward texts. It gets the disguised tokenizer (see `guard`), so that text stays text there, too.
"""

import json
import os
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tokenizers

from hornbook.tokenizing.library import encode_texts

WORTH_IT = 2**18
"""Characters in one call from which making the fast encoder pays: that takes up to a second."""
SAMPLES = 200
"""Awkward texts on which both must agree."""

_BORN = os.getpid()
"""The process that fastokens has its threads in: a forked child has none, and would wait for them."""

_PIECES = (
    *("the", " The", "ing", " don't", "'S", "'ll ", "a", "Z", "é", "e\u0301", "ß", "漢字", "中"),
    *(
        "🙂",
        "👨\u200d👩\u200d👧",
        "\u200b",
        "\ufeff",
        "\u00a0",
        "\u3000",
        "\u0085",
        "क्षि",
        "שלום",
        "مرحبا",
    ),
    *(" ", "  ", " " * 9, "\n", "\r\n", "\t", "\n\n ", "\0", "\x7f", "0", "1234567", "٣", "½", "Ⅷ"),
    *(
        ".",
        "...",
        "!?",
        " --",
        "<|",
        "|>",
        "[",
        "]",
        "{}",
        "_",
        "\\n",
        "ſ",
        "İ",
        "ﬁ",
        "Ω",
        "a" * 40,
    ),
)
"""What the awkward texts are made of."""


@dataclass(frozen=True)
class Packed:
    """The ids of several texts one after another."""

    ids: npt.NDArray[np.uint32]
    """Of all texts, (tokens,)."""
    starts: npt.NDArray[np.int64]
    """Where each text's ids start, and the end of the last: (texts + 1,)."""


class Encoder:
    """Texts to `Packed` ids, the same by either library."""

    def __init__(
        self, tree: dict[str, Any], library: tokenizers.Tokenizer, control: Collection[str]
    ) -> None:
        """
        Args:
            tree: the disguised tokenizer.json's content, of which `library` was made.
            library: the reference, and what encodes where fastokens cannot.
            control: spellings that must stay text, for the sample.
        """
        self._tree, self._library, self._control = tree, library, tuple(control)
        self._fast: Any = None
        self.reason = "the texts are few"
        """Why fastokens is not used; empty when it is."""

    def encode(self, texts: Sequence[str]) -> Packed:
        """The ids of texts, worked out in parallel.

        Raises:
            HornbookError: a text has a lone surrogate, or the tokenizer has no token for its words.
        """
        if self._tree and sum(map(len, texts)) >= WORTH_IT and os.getpid() == _BORN:
            self._fast, self.reason = self._make_fast()
            self._tree = {}  # tried once
        if self._fast is not None and os.getpid() == _BORN:
            try:
                return _unpack(*self._fast.encode_batch_flat(list(texts)))
            except Exception:
                # Whatever is wrong, the library says it in the same words as for a single text.
                return _pack(encode_texts(self._library, texts))
        return _pack(encode_texts(self._library, texts))

    def _make_fast(self) -> tuple[Any, str]:
        """fastokens' tokenizer, or None and the reason."""
        try:
            from fastokens import Tokenizer
        except ImportError:
            return None, "fastokens is not installed (pip install fastokens)"
        try:
            fast = Tokenizer.from_json_str(json.dumps(self._tree))
            sample = awkward_texts(SAMPLES, self._control)
            found = _unpack(*fast.encode_batch_flat(sample))
        except Exception as error:
            return None, f"fastokens cannot encode with it: {str(error).splitlines()[0]}"
        expected = _pack(encode_texts(self._library, sample))
        if not (
            np.array_equal(found.ids, expected.ids)
            and np.array_equal(found.starts, expected.starts)
        ):
            return None, "fastokens gives other ids than the tokenizers library"
        return fast, ""


def awkward_texts(count: int, control: Collection[str] = (), seed: int = 0) -> list[str]:
    """Texts in which tokenizers tend to differ, always the same for a seed.

    Runs of spaces and letters, combining marks, emoji of several characters, unusual digits and
    spaces, control tokens' spellings, and characters from all of Unicode.
    """
    chance = random.Random(seed)
    pieces = (*_PIECES, *control)
    texts = []
    for _ in range(count):
        chosen = chance.choices(pieces, k=chance.randrange(12))
        strange = [_any_character(chance) for _ in range(chance.randrange(4))]
        words = chosen + strange
        chance.shuffle(words)
        texts.append("".join(words))
    return texts


def _any_character(chance: random.Random) -> str:
    """Any code point but surrogates, as often from the first 2,048 as from all."""
    number = chance.randrange(chance.choice((0x800, 0x110000 - 0x800)))
    return chr(number if number < 0xD800 else number + 0x800)


def _pack(ids: Sequence[Sequence[int]]) -> Packed:
    starts = np.zeros(len(ids) + 1, np.int64)
    np.cumsum([len(text) for text in ids], out=starts[1:])
    flat = np.fromiter((number for text in ids for number in text), np.uint32, int(starts[-1]))
    return Packed(flat, starts)


def _unpack(ids: bytes, starts: bytes) -> Packed:
    return Packed(np.frombuffer(ids, "<u4"), np.frombuffer(starts, "<u8").astype(np.int64))
