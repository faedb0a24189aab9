"""One run, from raw text to a model that answers. Start reading here.

Each stage is a function of the recipe and of what the stages before it made. It is keyed by its
settings and the fingerprints of its inputs, so that running again does only what has changed.
"""

from pathlib import Path
from typing import Literal

from hornbook.artifact import write_text
from hornbook.console import console
from hornbook.pipeline.bundle import load_bundle
from hornbook.pipeline.context import Context
from hornbook.pipeline.corpus import Corpus, make_corpus
from hornbook.pipeline.finetune import check_examples, finetune_classifiers, finetune_followers
from hornbook.pipeline.pretrain import pretrain
from hornbook.pipeline.questions import ask_some
from hornbook.pipeline.recipe import Recipe, to_toml
from hornbook.pipeline.summary import Outcome, report_on
from hornbook.pipeline.tokens import make_tokenizer, make_tokens
from hornbook.pipeline.workspace import Workspace
from hornbook.runtime import choose_runtime
from hornbook.tokenizing.tokenizer import Tokenizer

Goal = Literal["pretrain", "classify", "instruct", "all"]


def run(recipe: Recipe, goal: Goal = "all") -> Path:
    """Run every stage that the goal needs; returns the report's path.

    Raises:
        HornbookError: the recipe or its inputs are wrong.
        KeyboardInterrupt: Ctrl-C; the training under way has saved a checkpoint.
    """
    workspace = Workspace(recipe.directory)
    with workspace.lock():
        check_examples(recipe, goal)  # now, not after an hour of pre-training
        write_text(workspace.directory / "recipe.toml", to_toml(recipe))
        context = _up_to_tokens(recipe, workspace)

        outcome = Outcome(pretrain(context))
        if goal == "classify" or (goal == "all" and recipe.classifies):
            outcome.classifiers = finetune_classifiers(context, outcome.pretrained.base)
        if goal == "instruct" or (goal == "all" and recipe.instructs):
            outcome.followers = finetune_followers(context, outcome.pretrained.base)
        if outcome.followers:
            best = load_bundle(outcome.followers[0].folder, context.runtime)
            outcome.answered = ask_some(context, best)

        path = report_on(context, outcome)
    console.print(f"\nreport: {path}", markup=False)
    return path


def tokenize_corpus(recipe: Recipe) -> tuple[Corpus, Tokenizer]:
    """The stages up to the tokenizer."""
    workspace = Workspace(recipe.directory)
    with workspace.lock():
        corpus = make_corpus(recipe, workspace)
        return corpus, make_tokenizer(recipe, workspace, corpus)


def sample_tokens(recipe: Recipe) -> Context:
    """The stages up to the token store: what a model would be trained on."""
    workspace = Workspace(recipe.directory)
    with workspace.lock():
        return _up_to_tokens(recipe, workspace)


def _up_to_tokens(recipe: Recipe, workspace: Workspace) -> Context:
    runtime = choose_runtime(recipe.runtime)
    corpus = make_corpus(recipe, workspace)
    tokenizer = make_tokenizer(recipe, workspace, corpus)
    store = make_tokens(recipe, workspace, corpus, tokenizer)
    return Context(recipe, workspace, runtime, corpus, tokenizer, store)
