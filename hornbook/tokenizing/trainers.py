"""Training the four algorithms, each to the content of a tokenizer.json.

The tokenizers library does the counting and merging, or rustbpe in its place: see `quick_bpe`. The
library's WordPiece and Unigram trainers give another result each time (tokenizers 0.23): both walk
through hash maps in an order that changes. Here the same texts and settings give the same tokenizer:
see `_train_wordpiece` and `_steady_scores`.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers

from hornbook.console import track
from hornbook.errors import HornbookError
from hornbook.tokenizing import quick_bpe
from hornbook.tokenizing.decoding import byte_alphabet
from hornbook.tokenizing.library import check_text
from hornbook.tokenizing.settings import TokenizerSettings
from hornbook.tokenizing.special import SPECIAL, UNK
from hornbook.tokenizing.words import CONTINUATION, PATTERN

GPT2_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s+(?!\S)|\s+"
"""GPT-2's words, each with the space before it (openai/gpt-2, encoder.py)."""

DELIMITER = "\ue000"
"""Stands between words that are counted already; private use, so no text has a word with it."""

SCORE_DIGITS = 5
"""Decimals kept of a Unigram score: far fewer than the library repeats, more than tell apart."""

Counts = dict[str, int]


def train_tree(
    texts: Iterable[str], settings: TokenizerSettings, total: int | None = None
) -> dict[str, Any]:
    """Train a tokenizer and return its tokenizer.json content, with unused parts null.

    Args:
        texts: read once, or a second time if they can be; only their distinct words are kept in
            memory.
        total: how many texts there are, for the progress bar.

    Raises:
        HornbookError: no text, a lone surrogate, or `vocab_size` too small.
    """
    train = {
        "bpe": _train_bpe,
        "word": _train_word,
        "wordpiece": _train_wordpiece,
        "unigram": _train_unigram,
    }[settings.algorithm]
    checked = _Checked(texts, total)
    tree = train(checked, settings)
    if not checked.any_words:
        raise HornbookError(_EMPTY)
    if len(tree["model"]["vocab"]) == len(SPECIAL):
        raise HornbookError(
            f"tokenizer.min_frequency {settings.min_frequency} leaves no token: nothing in the "
            "training text occurs that often; lower it or give more text."
        )
    return tree


_EMPTY = "tokenizer: the training text is empty; give at least one document with words in it."


class _Checked:
    """Passes texts through, refusing lone surrogates and noting whether there are any words."""

    def __init__(self, texts: Iterable[str], total: int | None) -> None:
        self._texts, self._total = texts, total
        self.any_words = False
        self.again = iter(texts) is not texts
        """Whether the texts can be gone through more than once."""

    def __iter__(self) -> Iterator[str]:
        for text in track(self._texts, "tokenizer", self._total, "text"):
            check_text(text)
            self.any_words = self.any_words or not (not text or text.isspace())
            yield text


def _require(settings: TokenizerSettings, least: int, what: str, otherwise: str = "") -> None:
    if settings.vocab_size < least:
        raise HornbookError(
            f"tokenizer.vocab_size {settings.vocab_size} is too small: {what} and the "
            f"{len(SPECIAL)} special tokens need {least}; give at least that{otherwise}."
        )


def _train_bpe(texts: _Checked, settings: TokenizerSettings) -> dict[str, Any]:
    """Byte-level byte-pair encoding: GPT-2's (Radford et al. 2019, §2.2; Sennrich et al. 2016).

    By rustbpe if it surely learns the same, else by the library. The bytes are handed in beforehand
    as if they were special: so they are in order, which decides between equally frequent pairs.
    """
    _require(settings, 256 + len(SPECIAL), "the 256 bytes")
    merges = None
    if settings.min_frequency == 1 and texts.again:
        merges = quick_bpe.learn(texts, settings.vocab_size - len(SPECIAL))
    library = tokenizers.Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    spelt = {byte: character for character, byte in byte_alphabet().items()}
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocab_size,
        min_frequency=settings.min_frequency,
        special_tokens=[*SPECIAL, *(spelt[byte] for byte in range(256))],
        show_progress=False,
    )
    library.train_from_iterator(texts if merges is None else (), trainer)
    tree = _tree(library)
    tree["added_tokens"] = tree["added_tokens"][: len(SPECIAL)]
    spellings = {bytes([byte]): character for byte, character in spelt.items()}
    for pair in merges or ():
        left, right = spellings[pair[0]], spellings[pair[1]]
        spellings[pair[0] + pair[1]] = left + right
        tree["model"]["merges"].append([left, right])
        tree["model"]["vocab"][left + right] = len(tree["model"]["vocab"])
    return tree


def _train_word(texts: Iterable[str], settings: TokenizerSettings) -> dict[str, Any]:
    """The most frequent words; every other one is [UNK]."""
    _require(settings, 1 + len(SPECIAL), "one word")
    library = _word_library(models.WordLevel(unk_token=UNK), settings)
    trainer = trainers.WordLevelTrainer(
        vocab_size=settings.vocab_size,
        min_frequency=settings.min_frequency,
        special_tokens=list(SPECIAL),
        show_progress=False,
    )
    library.train_from_iterator(texts, trainer)
    return _tree(library)


def _train_wordpiece(texts: Iterable[str], settings: TokenizerSettings) -> dict[str, Any]:
    """BERT's pieces of words (Schuster & Nakajima 2012), `##` where a word goes on.

    The library numbers the characters inside words in the order of a hash map, and ties between
    merges fall by number. Handed in beforehand as if they were special, they have fixed numbers.
    """
    library = _word_library(models.WordPiece(unk_token=UNK), settings)
    counts = _covered(_count_words(library, texts), settings)
    inside = sorted({character for word in counts for character in word[1:]})
    everywhere = {character for word in counts for character in word}
    _require_alphabet(settings, len(SPECIAL) + len(everywhere) + len(inside), len(everywhere))
    trainer = trainers.WordPieceTrainer(
        vocab_size=settings.vocab_size,
        min_frequency=settings.min_frequency,
        special_tokens=[*SPECIAL, *(CONTINUATION + character for character in inside)],
        show_progress=False,
    )
    tree = _train_on_counts(library, trainer, counts)
    tree["added_tokens"] = [token for token in tree["added_tokens"] if token["content"] in SPECIAL]
    return tree


def _train_unigram(texts: Iterable[str], settings: TokenizerSettings) -> dict[str, Any]:
    """The pieces under which the text is likeliest (Kudo 2018), with spaces as characters."""
    library = tokenizers.Tokenizer(models.Unigram())
    library.pre_tokenizer = pre_tokenizers.Split(Regex(GPT2_PATTERN), "isolated")
    library.decoder = decoders.Fuse()
    counts = _covered(_count_words(library, texts), settings)
    characters = {character for word in counts for character in word}
    # One more than the characters: at that size exactly, the library misses its own limit.
    _require_alphabet(settings, len(SPECIAL) + len(characters) + 1, len(characters))
    trainer = trainers.UnigramTrainer(
        vocab_size=settings.vocab_size,
        special_tokens=list(SPECIAL),
        unk_token=UNK,
        show_progress=False,
    )
    tree = _train_on_counts(library, trainer, counts)
    tree["model"]["vocab"] = _steady_scores(tree["model"]["vocab"])
    return tree


def _require_alphabet(settings: TokenizerSettings, least: int, characters: int) -> None:
    _require(
        settings,
        least,
        f"the text's {characters} different characters",
        ", or lower tokenizer.character_coverage",
    )


def _word_library(model: Any, settings: TokenizerSettings) -> tokenizers.Tokenizer:
    library = tokenizers.Tokenizer(model)
    steps = [normalizers.NFC(), *([normalizers.Lowercase()] if settings.lowercase else [])]
    library.normalizer = normalizers.Sequence(steps)
    library.pre_tokenizer = pre_tokenizers.Split(Regex(PATTERN), "removed", invert=True)
    # Words are joined by `words.Spacer`; other readers of the file get the nearest they know.
    library.decoder = decoders.WordPiece(prefix=CONTINUATION, cleanup=True)
    return library


def _count_words(library: tokenizers.Tokenizer, texts: Iterable[str]) -> Counts:
    counts: Counter[str] = Counter()
    for text in texts:
        if library.normalizer is not None:
            text = library.normalizer.normalize_str(text)
        counts.update(word for word, _ in library.pre_tokenizer.pre_tokenize_str(text))
    return {word: counts[word] for word in sorted(counts) if DELIMITER not in word}


def _covered(counts: Counts, settings: TokenizerSettings) -> Counts:
    """The words without the rarest characters: those beyond `character_coverage`."""
    characters: Counter[str] = Counter()
    for word, count in counts.items():
        for character in word:
            characters[character] += count
    room = math.ceil(settings.character_coverage * characters.total())
    kept: set[str] = set()
    for character, count in sorted(characters.items(), key=lambda item: (-item[1], item[0])):
        if room <= 0:
            break
        kept.add(character)
        room -= count
    return {word: count for word, count in counts.items() if kept.issuperset(word)}


def _train_on_counts(library: tokenizers.Tokenizer, trainer: Any, counts: Counts) -> dict[str, Any]:
    """Train on words already counted: each is given as often as it occurred."""
    if not counts:
        raise HornbookError(_EMPTY)
    counter = tokenizers.Tokenizer(library.model)
    counter.pre_tokenizer = pre_tokenizers.CharDelimiterSplit(DELIMITER)
    counter.train_from_iterator(_repeat(counts), trainer)
    trained = _tree(counter)
    whole = _tree(library)
    return whole | {"model": trained["model"], "added_tokens": trained["added_tokens"]}


def _repeat(counts: Counts, at_once: int = 10_000) -> Iterator[str]:
    for word, count in counts.items():
        while count > 0:
            yield (word + DELIMITER) * min(count, at_once)
            count -= at_once


def _steady_scores(vocab: list[list[Any]]) -> list[list[Any]]:
    """Unigram's pieces with scores, and in an order, that do not change from run to run.

    The library adds up fractions in a changing order, which moves scores by 1e-14 or so: rounding
    hides that. And it gives the characters that no piece won the lowest score, each 0.0001 above
    the one before, in a changing order: here all of them have the lowest.
    """
    special, pieces = vocab[: len(SPECIAL)], vocab[len(SPECIAL) :]
    scores = dict(pieces)
    lowest = min(scores.values())
    for step in range(len(scores)):
        left_over = [
            piece
            for piece, score in scores.items()
            if len(piece) == 1 and abs(score - (lowest + step * 1e-4)) < 1e-9
        ]
        if not left_over:
            break
        scores |= dict.fromkeys(left_over, lowest)
    steady = {piece: round(score, SCORE_DIGITS) for piece, score in scores.items()}
    return special + [list(item) for item in sorted(steady.items(), key=lambda i: (-i[1], i[0]))]


def _tree(library: tokenizers.Tokenizer) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads(library.to_str())
    return tree
