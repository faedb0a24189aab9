"""One run, from raw text to a model that answers. Start reading here.

Each stage is a function of the recipe and of what the stages before it made. It is keyed by its
settings and the fingerprints of its inputs, so that running again does only what has changed.
"""

import contextlib
from pathlib import Path
from typing import Literal

from hornbook.artifact import write_text
from hornbook.checkpoints.store import LoadedModel
from hornbook.console import console
from hornbook.errors import HornbookError
from hornbook.pipeline.context import Context, Part
from hornbook.pipeline.corpora.corpus import INSTRUCTIONS, Corpus, make_corpora
from hornbook.pipeline.corpora.tokens import make_tokenizer, make_tokens
from hornbook.pipeline.models.bundle import load_bundle
from hornbook.pipeline.pretraining.pretrain import as_it_is, pretrain
from hornbook.pipeline.pretraining.starting import base_tokenizer, copy_base, starting_config
from hornbook.pipeline.recipe import Recipe, to_toml
from hornbook.pipeline.summary import REPORT, Outcome, report_on
from hornbook.pipeline.tuning.classifiers import finetune_classifiers
from hornbook.pipeline.tuning.finetune import NOT_SET, check_examples
from hornbook.pipeline.tuning.followers import finetune_followers
from hornbook.pipeline.tuning.preferences import finetune_preferrers
from hornbook.pipeline.tuning.preview import preview
from hornbook.pipeline.tuning.questions import ask_some
from hornbook.pipeline.workspace import RECIPE, Workspace
from hornbook.processes import ONE, Processes, joined_processes
from hornbook.runtime import Runtime, RuntimeSettings
from hornbook.tokenizing.tokenizer import Tokenizer
from hornbook.training.selftest import trusted_runtime
from hornbook.training.trackers import require_trackers

Goal = Literal["pretrain", "classify", "instruct", "prefer", "all"]


def run(recipe: Recipe, goal: Goal = "all") -> Path:
    """Run every stage that the goal needs; returns the report's path.

    Raises:
        HornbookError: the recipe or its inputs are wrong.
        KeyboardInterrupt: Ctrl-C; the training under way has saved a checkpoint.
    """
    workspace = Workspace(recipe.directory)
    with (
        joined_processes(recipe.runtime.device, recipe.parallel.timeout) as processes,
        workspace.lock() if processes.is_main else contextlib.nullcontext(),
        workspace.as_it_was() if processes.is_main else contextlib.nullcontext(),
    ):
        check_examples(recipe, goal, processes.world_size)  # now, not after an hour of pre-training
        if processes.is_main:
            require_trackers(recipe.run.trackers)
            write_text(workspace.directory / RECIPE, to_toml(recipe))
        context = processes.main_first(lambda: _up_to_tokens(recipe, workspace, processes, goal))

        outcome = Outcome(pretrain(context) if recipe.pretrains(goal) else as_it_is(context))
        if goal == "classify" or (goal == "all" and recipe.classifies):
            outcome.classifiers = finetune_classifiers(context, outcome.pretrained.base)
        if goal == "instruct" or (goal == "all" and recipe.instructs):
            outcome.followers = finetune_followers(context, outcome.pretrained.base)
        if goal == "prefer" or (goal == "all" and recipe.prefers):
            if goal == "prefer" and recipe.preference.start == "instruct":
                outcome.followers = finetune_followers(context, outcome.pretrained.base, ("full",))
            outcome.preferrers = finetune_preferrers(context, outcome.pretrained.base)
        path = processes.main_first(
            lambda: _report(context, outcome), lambda: workspace.directory / REPORT
        )
        console.print(f"\nreport: {path}", markup=False)
    return path


def _report(context: Context, outcome: Outcome) -> Path:
    if outcome.followers:
        best = load_bundle(outcome.followers[0].folder, context.runtime)
        outcome.answered = ask_some(context, best)
    return report_on(context, outcome)


def tokenize_corpus(recipe: Recipe) -> tuple[dict[str, Corpus], Tokenizer]:
    """The stages up to the tokenizer; the corpora by name."""
    workspace = Workspace(recipe.directory)
    with workspace.lock():
        corpora = make_corpora(recipe, workspace)
        return corpora, make_tokenizer(recipe, workspace, corpora, _base(recipe, workspace)[1])


def preview_recipe(recipe: Recipe, count: int) -> None:
    """Print what a model will see of the recipe's conversations; the stages up to the tokenizer.

    Raises:
        HornbookError: the recipe has none, or some of them are no good.
    """
    corpora, tokenizer = tokenize_corpus(recipe)
    files = (corpus.example_file(INSTRUCTIONS) for corpus in corpora.values())
    own = next(filter(None, files), None)
    given = recipe.instruction.path
    path = Path(given) if given is not None else own
    if path is None:
        raise HornbookError(NOT_SET.format("instruction.path"))
    context_length = starting_config(recipe.model, tokenizer.vocab_size).context_length
    preview(path, tokenizer, recipe.instruction, context_length, count)
    if recipe.preference.path is not None:
        preview(Path(recipe.preference.path), tokenizer, recipe.instruction, context_length, count)


def sample_tokens(recipe: Recipe) -> Context:
    """The stages up to the token store: what a model would be trained on."""
    workspace = Workspace(recipe.directory)
    with workspace.lock():
        return _up_to_tokens(recipe, workspace)


def audit_memorization(recipe: Recipe) -> None:
    """Train small models on the recipe's corpus, with secrets planted in it, and see what they tell."""
    from hornbook.pipeline.measuring.memorization import audit_memorization as audit

    workspace = Workspace(recipe.directory)
    with workspace.lock():
        audit(_up_to_tokens(recipe, workspace))


def _up_to_tokens(
    recipe: Recipe, workspace: Workspace, processes: Processes = ONE, goal: Goal = "pretrain"
) -> Context:
    runtime = _agreed_runtime(recipe.runtime, processes)
    base, own = _base(recipe, workspace, "cpu" if processes.world_size == 1 else "meta")
    corpora = make_corpora(recipe, workspace) if recipe.pretrains(goal) else {}
    tokenizer = make_tokenizer(recipe, workspace, corpora, own)
    if base is not None:
        base.require_tokenizer(tokenizer.fingerprint)
    parts = (
        Part(name, corpus, make_tokens(recipe, workspace.part(name), corpus, tokenizer))
        for name, corpus in corpora.items()
    )
    return Context(recipe, workspace, runtime, tokenizer, tuple(parts), base, processes)


def _base(
    recipe: Recipe, workspace: Workspace, kept_on: str = "cpu"
) -> tuple[LoadedModel | None, Tokenizer | None]:
    """The model that the run starts from, and its tokenizer."""
    base = copy_base(recipe, workspace, kept_on)
    return base, base_tokenizer(workspace) if base is not None else None


def _agreed_runtime(settings: RuntimeSettings, processes: Processes) -> Runtime:
    """Each process's own device, in the precision that the main one has chosen."""
    if processes.is_main:
        runtime = trusted_runtime(settings)
        processes.as_main(str(runtime.dtype).removeprefix("torch."))
        return runtime
    precision = processes.as_main("")
    return trusted_runtime(settings.model_copy(update={"precision": precision}))
