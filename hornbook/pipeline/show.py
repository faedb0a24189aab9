"""`hornbook sample --show`: what the models of a run will see."""

from hornbook.console import console
from hornbook.finetuning.classification import classification_dataset, read_splits
from hornbook.finetuning.conversations import read_conversations
from hornbook.pipeline.context import Context
from hornbook.pipeline.corpora.datasets import windows_of
from hornbook.pipeline.pretraining.starting import starting_config
from hornbook.pipeline.tuning.classifiers import labelled_path
from hornbook.pipeline.tuning.followers import follower_dataset, in_rows, instructions_path
from hornbook.sampling.show import show_windows

EXAMPLES = 200
"""Fine-tuning examples encoded to show some of them."""


def show_samples(context: Context, count: int) -> None:
    """Print windows of pre-training, and examples of each fine-tuning that the recipe has."""
    recipe, tokenizer = context.recipe, context.tokenizer
    config = starting_config(recipe.model, tokenizer.vocab_size)
    for part in context.parts:
        windows = windows_of(context, config, part, "train")
        console.rule(f"pre-training: {part.name}" if part.name else "pre-training")
        console.print(show_windows(tokenizer, windows, range(min(count, len(windows)))))
    if recipe.classifies:
        console.rule("classification")
        _show_labelled(context, config.context_length, count)
    if recipe.instructs:
        console.rule("instructions")
        examples = read_conversations(instructions_path(context))[:EXAMPLES]
        settings = recipe.instruction
        dataset, report = follower_dataset(examples, settings, tokenizer, config.context_length)
        shown = in_rows(dataset, settings, report.max_length, recipe.runtime.seed)
        console.print(show_windows(tokenizer, shown, range(min(count, len(shown)))))


def _show_labelled(context: Context, context_length: int, count: int) -> None:
    settings = context.recipe.classification
    splits = read_splits(settings, labelled_path(context), context.recipe.runtime.seed)
    chosen = splits.train[:EXAMPLES]
    texts, targets = [example.text for example in chosen], splits.targets(chosen)
    length = settings.max_length or context_length
    dataset, _ = classification_dataset(texts, targets, context.tokenizer, length)
    names = splits.classes.__getitem__
    shown = range(min(count, len(dataset)))
    console.print(show_windows(context.tokenizer, dataset, shown, target_text=names))
