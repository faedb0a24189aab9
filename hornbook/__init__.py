"""Hornbook: from raw text to a language model that answers.

The stages, in the order in which text flows through them. Each folder imports only from those
above it in this list and from the leaves (`errors`, `config`, `runtime`, `processes`,
`artifact`, `console`, `divided`).

| folder      | stage                                                                     |
| ----------- | ------------------------------------------------------------------------- |
| corpus      | 0    documents in: readers, splits, labelled tables, the sample world     |
| tokenizing  | 1    word-level, BPE, WordPiece, Unigram; special tokens; chat templates  |
| sampling    | 2    token store, sliding windows, batches, the loader                    |
| model       | 3-5  embeddings, attention, feed-forward, the transformer, presets        |
| training    | 6    objective, optimizer, schedule, the loop                             |
| checkpoints | 6    models and training states on disk                                   |
| finetuning  | 7    LoRA, classification, instructions, preferences                      |
| inference   | logits to tokens, generation with a cache                                 |
| evaluation  | perplexity, reports, answers, a judge, benchmarks; intervals with each    |
| report      | pictures and the report page                                              |
| pipeline    | the stages joined: recipe, workspace, one function a stage                |
| run.py      | one run, start to finish: read this first                                 |
| cli         | one module per group of verbs                                             |
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hornbook.errors import HornbookError as HornbookError
    from hornbook.inference.generate import GenerationSettings as GenerationSettings
    from hornbook.inference.generate import generate as generate
    from hornbook.model.config import ModelConfig as ModelConfig
    from hornbook.model.transformer import Transformer as Transformer
    from hornbook.pipeline.models.bundle import Bundle as Bundle
    from hornbook.pipeline.models.bundle import default_runtime as default_runtime
    from hornbook.pipeline.models.bundle import load_bundle as load_bundle
    from hornbook.pipeline.recipe import Recipe as Recipe
    from hornbook.pipeline.recipe import load_recipe as load_recipe
    from hornbook.run import run as run
    from hornbook.tokenizing.templates import Message as Message
    from hornbook.tokenizing.tokenizer import Tokenizer as Tokenizer

__version__ = "0.1.0"

# Imported on first use: torch alone takes a second, and `import hornbook` should take none.
_PUBLIC = {
    "Bundle": "hornbook.pipeline.models.bundle",
    "GenerationSettings": "hornbook.inference.generate",
    "HornbookError": "hornbook.errors",
    "Message": "hornbook.tokenizing.templates",
    "ModelConfig": "hornbook.model.config",
    "Recipe": "hornbook.pipeline.recipe",
    "Tokenizer": "hornbook.tokenizing.tokenizer",
    "Transformer": "hornbook.model.transformer",
    "default_runtime": "hornbook.pipeline.models.bundle",
    "generate": "hornbook.inference.generate",
    "load_bundle": "hornbook.pipeline.models.bundle",
    "load_recipe": "hornbook.pipeline.recipe",
    "run": "hornbook.run",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'hornbook' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
