"""Other ways to continue a text than token by token: beam search, and guessing ahead."""

from collections.abc import Callable, Iterator
from pathlib import Path

from hornbook.errors import HornbookError
from hornbook.inference.beams import beam_search
from hornbook.inference.settings import GenerationSettings
from hornbook.inference.speculation import Propose, draft_with, generate_speculatively
from hornbook.inference.text import decoded
from hornbook.inference.weights import Weights
from hornbook.pipeline.models.bundle import Bundle
from hornbook.pipeline.models.writing import open_to_write

Way = Callable[[str], Iterator[str]]
"""Pieces of the text that continues a prompt."""

OF_BEAMS = {"max_new_tokens", "stop"}
"""The settings that beam search has."""


def by_beams(bundle: Bundle, settings: GenerationSettings, beams: int) -> Way:
    """The likeliest text that so many parallel guesses lead to, as far as the context reaches.

    Raises:
        HornbookError: the model is a classifier, settings were given that beam search has not, or
            (of a prompt) it leaves no room.
    """
    bundle.require_language_model()
    if others := sorted(settings.model_fields_set - OF_BEAMS):
        raise HornbookError(
            f"beam search takes the likeliest text and has no {others[0]}; leave it out, or write "
            "without --beams."
        )

    def way(prompt: str) -> Iterator[str]:
        ids = bundle.prompt_ids(prompt)
        # What does not fit is the search's to refuse.
        room = max(bundle.model.config.context_length - len(ids), 1)
        most = min(settings.max_new_tokens, room)
        best = beam_search(bundle.model, ids, beams, most, bundle.ends, bundle.runtime)[0]
        return decoded(bundle.tokenizer, iter(best.ids), ids, settings.stop)

    return way


def by_guessing(bundle: Bundle, settings: GenerationSettings, propose: Propose) -> Way:
    """The greedy text, several tokens at a time where the guesses are right.

    Raises:
        HornbookError: the model is a classifier, or (of a prompt) as `generate_speculatively`.
    """
    bundle.require_language_model()

    def way(prompt: str) -> Iterator[str]:
        ids = bundle.prompt_ids(prompt)
        written = generate_speculatively(
            bundle.model, ids, settings, propose, bundle.ends, bundle.runtime
        )
        return decoded(bundle.tokenizer, written, ids, settings.stop)

    return way


def guesses_of(draft: Path, bundle: Bundle, weights: Weights | None = None) -> Propose:
    """Guesses of a smaller model, for one that has the same tokens.

    Raises:
        HornbookError: as `load_bundle`; or the two have different tokenizers.
    """
    small = open_to_write(draft, weights)
    small.require_language_model()
    if small.tokenizer.fingerprint != bundle.tokenizer.fingerprint:
        raise HornbookError(
            f"--draft {draft}: its tokenizer is another than that of {bundle.path}, so that its "
            "guesses mean nothing there; give a model that was trained with the same one."
        )
    return draft_with(small.model, small.runtime)
