"""Stage 7.3 of a run: a follower of instructions taught which answers people prefer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from hornbook.checkpoints.store import LoadedModel, load_model
from hornbook.console import console, counted, track
from hornbook.corpus.tables import split_examples
from hornbook.errors import HornbookError
from hornbook.evaluation.proportion import Proportion
from hornbook.evaluation.units import Measured, hash_samples, score_intervals, units_of
from hornbook.finetuning.instruction import prepare_follower
from hornbook.finetuning.pairs import PreferencePair, read_pairs
from hornbook.finetuning.preference import (
    PairExamples,
    PreferenceLoss,
    log_probabilities,
    preference_dataset,
    without_dropout,
)
from hornbook.model.mode import in_mode
from hornbook.model.transformer import Transformer
from hornbook.pipeline.context import Context
from hornbook.pipeline.corpora.private import note_examples
from hornbook.pipeline.models.bundle import MODEL
from hornbook.pipeline.tuning.finetune import (
    NOT_SET,
    Finetuned,
    FinetuneStage,
    WriteUp,
    deciding,
    warn,
)
from hornbook.runtime import Runtime
from hornbook.sampling.loader import Loader
from hornbook.training.evaluation import Score, evaluate
from hornbook.training.parallel import ALONE, Parallel

START = "instruct-full"
"""The stage whose model is trained on."""


def finetune_preferrers(context: Context, pretrained: LoadedModel) -> list[Finetuned]:
    """Train on the recipe's pairs in each of its modes, after the stage that it starts from."""
    settings = context.recipe.preference
    if settings.path is None:
        raise HornbookError(NOT_SET.format("preference.path"))
    base = pretrained
    if settings.start == "instruct":
        base = load_model(context.workspace.directory / START / MODEL, context.kept_on)
    pairs = read_pairs(Path(settings.path))
    asked = ("\n".join(message.content for message in pair.asked) for pair in pairs)
    texts = (
        f"{question}\n{pair.chosen}\n{pair.rejected}"
        for question, pair in zip(asked, pairs, strict=True)
    )
    note_examples(texts, context.recipe.privacy, Path(settings.path))
    found = []
    for mode in settings.train:
        stage = FinetuneStage(context, base, f"prefer-{mode}", mode, Path(settings.path))
        found.append(stage.once(deciding(settings), lambda s: _preferrer(s, pairs)))
    return found


def _preferrer(stage: FinetuneStage, pairs: Sequence[PreferencePair]) -> WriteUp:
    context, settings = stage.context, stage.context.recipe.preference
    seed = context.recipe.runtime.seed
    shares = settings.validation_share, settings.test_share
    splits = split_examples(pairs, seed, *shares)
    template = stage.base.manifest.facts.get("template", context.recipe.instruction.template)
    max_length = min(settings.max_length or stage.max_length, stage.max_length)
    made = [
        preference_dataset(part, context.tokenizer, template, max_length) if part else None
        for part in splits
    ]
    train, validation, test = (one[0] if one is not None else None for one in made)
    assert train is not None
    assert made[0] is not None
    warn(made[0][1])

    model = stage.fresh_base()
    without_dropout(model)
    prepare_follower(model, stage.mode, context.recipe.lora, seed)
    loss = PreferenceLoss(settings.method, settings.strength, settings.gamma)
    turns = max(len(pair.asked) for pair in pairs) // 2 + 1
    facts = {"task": "instruct", "template": template, "turns": turns, "method": settings.method}

    def ask(model: Transformer) -> None:
        """The reference model is this one, before it changes: an adapter adds nothing yet."""
        batch_size = stage.training(settings).batch_size
        for examples in (train, validation, test):
            if examples is not None:
                ask_reference(model, examples, batch_size, context.runtime, stage.parallel)

    begin = ask if settings.method == "dpo" else None
    fitted, figures = stage.fit(model, train, validation, settings, facts, loss, begin)

    def write_up() -> tuple[dict[str, Any], Measured]:
        stage.save(fitted, facts)
        held_out = test or validation or train
        score = score_pairs(
            fitted.model, held_out, loss, settings.training.batch_size, context.runtime
        )
        right = Proportion(round(score.others["accuracy"] * score.tokens), score.tokens)
        found = {name: one.as_dict() for name, one in score_intervals(score).items()}
        results = {
            **figures,
            "preferred": right.as_dict(),
            "held_out": found,
            "examples": {name: len(part) for name, part in zip(NAMES, splits, strict=True)},
        }
        return results, Measured(hash_samples(held_out), units_of(score))

    return write_up


NAMES = ("train", "validation", "test")


def score_pairs(
    model: Transformer,
    pairs: PairExamples,
    loss: PreferenceLoss,
    batch_size: int,
    runtime: Runtime,
) -> Score:
    """The means of the loss and of its figures over pairs, in their order."""
    return evaluate(model, Loader(pairs, batch_size, 0, False, False).epoch(), runtime, loss=loss)


@torch.no_grad()
def ask_reference(
    model: Transformer,
    pairs: PairExamples,
    batch_size: int,
    runtime: Runtime,
    parallel: Parallel = ALONE,
) -> None:
    """Have `model`, as it is now, say how probable the answers of all pairs are, once and for all.

    Several processes take their shares of each batch of `batch_size` pairs, and all hear the answers.
    """
    with in_mode(model):
        place = parallel.data_rank, parallel.data_size
        loader = Loader(pairs, batch_size, 0, False, False, *place)
        said = torch.zeros(len(pairs), 2)
        for batch in track(loader.epoch(), "reference", loader.batches_per_epoch, "batch"):
            with runtime.autocast():
                found = log_probabilities(model, batch)[0].cpu()
            own = loader.share(loader.samples(batch.position))
            said[torch.from_numpy(own)] = found[: len(own)]
        pairs.set_reference(parallel.sum(said))  # a pair is in one share, and zero in the others
        parallel.let_go(model)
    console.print(f"  the reference model has read {counted(len(pairs), 'pair')}", style="dim")
