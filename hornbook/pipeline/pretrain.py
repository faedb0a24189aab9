"""Stage 6 of a run: pre-training on the token store."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hornbook.checkpoints.store import LoadedModel, load_model
from hornbook.console import console
from hornbook.errors import HornbookError
from hornbook.inference.text import complete
from hornbook.model.config import ModelConfig
from hornbook.model.presets import resolve
from hornbook.model.transformer import Transformer, count_parameters
from hornbook.pipeline.bundle import MODEL, save_bundle
from hornbook.pipeline.context import Context
from hornbook.pipeline.fit import Task, fit
from hornbook.pipeline.workspace import announce, finish, finished, results_of
from hornbook.sampling.loader import Loader
from hornbook.sampling.packing import PackedDocuments
from hornbook.sampling.windows import Windows, length_for, make_windows
from hornbook.training.evaluation import evaluate
from hornbook.training.parallel import ALONE, Parallel, make_parallel
from hornbook.training.settings import SAME_RESULTS

STAGE = "pretrain"
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
    """Train a new model on the training split; evaluate it on the test split."""
    recipe = context.recipe
    config = resolve(recipe.model, context.tokenizer.vocab_size)
    settings = {
        "model": config.model_dump(mode="json"),
        "training": recipe.training.model_dump(mode="json", exclude=SAME_RESULTS),
        "sampling": recipe.sampling.model_dump(mode="json"),
        "prompts": list(recipe.run.prompts),
        "generation": recipe.generation.model_dump(mode="json"),
        "seed": recipe.runtime.seed,
        "precision": recipe.runtime.precision,
    }
    inputs = {"tokens": context.store.fingerprint}
    folder = context.processes.main_first(
        lambda: context.workspace.resumable(STAGE, settings, inputs)
    )
    results = finished(folder)
    if results is not None:
        announce(STAGE, "unchanged", headline(results))
    else:
        results = _train(context, config, folder)
        announce(STAGE, f"{results['training_seconds']:.0f} s", headline(results))
    return Pretrained(load_model(folder / MODEL, context.runtime.device), results, folder)


def headline(results: dict[str, Any]) -> str:
    """The result in a line."""
    held_out = results.get("held_out")
    if held_out is None:
        return f"{results['steps']:,} steps"
    return (
        f"{held_out['split']} loss {held_out['loss']:.3f}, "
        f"perplexity {held_out['perplexity']:.2f}, {held_out['bits_per_byte']:.3f} bits a byte"
    )


def _train(context: Context, config: ModelConfig, folder: Path) -> dict[str, Any]:
    runtime, tokenizer = context.runtime, context.tokenizer
    seed = torch.Generator().manual_seed(context.recipe.runtime.seed)
    model = Transformer(config, seed)
    parallel = make_parallel(context.recipe.parallel, runtime, model)
    console.print(f"  {count_parameters(model):,} parameters · {runtime.reason}", style="dim")
    prompts = held_out_prompts(context)
    windows = windows_of(context, config, "train")
    if isinstance(windows, PackedDocuments):
        console.print(f"  {windows.describe()}", style="dim")
    task = Task(
        name=STAGE,
        model=model,
        train=_train_loader(windows, context, parallel),
        validation=_held_out_loader(context, config, "validation", parallel),
        settings=context.recipe.training,
        tokenizer_fingerprint=tokenizer.fingerprint,
        tokens_per_batch=context.recipe.training.batch_size * _max_length(context, config),
        facts={"task": STAGE},
        sample=lambda model: prompts[0] + _continue(context, model, prompts[0]),
        trackers=context.recipe.run.trackers,
        recipe=context.recipe.model_dump(mode="json"),
        trace=lambda position: documents_of(context, config, position),
    )
    fitted = fit(task, folder, runtime, parallel)
    model, held_out = fitted.model, _score(context, config, fitted.model, parallel)

    def write() -> dict[str, Any]:
        results: dict[str, Any] = {
            **fitted.as_dict(),
            "parameters": count_parameters(model),
            "runtime": runtime.reason,
            **held_out,
            "samples": [[prompt, _continue(context, model, prompt)] for prompt in prompts],
        }
        save_bundle(folder, model, tokenizer, {"task": STAGE}, fitted.checkpoint)
        return finish(folder, results)

    return context.processes.main_first(write, lambda: results_of(folder))


def _continue(context: Context, model: Transformer, prompt: str) -> str:
    wanted = context.recipe.generation
    few = wanted.model_copy(update={"max_new_tokens": min(wanted.max_new_tokens, SAMPLE_TOKENS)})
    return complete(model, context.tokenizer, prompt, few)


def held_out_prompts(context: Context) -> list[str]:
    """The recipe's prompts, or the beginnings of three documents that are not trained on."""
    if context.recipe.run.prompts:
        return list(context.recipe.run.prompts)
    split = next((s for s in ("test", "validation", "train") if context.corpus.count(s)), "train")
    prompts = []
    for text in context.corpus.texts(split):
        prompts.append(" ".join(text.split()[:PROMPT_WORDS]))
        if len(prompts) == 3:
            break
    return prompts


def _max_length(context: Context, config: ModelConfig) -> int:
    return context.recipe.sampling.max_length or config.context_length


def windows_of(context: Context, config: ModelConfig, split: str) -> Windows | PackedDocuments:
    """The windows of a split, or rows of its packed documents, as the recipe's sampling says."""
    tokens, sampling = context.store.split(split), context.recipe.sampling
    if sampling.packing == "documents":
        return _packed(context, config, split)
    return make_windows(tokens, sampling, config.context_length, f"the {split} split")


def _packed(
    context: Context, config: ModelConfig, split: str, limit: int | None = None
) -> PackedDocuments:
    """The documents of a split, of its first `limit` tokens only if given, packed into rows."""
    sampling = context.recipe.sampling
    if sampling.stride is not None:
        raise HornbookError(
            "sampling.stride moves windows over documents in a row, which sampling.packing "
            '"documents" keeps apart; leave one of them out.'
        )
    boundaries = context.store.boundaries(split)
    return PackedDocuments(
        context.store.split(split),
        boundaries if limit is None else np.minimum(boundaries, limit),
        length_for(sampling, config.context_length),
        context.tokenizer.eos_id,
        context.recipe.runtime.seed,
        f"the {split} split",
    )


def documents_of(context: Context, config: ModelConfig, position: int) -> list[str]:
    """The documents that a batch of the training split, by its `Batch.position`, has tokens of."""
    windows = windows_of(context, config, "train")
    starts = context.store.boundaries("train")
    numbers: set[int] = set()
    for sample in _train_loader(windows, context).samples(position):
        for start, stop in windows.spans(int(sample)):
            first, last = np.searchsorted(starts, (start, stop - 1), side="right") - 1
            numbers.update(range(first, last + 1))
    ids = context.corpus.ids("train", numbers)
    return [f"{ids[number]} (document {number + 1:,} of the train split)" for number in sorted(ids)]


def _train_loader(
    windows: Windows | PackedDocuments, context: Context, parallel: Parallel = ALONE
) -> Loader:
    sampling = context.recipe.sampling
    return Loader(
        windows,
        context.recipe.training.batch_size,
        context.recipe.runtime.seed,
        shuffle=sampling.shuffle,
        drop_last=sampling.drop_last,
        rank=parallel.data_rank,
        world_size=parallel.data_size,
    )


def _held_out_loader(
    context: Context, config: ModelConfig, split: str, parallel: Parallel, limit: bool = True
) -> Loader | None:
    """Windows laid end to end over a split that is held out, the last one shorter; or its packed
    documents, where those are what is trained on.

    With `limit`, only as many as an evaluation while training may take.
    """
    tokens, length = context.store.split(split), _max_length(context, config)
    if len(tokens) == 0:
        return None
    if limit and context.recipe.training.eval_sequences is not None:
        tokens = tokens[: context.recipe.training.eval_sequences * length + 1]
    windows: Windows | PackedDocuments
    if context.recipe.sampling.packing == "documents":
        windows = _packed(context, config, split, limit=len(tokens))
    else:
        windows = Windows(tokens, length, drop_last=False, name=f"the {split} split")
    batch_size = context.recipe.training.batch_size
    place = parallel.data_rank, parallel.data_size
    return Loader(windows, batch_size, 0, False, False, *place)


def _score(
    context: Context, config: ModelConfig, model: Transformer, parallel: Parallel
) -> dict[str, Any]:
    """Loss, perplexity and bits a byte over the whole test set, or validation set without one."""
    for split in ("test", "validation"):
        loader = _held_out_loader(context, config, split, parallel, limit=False)
        if loader is not None:
            score = evaluate(model, loader.epoch(), context.runtime, parallel)
            return {
                "held_out": {
                    "split": split,
                    "loss": score.loss,
                    "perplexity": score.perplexity,
                    "bits_per_byte": score.bits_per_byte(context.store.byte_counts[split]),
                    "tokens": score.tokens,
                }
            }
    return {}
