"""A language model taught to follow instructions.

An example is a conversation of one request and its answer, written in a prompt template. The
prompt is read but not trained on, so that the model learns to answer, not to ask; the token that
ends the answer is trained, so that it learns to stop.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from hornbook.config import Settings
from hornbook.corpus.tables import Instruction
from hornbook.errors import HornbookError
from hornbook.finetuning.lengths import LengthReport
from hornbook.finetuning.lora import LoRASettings, apply_lora
from hornbook.model.transformer import Transformer
from hornbook.sampling.batch import IGNORE
from hornbook.sampling.dataset import Examples, next_token_example
from hornbook.tokenizing.templates import Template, encode_conversation, messages_of, stop_ids
from hornbook.tokenizing.tokenizer import Tokenizer
from hornbook.training.settings import AdapterSettings, FinetuningSettings


class FollowerTraining(FinetuningSettings):
    """Defaults for the sample world's many short questions."""

    epochs: float | None = Field(default=0.9, gt=0)
    """Length of the run in passes over the training data."""


class FollowerAdapter(AdapterSettings):
    """The same for an adapter."""

    epochs: float | None = Field(default=0.15, gt=0)
    """Length of the run in passes over the training data."""
    lr: float = Field(default=1e-2, gt=0)
    """Peak learning rate of AdamW."""


class InstructionSettings(Settings):
    """Fine-tuning to follow instructions."""

    path: str | None = None
    """Instructions with their answers (.json or .jsonl, Alpaca's fields); the sample world's when
    not given."""
    template: Template = "hornbook"
    """How request and answer are written as one text; "hornbook" needs a tokenizer trained here,
    "alpaca" suits any that can end a text, such as GPT-2's."""
    validation_share: float = Field(default=0.02, ge=0, lt=1)
    """Share of the examples that validation takes, 0 to 1."""
    test_share: float = Field(default=0.05, ge=0, lt=1)
    """Share of the examples that the test takes, 0 to 1."""
    train: tuple[Literal["full", "lora"], ...] = Field(default=("full", "lora"), min_length=1)
    """What is trained, one model for each: everything, or a LoRA adapter (see the lora settings)."""
    mask_prompt: bool = True
    """Train on the answer only; otherwise on the prompt's tokens too."""
    max_length: int | None = Field(default=None, gt=1)
    """Most tokens of an example, later ones being cut; the model's context length when not
    given."""
    packing: bool = False
    """Put several examples side by side into rows of `max_length`, each read by itself: fewer, fuller
    rows. A batch then counts rows, so lower batch_size by as many as stand in one."""
    questions: int | None = Field(default=500, gt=0)
    """Held-out questions asked when right answers are counted; all when not given."""
    training: FollowerTraining = FollowerTraining()
    """How it is trained."""
    lora_training: FollowerAdapter = FollowerAdapter()
    """How a LoRA adapter is trained."""


@dataclass(frozen=True)
class InstructionReport(LengthReport):
    """Counts over a set of instruction examples."""

    trained_tokens: int
    """Positions that count towards the loss."""
    ends_trained: int
    """Examples that are trained to stop: those whose end token was not cut."""


def prepare_follower(
    model: Transformer,
    train: Literal["full", "lora"],
    lora: LoRASettings | None = None,
    seed: int = 0,
) -> list[str]:
    """Make trainable what `train` says, in place; the names of the layers that LoRA adapts."""
    if train == "lora":
        return apply_lora(model, lora or LoRASettings(), seed=seed)
    model.requires_grad_(True)
    return []


def instruction_dataset(
    examples: Sequence[Instruction],
    tokenizer: Tokenizer,
    template: Template,
    max_length: int,
    mask_prompt: bool = True,
) -> tuple[Examples, InstructionReport]:
    """Instructions as examples whose targets are the answer's tokens and its end token.

    Args:
        max_length: most inputs of an example. A longer one loses its last tokens; one of whose
            answer nothing is left is dropped. Both are counted in the report.
        mask_prompt: whether the prompt's tokens have no target.

    Raises:
        HornbookError: no example has any of its answer within `max_length`.
    """
    stops = stop_ids(tokenizer, template)
    pairs: list[tuple[list[int], list[int]]] = []
    lengths: list[int] = []
    shortened = ends_trained = 0
    for example in examples:
        messages = messages_of(example.instruction, example.input, example.output)
        encoded = encode_conversation(tokenizer, messages, template)
        inputs, targets = next_token_example(encoded.ids, encoded.trained)
        lengths.append(len(inputs))
        learnt = [place for place, target in enumerate(targets) if target != IGNORE]
        if not learnt or learnt[0] >= max_length:
            continue
        shortened += len(inputs) > max_length
        ends_trained += learnt[-1] < max_length and targets[learnt[-1]] in stops
        targets = targets if mask_prompt else encoded.ids[1:]
        pairs.append((inputs[:max_length], targets[:max_length]))
    if not pairs:
        raise HornbookError(
            f"none of the {len(lengths)} instructions has any of its answer within {max_length} "
            "tokens; use a model with a longer context or shorter instructions."
        )
    report = InstructionReport(
        examples=len(lengths),
        shortened=shortened,
        dropped=len(lengths) - len(pairs),
        longest=max(lengths),
        max_length=max_length,
        trained_tokens=sum(target != IGNORE for _, targets in pairs for target in targets),
        ends_trained=ends_trained,
    )
    padding = tokenizer.pad_id if tokenizer.pad_id is not None else 0
    return Examples(pairs, padding, max_length), report


def answer_prompts(
    examples: Sequence[Instruction], tokenizer: Tokenizer, template: Template
) -> list[list[int]]:
    """Token ids of each request up to where the answer begins: what generation continues."""
    return [
        encode_conversation(
            tokenizer,
            messages_of(example.instruction, example.input, None),
            template,
            add_answer_prompt=True,
        ).ids
        for example in examples
    ]
