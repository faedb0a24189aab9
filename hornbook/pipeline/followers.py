"""Stage 7.2 of a run: the pre-trained model made into followers of instructions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hornbook.checkpoints.store import LoadedModel
from hornbook.console import console
from hornbook.corpus.tables import Instruction, read_instructions, split_examples
from hornbook.finetuning.instruction import instruction_dataset, prepare_follower
from hornbook.pipeline.bundle import load_bundle
from hornbook.pipeline.context import Context
from hornbook.pipeline.corpus import INSTRUCTIONS
from hornbook.pipeline.finetune import (
    Finetuned,
    FinetuneStage,
    WriteUp,
    deciding,
    examples_path,
    warn,
)
from hornbook.pipeline.measure import answer_all
from hornbook.sampling.packing import PackedExamples


def finetune_followers(context: Context, base: LoadedModel) -> list[Finetuned]:
    """Train a follower of instructions in each of the recipe's modes."""
    settings = context.recipe.instruction
    path = instructions_path(context)
    splits = instruction_splits(context)
    found = []
    for mode in settings.train:
        stage = FinetuneStage(context, base, f"instruct-{mode}", mode, path)
        found.append(stage.once(deciding(settings), lambda s: _follower(s, *splits)))
    return found


def instruction_splits(
    context: Context,
) -> tuple[list[Instruction], list[Instruction], list[Instruction]]:
    """The recipe's instructions for training, validation and test."""
    settings = context.recipe.instruction
    shares = settings.validation_share, settings.test_share
    examples = read_instructions(instructions_path(context))
    return split_examples(examples, context.recipe.runtime.seed, *shares)


def instructions_path(context: Context) -> Path:
    """The file of instruction examples: the recipe's, or the sample world's.

    Raises:
        HornbookError: there is neither.
    """
    given = context.recipe.instruction.path
    return examples_path(context, given, INSTRUCTIONS, "instruction.path")


def _follower(
    stage: FinetuneStage,
    train: Sequence[Instruction],
    validation: Sequence[Instruction],
    test: Sequence[Instruction],
) -> WriteUp:
    context, settings = stage.context, stage.context.recipe.instruction
    max_length = min(settings.max_length or stage.max_length, stage.max_length)
    arguments = (context.tokenizer, settings.template, max_length, settings.mask_prompt)
    train_set, report = instruction_dataset(train, *arguments)
    validation_set = instruction_dataset(validation, *arguments)[0] if validation else None
    warn(report)
    console.print(
        f"  {report.trained_tokens:,} answer tokens trained; {report.ends_trained:,} of "
        f"{report.kept:,} examples train the model to stop",
        style="dim",
    )
    model = stage.fresh_base()
    asked = (test or validation or train)[: settings.questions]
    prepare_follower(model, stage.mode, context.recipe.lora, context.recipe.runtime.seed)
    facts = {"task": "instruct", "template": settings.template, "turns": 1}
    seed = context.recipe.runtime.seed
    samples = PackedExamples(train_set, max_length, seed) if settings.packing else train_set
    trained, figures = stage.fit(model, samples, validation_set, settings, facts)

    def write_up() -> dict[str, Any]:
        stage.save(trained, facts)
        answers = answer_all(load_bundle(stage.folder, context.runtime), asked)
        console.print(answers)
        return {
            **figures,
            "answers": answers.as_dict(per_category=3),
            "examples": {"train": len(train), "test": len(test)},
        }

    return write_up
