"""Stage 7.2 of a run: the pre-trained model made into followers of instructions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hornbook.checkpoints.store import LoadedModel
from hornbook.console import console
from hornbook.corpus.readers import SAMPLE_WORLD
from hornbook.corpus.tables import split_examples
from hornbook.evaluation.units import Measured, Units
from hornbook.finetuning.conversations import (
    Conversation,
    overlap,
    read_conversations,
    repeated,
)
from hornbook.finetuning.instruction import (
    InstructionReport,
    InstructionSettings,
    instruction_dataset,
    prepare_follower,
)
from hornbook.finetuning.neftune import add_embedding_noise
from hornbook.pipeline.context import Context
from hornbook.pipeline.corpora.corpus import INSTRUCTIONS
from hornbook.pipeline.corpora.private import note_examples
from hornbook.pipeline.measuring.measure import answer_all, hash_conversations
from hornbook.pipeline.models.bundle import load_bundle
from hornbook.pipeline.recipe import Recipe
from hornbook.pipeline.tuning.finetune import (
    Finetuned,
    FinetuneStage,
    WriteUp,
    deciding,
    examples_path,
    warn,
)
from hornbook.sampling.dataset import Examples
from hornbook.sampling.packing import PackedExamples
from hornbook.tokenizing.tokenizer import Tokenizer

FEW_WORDS = (
    "note: the model has read nothing but the sample world, so it will learn the form of your answers and "
    "little of what they say; start from a model that knows more with model.path=hf:ORG/NAME or a folder, "
    "or pre-train on texts of yours with corpus.source."
)


@dataclass(frozen=True)
class ConversationSplits:
    """Conversations for training, validation and test; the latter two may be empty."""

    train: list[Conversation]
    validation: list[Conversation]
    test: list[Conversation]

    def warnings(self) -> list[str]:
        """A sentence for each thing about them that makes figures look better than they are."""
        found = []
        if again := repeated(self.train):
            found.append(f"{again:,} of {len(self.train):,} training examples repeat another one.")
        for name, held_out in (("validation", self.validation), ("test", self.test)):
            if both := overlap(self.train, held_out):
                found.append(
                    f"{both:,} of {len(held_out):,} {name} examples ask what a training example asks: "
                    "their answers may have been learnt by heart."
                )
        return found


def finetune_followers(
    context: Context, base: LoadedModel, modes: Sequence[Literal["full", "lora"]] | None = None
) -> list[Finetuned]:
    """Train a follower of instructions in each of these modes, the recipe's when not given."""
    settings = context.recipe.instruction
    path = instructions_path(context)
    given = (settings.validation_path, settings.test_path)
    held_out = tuple(Path(name) for name in given if name is not None)
    splits = instruction_splits(context)
    examples = (*splits.train, *splits.validation, *splits.test)
    texts = (f"{example.question}\n{example.answer}" for example in examples)
    note_examples(texts, context.recipe.privacy, path)
    found = []
    for mode in modes or settings.train:
        stage = FinetuneStage(context, base, f"instruct-{mode}", mode, path, held_out)
        found.append(stage.once(deciding(settings), lambda s: _follower(s, splits)))
    return found


def instruction_splits(context: Context) -> ConversationSplits:
    """The recipe's conversations for training, validation and test."""
    settings = context.recipe.instruction
    examples = read_conversations(instructions_path(context))
    return split_conversations(examples, settings, context.recipe.runtime.seed)


def split_conversations(
    examples: Sequence[Conversation], settings: InstructionSettings, seed: int
) -> ConversationSplits:
    """What is held out comes from files of its own, or is a share of the examples."""
    own = settings.validation_path, settings.test_path
    shares = settings.validation_share, settings.test_share
    shares = (0.0 if own[0] else shares[0], 0.0 if own[1] else shares[1])
    train, validation, test = split_examples(
        examples, seed, *shares, content=lambda example: example.content
    )
    return ConversationSplits(
        train,
        read_conversations(Path(own[0])) if own[0] else validation,
        read_conversations(Path(own[1])) if own[1] else test,
    )


def instructions_path(context: Context) -> Path:
    """The file of conversations: the recipe's, or the sample world's.

    Raises:
        HornbookError: there is neither.
    """
    given = context.recipe.instruction.path
    return examples_path(context, given, INSTRUCTIONS, "instruction.path")


def follower_dataset(
    conversations: Sequence[Conversation],
    settings: InstructionSettings,
    tokenizer: Tokenizer,
    context_length: int,
) -> tuple[Examples, InstructionReport]:
    """Conversations as the recipe's settings have them read and trained."""
    max_length = min(settings.max_length or context_length, context_length)
    return instruction_dataset(
        conversations, tokenizer, settings.template, max_length, settings.mask_prompt
    )


def in_rows(
    examples: Examples, settings: InstructionSettings, max_length: int, seed: int
) -> Examples | PackedExamples:
    """The examples, packed into rows of `max_length` where the settings say so."""
    return PackedExamples(examples, max_length, seed) if settings.packing else examples


def _has_read_little(recipe: Recipe) -> bool:
    """Whether the base model knows the sample world alone."""
    own_texts = recipe.corpus.sources or recipe.corpus.source != SAMPLE_WORLD
    return recipe.model.path is None and not own_texts


def _follower(stage: FinetuneStage, splits: ConversationSplits) -> WriteUp:
    context, settings = stage.context, stage.context.recipe.instruction
    seed = context.recipe.runtime.seed
    for sentence in splits.warnings():
        console.print(f"  warning: {sentence}", style="yellow", markup=False)
    if settings.path is not None and _has_read_little(context.recipe):
        console.print(f"  {FEW_WORDS}", style="yellow", markup=False)
    arguments = settings, context.tokenizer, stage.max_length
    train_set, report = follower_dataset(splits.train, *arguments)
    validation_set = (
        follower_dataset(splits.validation, *arguments)[0] if splits.validation else None
    )
    warn(report)
    console.print(f"  {report.sentence()}", style="dim")
    model = stage.fresh_base()
    token_vectors = settings.lora_token_vectors
    prepare_follower(model, stage.mode, context.recipe.lora, seed, token_vectors)
    turns = max(conversation.turns for conversation in splits.train)
    facts = {"task": "instruct", "template": settings.template, "turns": turns}
    samples = in_rows(train_set, settings, report.max_length, seed)
    alpha = settings.neftune_alpha
    noise = None if alpha is None else add_embedding_noise(model, alpha)
    fitted, figures = stage.fit(model, samples, validation_set, settings, facts)
    if noise is not None:
        noise.remove()
    asked = (splits.test or splits.validation or splits.train)[: settings.questions]

    def write_up() -> tuple[dict[str, Any], Measured]:
        stage.save(fitted, facts)
        answers = answer_all(load_bundle(stage.folder, context.runtime), asked)
        console.print(answers)
        results = {
            **figures,
            "answers": answers.as_dict(per_category=3),
            "examples": {"train": len(splits.train), "test": len(splits.test)},
        }
        right = np.array([float(answer.right) for answer in answers.answers])
        return results, Measured(hash_conversations(asked), {"right": Units(right)})

    return write_up
