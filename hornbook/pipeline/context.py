"""What the training stages of one run share."""

from dataclasses import dataclass

from hornbook.pipeline.corpus import Corpus
from hornbook.pipeline.recipe import Recipe
from hornbook.pipeline.workspace import Workspace
from hornbook.processes import ONE, Processes
from hornbook.runtime import Runtime
from hornbook.sampling.token_store import TokenStore
from hornbook.tokenizing.tokenizer import Tokenizer


@dataclass(frozen=True)
class Context:
    """The recipe, where the run is kept, and what the stages before training have made."""

    recipe: Recipe
    workspace: Workspace
    runtime: Runtime
    corpus: Corpus
    tokenizer: Tokenizer
    store: TokenStore
    processes: Processes = ONE
