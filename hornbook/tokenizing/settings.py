"""What a tokenizer is to be."""

from typing import Literal, Self

from pydantic import Field, model_validator

from hornbook.config import Settings

Algorithm = Literal["word", "bpe", "wordpiece", "unigram"]


class TokenizerSettings(Settings):
    """Which tokenizer: one to train, or one to load."""

    load: str | None = None
    """Load instead of train: a folder with GPT-2's vocab.bpe and encoder.json, a Hugging Face
    tokenizer.json (or its folder), or a tokenizer that Hornbook saved. The rest is then unused."""
    algorithm: Literal["word", "bpe", "wordpiece", "unigram"] = "bpe"
    """"bpe" (byte-level, restores any text exactly), "word" (whole words, the rest [UNK]),
    "wordpiece" (BERT's) or "unigram" (SentencePiece's)."""
    vocab_size: int = Field(default=2048, gt=0)
    """Most tokens to have, special ones included; a small text may give fewer."""
    max_characters: int | None = Field(default=10_000_000, gt=0)
    """Characters of training text read, from its beginning; all when not given. More change the
    commonest pieces little."""
    min_frequency: int = Field(default=1, ge=1)
    """Times that a word (word) or pair of pieces (bpe, wordpiece) must occur to become a token."""
    lowercase: bool = False
    """Fold text to lower case first (word and wordpiece only)."""
    character_coverage: float = Field(default=1.0, gt=0, le=1)
    """Share of the text's characters that must be tokens; the rarest beyond it become [UNK]
    (wordpiece and unigram only)."""

    @model_validator(mode="after")
    def _fields_apply(self) -> Self:
        if self.lowercase and self.algorithm not in ("word", "wordpiece"):
            raise ValueError(
                f"lowercase = true does not go with algorithm {self.algorithm!r}, "
                'which restores text; leave it out or choose "word" or "wordpiece"'
            )
        return self
