"""`hornbook find-lr`: a learning rate range test on a recipe's own model and data."""

import torch

from hornbook.artifact import write_bytes
from hornbook.console import console, meter
from hornbook.model.transformer import count_parameters
from hornbook.pipeline.context import Context
from hornbook.pipeline.corpora.datasets import train_dataset
from hornbook.pipeline.pretraining.micro_batch import find_micro_batch
from hornbook.pipeline.pretraining.starting import starting_config, starting_model
from hornbook.report.curves import range_test_png
from hornbook.sampling.loader import Loader
from hornbook.training.lr_finder import RangeTest, find_lr
from hornbook.training.parallel import ALONE
from hornbook.training.settings import TrainingSettings

PICTURE = "find-lr.png"


def find_learning_rate(context: Context, steps: int) -> RangeTest:
    """Run the test, draw it into the run's directory and print what to write into the recipe.

    Raises:
        HornbookError: the recipe is wrong, or the loss never fell.
    """
    recipe, runtime = context.recipe, context.runtime
    config = starting_config(recipe.model, context.tokenizer.vocab_size)
    seed = torch.Generator().manual_seed(recipe.runtime.seed)
    model = starting_model(config, context.base, seed).to(runtime.device)
    console.print(f"  {count_parameters(model):,} parameters · {runtime.reason}", style="dim")
    loader = Loader(train_dataset(context, config), recipe.training.batch_size, recipe.runtime.seed)
    settings = recipe.training
    if settings.micro_batch_size == "auto":
        size = find_micro_batch(model, loader, runtime, ALONE)
        settings = settings.model_copy(update={"micro_batch_size": size})
    with meter("find-lr", steps, "step") as shown:
        found = find_lr(
            model,
            settings,
            loader.batches(),
            runtime,
            steps,
            lambda step: shown.advance(1, f"loss {step.loss:.3f} · lr {step.lr:.1e}"),
        )
    _report(context, found, settings)
    return found


def _report(context: Context, found: RangeTest, settings: TrainingSettings) -> None:
    picture = context.workspace.directory / PICTURE
    drawn = range_test_png(
        found.rates.tolist(),
        found.losses.tolist(),
        found.smoothed.tolist(),
        found.suggestion,
        found.turning,
    )
    write_bytes(picture, drawn)
    console.print(f"steepest fall of the loss at lr {found.steepest:.1e}")
    if found.turning is not None:
        console.print(f"the loss turns up again at lr {found.turning:.1e}")
    else:
        console.print(f"the loss had not turned up at lr {found.rates[-1]:.1e}, the last one")
    console.print(f"picture: {picture}\n", markup=False)
    console.print("Suggested peak, to write into the recipe:\n\n[training]", markup=False)
    console.print(f"lr = {found.suggestion:.1e}")
    if settings.optimizer == "muon" and settings.muon_lr is not None:
        # Both were raised together, so the answer holds for both in the proportion they had.
        console.print(f"muon_lr = {found.suggestion * settings.muon_lr / settings.lr:.1e}")
