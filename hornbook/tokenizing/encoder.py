"""Much text at once, as flat arrays of ids: by fastokens where it is there and exact.

fastokens encodes BPE several times faster than the tokenizers library, and gives the ids without
making a Python object of each. It is believed only after it has given the same ids for a sample of
awkward texts. It gets the disguised tokenizer (see `guard`), so that text stays text there, too.
"""

import json
import os
import random
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tokenizers

from hornbook.tokenizing.library import encode_texts

WORTH_IT = 2**18
"""Characters in one call from which making the fast encoder pays: that takes up to a second."""
TOGETHER = 2**16
"""Characters that are encoded as one string, where short texts are joined."""
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
        self,
        tree: dict[str, Any],
        library: tokenizers.Tokenizer,
        control: Mapping[str, int],
        end: int | None = None,
    ) -> None:
        """
        Args:
            tree: the disguised tokenizer.json's content, of which `library` was made.
            library: the reference, and what encodes where fastokens cannot.
            control: spellings that must stay text, and their ids.
            end: the token that may be put behind each text.
        """
        self._tree, self._control = tree, dict(control)
        self.library = library
        """See above."""
        self._end = end
        self._fast: Fast | None = None
        self._trying = threading.Lock()
        self.reason = "the texts are few"
        """Why fastokens is not used; empty when it is."""

    def encode(self, texts: Sequence[str], end: bool = False) -> Packed:
        """The ids of texts, worked out in parallel.

        Args:
            end: put the token for it behind each text, if there is one.

        Raises:
            HornbookError: a text has a lone surrogate, or the tokenizer has no token for its words.
        """
        if self._tree and sum(map(len, texts)) >= WORTH_IT and os.getpid() == _BORN:
            with self._trying:
                if self._tree:  # tried once
                    self._fast, self.reason = self._make_fast()
                    self._tree = {}
        if self._fast is not None and os.getpid() == _BORN:
            try:
                return self._fast.encode(texts, end)
            except Exception:
                # Whatever is wrong, the library says it in the same words as for a single text.
                return self._by_library(texts, end)
        return self._by_library(texts, end)

    def _by_library(self, texts: Sequence[str], end: bool) -> Packed:
        ids = encode_texts(self.library, texts)
        return _pack(ids, [self._end] if end and self._end is not None else ())

    def _make_fast(self) -> tuple["Fast | None", str]:
        """fastokens' tokenizer, or None and the reason."""
        try:
            fast = Fast(self._tree, self._control, self._end)
        except ImportError:
            return None, "fastokens is not installed (pip install fastokens)"
        except Exception as error:
            return None, f"fastokens cannot encode with it: {str(error).splitlines()[0]}"
        sample = awkward_texts(SAMPLES, self._control)
        if not self._agrees(fast, sample):
            fast.mark = None
            if not self._agrees(fast, sample):
                return None, "fastokens gives other ids than the tokenizers library"
        return fast, ""

    def _agrees(self, fast: "Fast", sample: Sequence[str]) -> bool:
        return all(
            _equal(fast.encode(sample, end), self._by_library(sample, end)) for end in (False, True)
        )


class Fast:
    """fastokens' tokenizer of a disguised tree."""

    def __init__(self, tree: dict[str, Any], control: Mapping[str, int], end: int | None) -> None:
        """Arguments as those of `Encoder`; raises what fastokens does, ImportError without it."""
        from fastokens import Tokenizer

        behind = None if end is None else _ending(end)
        self._library: Any = Tokenizer.from_json_str(json.dumps(tree | {"post_processor": behind}))
        self._end = end
        self.mark = _mark(tree, end) if end in control.values() else None
        """What the end is spelt like, where texts may be joined by it; None where they may not."""

    def encode(self, texts: Sequence[str], end: bool) -> Packed:
        """As `Encoder.encode`; raises whatever fastokens does."""
        if end and self.mark is not None:
            joined = self._flat(_joined(texts, self.mark), False)
            ends = np.flatnonzero(joined.ids == self._end) + 1
            if len(ends) == len(texts):
                return Packed(joined.ids, np.concatenate([np.zeros(1, np.int64), ends]))
        return self._flat(list(texts), end)

    def _flat(self, texts: list[str], end: bool) -> Packed:
        ids, starts = self._library.encode_batch_flat(texts, add_special_tokens=end)
        return Packed(np.frombuffer(ids, "<u4"), np.frombuffer(starts, "<u8").astype(np.int64))


def _mark(tree: dict[str, Any], end: int | None) -> str | None:
    """The disguised spelling of a token that parts texts and takes no blanks from them."""
    strips = "lstrip", "rstrip", "single_word"
    plain = (t for t in tree["added_tokens"] if t["id"] == end and not any(map(t.get, strips)))
    return next((str(token["content"]) for token in plain), None)


def _joined(texts: Sequence[str], mark: str) -> list[str]:
    """The texts, each with the mark behind it, in strings of about `TOGETHER` characters.

    For each more text costs fastokens something, whatever its length.
    """
    step = max(len(texts) * TOGETHER // max(sum(map(len, texts)), 1), 1)
    parts = (texts[start : start + step] for start in range(0, len(texts), step))
    return [mark.join([*part, ""]) for part in parts]


def _ending(end: int) -> dict[str, Any]:
    """Of a tokenizer.json, what puts a token behind each text: so no array is made a second time."""
    token = {"id": "end", "ids": [end], "tokens": ["end"]}
    behind = [
        {"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": "end", "type_id": 0}},
    ]
    return {
        "type": "TemplateProcessing",
        "single": behind,
        "pair": [*behind, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"end": token},
    }


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


def _equal(one: Packed, other: Packed) -> bool:
    return np.array_equal(one.ids, other.ids) and np.array_equal(one.starts, other.starts)


def _pack(ids: Sequence[Sequence[int]], end: Sequence[int]) -> Packed:
    starts = np.zeros(len(ids) + 1, np.int64)
    np.cumsum([len(text) + len(end) for text in ids], out=starts[1:])
    rows = (number for text in ids for number in (*text, *end))
    return Packed(np.fromiter(rows, np.uint32, int(starts[-1])), starts)
