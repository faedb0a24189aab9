"""The one door to the `tokenizers` library: building and encoding.

The library works in threads. A forked child encodes in one, without a warning (0.22 and later).
"""

from collections.abc import Sequence

import tokenizers

from hornbook.errors import HornbookError

BATCH = 1024
"""Texts handed to the library at once: it keeps about 200 bytes a token until they are done."""


def build(content: bytes, source: str) -> tokenizers.Tokenizer:
    """The library's tokenizer of a tokenizer.json's content, as JSON.

    Raises:
        HornbookError: the library does not accept it; `source` is named.
    """
    try:
        return tokenizers.Tokenizer.from_str(content.decode())
    except Exception as error:
        raise HornbookError(
            f"{source} is not a tokenizer that the tokenizers library {tokenizers.__version__} "
            f"can read: {str(error).splitlines()[0]}."
        ) from None


def encode_texts(library: tokenizers.Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Ids of each text, in the library's threads; no token is added that the text does not have.

    Raises:
        HornbookError: a text has a lone surrogate, or the tokenizer has no token for its words.
    """
    ids: list[list[int]] = []
    for start in range(0, len(texts), BATCH):
        part = list(texts[start : start + BATCH])
        try:
            encodings = library.encode_batch_fast(part, add_special_tokens=False)
        except Exception as error:
            for text in part:
                check_text(text)
            raise HornbookError(f"The tokenizer cannot encode this text: {error}.") from None
        ids.extend(encoding.ids for encoding in encodings)
    return ids


def check_text(text: str) -> None:
    """Refuse half of a UTF-16 pair, which is no character and has no UTF-8 form.

    Raises:
        HornbookError: saying which character, and where it stands.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise HornbookError(
            f"Text has a lone surrogate, U+{ord(text[error.start]):04X}, at character "
            f"{error.start + 1}: it is not Unicode text; remove or replace that character."
        ) from None
