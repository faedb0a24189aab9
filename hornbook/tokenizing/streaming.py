"""Text of ids that arrive one by one, as a model writes them."""

from hornbook.tokenizing.tokenizer import Tokenizer


class StreamDecoder:
    """Turns ids into text as they come; all pieces together are what `decode` gives.

    A piece never ends inside a UTF-8 character: bytes wait until their character is whole. One
    object serves one text.
    """

    def __init__(self, tokenizer: Tokenizer, skip_special: bool = False) -> None:
        """With `skip_special`, special tokens add no text, as in `decode`."""
        self._tokenizer = tokenizer
        self._skipped = set(tokenizer.special_tokens.values()) if skip_special else set()
        self._stream = tokenizer.stream()

    def add(self, token_id: int) -> str:
        """The text that is complete now and was not before; may be empty.

        Raises:
            HornbookError: the id is not in the vocabulary.
        """
        number = self._tokenizer.check_id(token_id)
        return "" if number in self._skipped else self._stream.add(number)

    def finish(self) -> str:
        """The rest, when no id follows: � for bytes that never became a character."""
        return self._stream.finish()
