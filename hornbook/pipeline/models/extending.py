"""`hornbook extend-vocabulary`: new tokens for a model that is trained already."""

from collections.abc import Sequence
from pathlib import Path

from hornbook.checkpoints.export.huggingface import require_free
from hornbook.model.vocabulary import extend_vocabulary
from hornbook.pipeline.models.bundle import default_runtime, load_bundle, save_bundle


def extend(source: Path, out: Path, tokens: Sequence[str], special: bool = True) -> tuple[int, int]:
    """Write a copy of a model, of Hornbook's or others', whose tokenizer has more tokens.

    Args:
        out: a new folder, which every verb and `model.path` take.
        tokens: their spellings.
        special: whether ordinary text never becomes them, as with marks of a conversation.

    Returns:
        How many ids the tokenizer had and has.

    Raises:
        HornbookError: something stands at `out`, or a token is there already.
    """
    require_free(out)
    bundle = load_bundle(source, default_runtime())
    bundle.require_language_model()
    tokenizer = bundle.tokenizer.extended(tokens, special)
    known, wanted = bundle.tokenizer.vocab_size, tokenizer.vocab_size
    save_bundle(out, extend_vocabulary(bundle.model, known, wanted), tokenizer, bundle.facts)
    return known, wanted
