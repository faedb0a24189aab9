"""The documents of a batch, named for an incident file."""

from types import SimpleNamespace
from typing import Any

import pytest

from hornbook.errors import HornbookError
from hornbook.model.config import ModelConfig
from hornbook.pipeline.context import Part
from hornbook.pipeline.corpora.corpus import make_corpus
from hornbook.pipeline.corpora.datasets import documents_of, windows_of
from hornbook.pipeline.recipe import Recipe
from hornbook.pipeline.workspace import Workspace
from hornbook.sampling.packing import PackedDocuments
from hornbook.sampling.token_store import write_tokens
from hornbook.sampling.windows import SamplingSettings


@pytest.fixture
def context(tmp_path: Any) -> Any:
    """Thirty documents of five letters, a token each, all for training; windows of four tokens."""
    source = tmp_path / "texts"
    source.mkdir()
    for number in range(30):
        (source / f"{number:02}.txt").write_text(f"{number:05}")
    recipe = Recipe.model_validate(
        {
            "corpus": {"source": str(source), "validation_share": 0.0, "test_share": 0.0},
            "sampling": SamplingSettings(max_length=4, shuffle=False),
            "training": {"batch_size": 2},
        }
    )
    corpus = make_corpus(recipe, Workspace(tmp_path))
    ids = [list(map(int, text)) for text in corpus.texts("train")]
    store = write_tokens(tmp_path / "tokens", {"train": ids}, 10, "t")
    tokenizer = SimpleNamespace(eos_id=None)
    parts = (Part("", corpus, store),)
    return SimpleNamespace(recipe=recipe, parts=parts, tokenizer=tokenizer)


def test_documents_are_named_by_their_ids(context: Any) -> None:
    config = ModelConfig(vocab_size=10, context_length=4, embed_dim=8, n_layers=1, n_heads=1)
    # Batch 1 reads tokens 0 to 7 and is to predict token 8; batch 3, tokens 16 to 24.
    assert documents_of(context, config, 1) == [
        "00.txt#1 (document 1 of the train split)",
        "01.txt#1 (document 2 of the train split)",
    ]
    assert documents_of(context, config, 3) == [
        "03.txt#1 (document 4 of the train split)",
        "04.txt#1 (document 5 of the train split)",
    ]


def packing(context: Any, **changes: Any) -> Any:
    sampling = SamplingSettings(max_length=4, shuffle=False, packing="documents", **changes)
    return context.recipe.model_copy(update={"sampling": sampling})


def test_documents_of_packed_rows_are_those_whose_tokens_are_trained(context: Any) -> None:
    config = ModelConfig(vocab_size=10, context_length=4, embed_dim=8, n_layers=1, n_heads=1)
    context.recipe = packing(context)
    rows = windows_of(context, config, context.parts[0], "train")
    assert isinstance(rows, PackedDocuments)
    assert (len(rows), rows.efficiency) == (30, 1.0)  # five letters: four inputs
    [(start, _)] = rows.spans(0)
    number = start // 5
    named = documents_of(context, config, 1)
    assert len(named) == 2
    assert f"{number:02}.txt#1 (document {number + 1} of the train split)" in named


def test_packing_takes_no_stride(context: Any) -> None:
    config = ModelConfig(vocab_size=10, context_length=4, embed_dim=8, n_layers=1, n_heads=1)
    context.recipe = packing(context, stride=2)
    with pytest.raises(HornbookError, match=r"sampling\.stride moves windows .* leave one of them"):
        windows_of(context, config, context.parts[0], "train")
