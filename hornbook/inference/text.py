"""From text to text: encode the prompt, generate, decode as the tokens come."""

from collections.abc import Collection, Iterator, Sequence

from hornbook.errors import HornbookError
from hornbook.inference.generate import GenerationSettings, generate
from hornbook.inference.stops import AnswerText
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime
from hornbook.tokenizing.tokenizer import Tokenizer


def stream_text(
    model: Transformer,
    tokenizer: Tokenizer,
    prompt: str,
    settings: GenerationSettings,
    stop_ids: Collection[int] | None = None,
    runtime: Runtime | None = None,
    opening_ids: Sequence[int] = (),
) -> Iterator[str]:
    """Pieces of the text that continues `prompt`, never a broken character.

    An empty prompt starts a new document. Writing stops at the end of the document unless other
    stop ids are given. `opening_ids` are read before the prompt, for models that were trained with
    them before every text.

    Raises:
        HornbookError: as `generate`, or the prompt is empty and the tokenizer has no token that
            separates documents.
    """
    ids = prompt_ids(tokenizer, prompt, opening_ids)
    if stop_ids is None:
        stop_ids = () if tokenizer.eos_id is None else (tokenizer.eos_id,)
    written = generate(model, ids, settings, stop_ids, runtime)
    return decoded(tokenizer, written, ids, settings.stop)


def complete(
    model: Transformer,
    tokenizer: Tokenizer,
    prompt: str,
    settings: GenerationSettings,
    stop_ids: Collection[int] | None = None,
    runtime: Runtime | None = None,
) -> str:
    """The whole text that continues `prompt`, without the prompt; see `stream_text`."""
    return "".join(stream_text(model, tokenizer, prompt, settings, stop_ids, runtime))


def prompt_ids(tokenizer: Tokenizer, prompt: str, opening_ids: Sequence[int] = ()) -> list[int]:
    """The ids of a text to go on from; of an empty one, the token that a new document follows.

    Raises:
        HornbookError: the text is empty and the tokenizer has no such token.
    """
    return [*opening_ids, *tokenizer.encode(prompt)] or _new_document(tokenizer)


def _new_document(tokenizer: Tokenizer) -> list[int]:
    # In the token store, documents are separated by the end token; a new one follows it.
    for token in (tokenizer.eos_id, tokenizer.bos_id):
        if token is not None:
            return [token]
    raise HornbookError("the prompt is empty; this tokenizer needs at least one word to go on.")


def decoded(
    tokenizer: Tokenizer,
    ids: Iterator[int],
    after: Sequence[int] = (),
    stop: Sequence[str] = (),
    strip: bool = False,
) -> Iterator[str]:
    """The text of ids as they come, in pieces of whole characters; see `AnswerText`."""
    text = AnswerText(tokenizer, stop, after, strip)
    for token in ids:
        piece = text.add(token)
        if piece:
            yield piece
        if text.stopped:
            return
    rest = text.finish()
    if rest:
        yield rest
