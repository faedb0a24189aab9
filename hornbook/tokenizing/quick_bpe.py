"""Byte-pair encoding learnt by rustbpe: the merges that `tokenizers` would learn, in less time.

Both count the text's words, and then merge the most frequent pair of tokens again and again; of
equally frequent ones, the pair with the lower ids. So where tokens have the same order, and the text
has the same words, the merges are the same: what a tokenizer is never hangs on what is installed.
`learn` gives up wherever that is in doubt, and the tokenizers library does the work.

Most of the time goes into finding words. GPT-2's pattern looks ahead, `\\s+(?!\\S)`, for which a
regular expression is walked step by step. Here a mark is put where that decides something: before the
last blank of several that stand before a word. What is left of the pattern needs no looking ahead.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

MARK = "\ue000"
"""Stands where blanks are parted; private use, and part of no word."""
WORDS = rf"'(?:[sdmt]|ll|ve|re)| ?\p{{L}}+| ?\p{{N}}+| ?[^\s\p{{L}}\p{{N}}{MARK}]+|\s+"
"""The words of GPT-2's pattern, in text with marks."""
BLANK = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""Unicode's White_Space, as the pattern's \\s has it; Python's has four separators besides."""
SEAM = re.compile(f"[{BLANK}](?=[{BLANK}][^{BLANK}])")
"""The blanks behind which a mark belongs."""
GAP = re.compile(f"[^{BLANK}] [^{BLANK}]")
"""A place between words wherever it stands: before the blank."""
PIECE = 2**16
"""Characters counted together: enough of them to find words again, and no core waits for another."""
AT_ONCE = 128
"""Pieces held at a time: 8 to 16 million characters, but for texts without any gap."""
MOST_BYTES = 2**31
"""Of text: rustbpe counts in 32 bits."""

Merge = tuple[bytes, bytes]


class _DoubtError(Exception):
    """The text may be counted in another way than by the tokenizers library."""


def learn(texts: Iterable[str], vocab_size: int) -> list[Merge] | None:
    """The merges in order, for a vocabulary of the 256 bytes and what they make.

    None where rustbpe is not installed or its merges might not be those of the tokenizers library:
    for a text with a mark in it, more than 2 GiB of text, and if two merges make the same bytes.

    Args:
        texts: read once, perhaps not to their end.
        vocab_size: the 256 bytes included.
    """
    try:
        import rustbpe
    except ImportError:
        return None
    trainer = rustbpe.Tokenizer()
    try:
        trainer.train_from_iterator(_pieces(texts), vocab_size, AT_ONCE, WORDS)
    except _DoubtError:
        return None
    tokens = [bytes(token) for token, _ in trainer.get_mergeable_ranks()]
    return merges_of(tokens) if len(set(tokens)) == len(tokens) else None


def _pieces(texts: Iterable[str]) -> Iterator[str]:
    """The texts with marks, short ones together and long ones cut up; their words stay the same."""
    room = MOST_BYTES
    together: list[str] = []
    size = 0
    for text in texts:
        room -= len(text) if text.isascii() else 4 * len(text)
        if room < 0 or MARK in text:
            raise _DoubtError
        marked = SEAM.sub(_with_mark, text)
        start = 0
        while len(marked) - start > 2 * PIECE and (gap := GAP.search(marked, start + PIECE)):
            yield marked[start : gap.start() + 1]
            start = gap.start() + 1
        together.append(marked[start:])
        size += len(marked) - start
        if size >= PIECE:
            yield MARK.join(together)
            together, size = [], 0
    yield MARK.join(together)


def _with_mark(seam: re.Match[str]) -> str:
    return seam[0] + MARK


def merges_of(tokens: Sequence[bytes]) -> list[Merge]:
    """The two tokens that each was merged of; `tokens` by id, the 256 bytes first, all different.

    A token's bytes, encoded by the merges before its own, are those two. For wherever it was made,
    nothing inside it had been merged with anything outside, so all went as if it stood alone.
    """
    known = {token: number for number, token in enumerate(tokens[:256])}
    merges = []
    for number, token in enumerate(tokens[256:], start=256):
        cuts = [
            cut for cut in range(1, len(token)) if token[:cut] in known and token[cut:] in known
        ]
        cut = cuts[0] if len(cuts) == 1 else _last_cut(token, known)
        merges.append((token[:cut], token[cut:]))
        known[token] = number
    return merges


def _last_cut(token: bytes, known: dict[bytes, int]) -> int:
    """Where a token is parted once all merges before its own, those of `known` tokens, are done."""
    none = len(known)
    parts = [token[at : at + 1] for at in range(len(token))]
    made = [known.get(left + right, none) for left, right in pairwise(parts)]
    while len(parts) > 2:
        at = made.index(min(made))
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
        del made[at]
        if at:
            made[at - 1] = known.get(parts[at - 1] + parts[at], none)
        if at < len(made):
            made[at] = known.get(parts[at] + parts[at + 1], none)
    return len(parts[0])
