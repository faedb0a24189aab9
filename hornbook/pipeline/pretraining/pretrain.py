"""Stage 6 of a run: pre-training on the token store."""

from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import torch

from hornbook.artifact import hash_json
from hornbook.checkpoints.store import LoadedModel, load_model
from hornbook.console import console
from hornbook.evaluation.intervals import read_interval
from hornbook.evaluation.units import Measured, hash_samples, score_intervals, units_of
from hornbook.inference.text import complete
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer, count_parameters, shapes_of
from hornbook.pipeline.context import Context, Part
from hornbook.pipeline.corpora.datasets import (
    describe_dataset,
    documents_of,
    held_out_loaders,
    max_length,
    met_tokens,
    mixture_facts,
    train_loader,
)
from hornbook.pipeline.models.bundle import MODEL, save_bundle
from hornbook.pipeline.models.foreign import kept_facts
from hornbook.pipeline.models.writing import ready_to_write
from hornbook.pipeline.pretraining.fit import fit
from hornbook.pipeline.pretraining.starting import start_in_parts, starting_config, starting_model
from hornbook.pipeline.pretraining.task import Task
from hornbook.pipeline.workspace import announce, finish, finished, results_of
from hornbook.sampling.loader import Loader
from hornbook.training.evaluation import Score, evaluate, pooled
from hornbook.training.parallel import Parallel
from hornbook.training.settings import SAME_RESULTS
from hornbook.training.strategy import make_parallel
from hornbook.training.unmet import tell_apart

STAGE = "pretrain"
PROMPTS = 3
"""How many beginnings it is shown."""
PROMPT_WORDS = 6
"""Words of a held-out document that the model is shown before it continues."""
SAMPLE_TOKENS = 100


@dataclass(frozen=True)
class Pretrained:
    """The pre-trained model and how it came out."""

    base: LoadedModel
    results: dict[str, Any]
    folder: Path


def pretrain(context: Context) -> Pretrained:
    """Train a model on the training split; evaluate it on the test split."""
    recipe = context.recipe
    config = starting_config(recipe.model, context.tokenizer.vocab_size)
    settings = {
        "model": config.model_dump(mode="json"),
        "training": recipe.training.model_dump(mode="json", exclude=SAME_RESULTS),
        "sampling": recipe.sampling.model_dump(mode="json"),
        "prompts": list(recipe.run.prompts),
        "generation": recipe.generation.model_dump(mode="json"),
        "seed": recipe.runtime.seed,
        "precision": recipe.runtime.precision,
    }
    if context.recipe.corpus.sources:
        settings["mixture"] = {
            "weights": context.recipe.corpus.weights,
            "alpha": context.recipe.corpus.alpha,
        }
    inputs = context.fingerprints()
    if context.base is not None:
        inputs["base"] = context.base.manifest.fingerprint
    folder = context.processes.main_first(
        lambda: context.workspace.resumable(STAGE, settings, inputs)
    )
    results = finished(folder)
    if results is not None:
        announce(STAGE, "unchanged", headline(results))
    else:
        results = _train(context, config, folder)
        announce(STAGE, f"{results['training_seconds']:.0f} s", headline(results))
    return Pretrained(load_model(folder / MODEL, context.kept_on), results, folder)


def as_it_is(context: Context) -> Pretrained:
    """The model that the run starts from, not trained any further."""
    assert context.base is not None
    return Pretrained(context.base, {}, context.base.directory.parent)


def headline(results: dict[str, Any]) -> str:
    """The result in a line."""
    held_out = results.get("held_out")
    if held_out is None:
        return f"{results['steps']:,} steps"
    loss, perplexity, bits = (
        read_interval(held_out[name]) for name in ("loss", "perplexity", "bits_per_byte")
    )
    return (
        f"{held_out['split']} loss {loss.shown()}, perplexity {perplexity.shown(2)}, "
        f"bits a byte {bits.shown()}"
    )


def _train(context: Context, config: ModelConfig, folder: Path) -> dict[str, Any]:
    runtime, tokenizer = context.runtime, context.tokenizer
    seed, base = torch.Generator().manual_seed(context.recipe.runtime.seed), context.base
    model = shapes_of(config)
    parallel = make_parallel(context.recipe.parallel, runtime, model)
    if not parallel.divides:
        model = starting_model(config, base, seed)
    console.print(f"  {count_parameters(model):,} parameters · {runtime.reason}", style="dim")
    prompts = held_out_prompts(context)

    def tell_unmet_apart(model: Transformer) -> None:
        unmet = tell_apart(
            model, torch.from_numpy(met_tokens(context)), context.recipe.runtime.seed
        )
        console.print(
            f"  {unmet:,} tokens are in no training text; their vectors are told apart", style="dim"
        )

    train = train_loader(context, config, parallel)
    for line in describe_dataset(train.dataset):
        console.print(f"  {line}", style="dim", markup=False)
    validation = held_out_loaders(context, config, "validation", parallel)
    task = Task(
        name=STAGE,
        model=model,
        train=train,
        validation=validation.get("", validation or None),
        settings=context.recipe.training,
        tokenizer_fingerprint=tokenizer.fingerprint,
        tokens_per_batch=context.recipe.training.batch_size * max_length(context, config),
        facts={"task": STAGE},
        sample=lambda model: prompts[0] + _continue(context, model, prompts[0]),
        trackers=context.recipe.run.trackers,
        recipe=context.recipe.model_dump(mode="json"),
        trace=lambda position: documents_of(context, config, position),
        at_end=tell_unmet_apart if base is None else None,  # else they were met in former texts
        fill=(lambda model: start_in_parts(model, base, seed)) if parallel.divides else None,
    )
    fitted = fit(task, folder, runtime, parallel)
    model, held_out = fitted.model, _score(context, config, fitted.trained, parallel)
    measured = None if held_out is None else held_out.units()

    def write() -> dict[str, Any]:
        results: dict[str, Any] = {
            **fitted.as_dict(),
            "parameters": count_parameters(model),
            "runtime": runtime.reason,
            **({} if held_out is None else {"held_out": held_out.as_dict()}),
            **mixture_facts(train, fitted.steps),
            "samples": [[prompt, _continue(context, model, prompt)] for prompt in prompts],
        }
        facts = {"task": STAGE, **(kept_facts(context.base.facts) if context.base else {})}
        save_bundle(folder, model, tokenizer, facts, fitted.checkpoint)
        return finish(folder, results, measured)

    return context.processes.main_first(write, lambda: results_of(folder))


def _continue(context: Context, model: Transformer, prompt: str) -> str:
    wanted = context.recipe.generation
    few = wanted.model_copy(update={"max_new_tokens": min(wanted.max_new_tokens, SAMPLE_TOKENS)})
    return complete(ready_to_write(model, context.runtime), context.tokenizer, prompt, few)


def held_out_prompts(context: Context) -> list[str]:
    """The recipe's prompts, or the beginnings of three documents that are not trained on."""
    if context.recipe.run.prompts:
        return list(context.recipe.run.prompts)
    texts = [islice(part.corpus.texts(_held_out_split(part)), PROMPTS) for part in context.parts]
    # In turn from each corpus.
    shown = islice((text for row in zip_longest(*texts) for text in row if text), PROMPTS)
    return [" ".join(text.split()[:PROMPT_WORDS]) for text in shown]


def _held_out_split(part: Part) -> str:
    return next((s for s in ("test", "validation", "train") if part.corpus.count(s)), "train")


@dataclass(frozen=True)
class _HeldOut:
    """How well a split is predicted, of each corpus that has something in it."""

    split: str
    scores: dict[str, Score]
    loaders: dict[str, Loader]
    sizes: dict[str, int]
    """Bytes of the text."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values: the scores of all together, and of each corpus where there are several."""
        found = {"split": self.split, **_figures(pooled(self.scores), sum(self.sizes.values()))}
        if "" not in self.scores:
            each = {name: _figures(one, self.sizes[name]) for name, one in self.scores.items()}
            found["sources"] = each
        return found

    def units(self) -> Measured:
        """What was found of each window."""
        hashes = [hash_samples(loader.dataset) for loader in self.loaders.values()]
        return Measured(hash_json(hashes), units_of(pooled(self.scores)))


def _score(
    context: Context, config: ModelConfig, model: Transformer, parallel: Parallel
) -> _HeldOut | None:
    """The whole test set scored, or the validation set without one."""
    for split in ("test", "validation"):
        loaders = held_out_loaders(context, config, split, parallel, limit=False)
        if loaders:
            scores = {
                name: evaluate(model, loader.epoch(), context.runtime, parallel)
                for name, loader in loaders.items()
            }
            stores = {part.name: part.store for part in context.parts}
            sizes = {name: stores[name].byte_counts[split] for name in scores}
            return _HeldOut(split, scores, loaders, sizes)
    return None


def _figures(score: Score, byte_count: int) -> dict[str, Any]:
    """Loss, perplexity and bits a byte with their intervals, resampled by window."""
    found = score_intervals(score)
    found["bits_per_byte"] = found["loss"].times(score.bits_per_byte(byte_count) / score.loss)
    return {name: one.as_dict() for name, one in found.items()} | {"tokens": score.tokens}
