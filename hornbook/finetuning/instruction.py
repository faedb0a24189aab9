"""A language model taught to follow instructions.

An example is a conversation, of one request and its answer or of many, written in a prompt template.
What is asked is read but not trained on, so that the model learns to answer, not to ask; the token
that ends each answer is trained, so that it learns to stop.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, model_validator

from hornbook.config import Settings
from hornbook.console import counted
from hornbook.errors import HornbookError
from hornbook.finetuning.conversations import Conversation
from hornbook.finetuning.lengths import LengthReport
from hornbook.finetuning.lora import LoRASettings, apply_lora
from hornbook.model.transformer import Transformer
from hornbook.sampling.batch import IGNORE
from hornbook.sampling.dataset import Examples, next_token_example
from hornbook.tokenizing.templates import Template, encode_conversation, stop_ids
from hornbook.tokenizing.tokenizer import Tokenizer
from hornbook.training.settings import LENGTHS, AdapterSettings, FinetuningSettings


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


TOKEN_VECTORS = "embedding.token"
OF_OWN_FILE = {"epochs": 3.0, "batch_size": 8}
"""What a training takes by default that learns from the user's own conversations: a file of them is
smaller than the sample world's 24,000 questions, of which a part of one pass is enough."""


class InstructionSettings(Settings):
    """Fine-tuning to follow instructions."""

    path: str | None = None
    """Conversations to learn from (.json, .jsonl, .csv or .tsv), in Alpaca's form, ShareGPT's, OpenAI's
    or as prompt and completion; the sample world's instructions when not given. With a file of your
    own, trainings take 3 passes in batches of 8 where they do not say otherwise."""
    validation_path: str | None = None
    """Conversations to choose the best weights by; a share of `path` when not given."""
    test_path: str | None = None
    """Conversations to count right answers on; a share of `path` when not given."""
    template: Template = "hornbook"
    """How a conversation is written as one text; "hornbook" needs a tokenizer trained here, "alpaca"
    suits any that can end a text, such as GPT-2's, and "tokenizer" is the one that a loaded tokenizer
    brings along."""
    validation_share: float = Field(default=0.02, ge=0, lt=1)
    """Share of the examples that validation takes, 0 to 1, where it has no file of its own."""
    test_share: float = Field(default=0.05, ge=0, lt=1)
    """Share of the examples that the test takes, 0 to 1, where it has no file of its own."""
    train: tuple[Literal["full", "lora"], ...] = Field(
        default=("full", "lora"), min_length=1, strict=False
    )
    """What is trained, one model for each: everything, or a LoRA adapter (see the lora settings)."""
    mask_prompt: bool = True
    """Train on the answers only; otherwise on the prompts' tokens too."""
    max_length: int | None = Field(default=None, gt=1)
    """Most tokens of an example, later ones being cut; the model's context length when not
    given."""
    packing: bool = False
    """Put several examples side by side into rows of `max_length`, each read by itself: fewer, fuller
    rows. A batch then counts rows, so lower batch_size by as many as stand in one."""
    neftune_alpha: float | None = Field(default=None, gt=0)
    """Size of the noise added to the embeddings while training (NEFTune), which makes answers to few
    examples less of a recitation; 5 to 15 is usual. None when not given."""
    lora_token_vectors: bool = False
    """Whether an adapter trains the tokens' vectors too, whole. The tokens of the template "hornbook"
    have not been met by a model that has read plain text only, and their vectors tell the model
    nothing: an adapter alone learns several times more slowly. Such an adapter is larger by a table of
    vectors, and is exported merged."""
    questions: int | None = Field(default=500, gt=0)
    """Held-out questions asked when right answers are counted; all when not given."""
    training: FollowerTraining = FollowerTraining()
    """How it is trained."""
    lora_training: FollowerAdapter = FollowerAdapter()
    """How a LoRA adapter is trained."""

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_an_own_file(cls, given: Any) -> Any:
        """Where `path` is given, other defaults for what the trainings do not say."""
        if not isinstance(given, dict) or given.get("path") is None:
            return given
        found = dict(given)
        for name in ("training", "lora_training"):
            said = found.get(name, {})
            if isinstance(said, dict):  # else it is whole already
                has_length = any(said.get(unit) is not None for unit in LENGTHS)
                own = {k: v for k, v in OF_OWN_FILE.items() if k != "epochs" or not has_length}
                found[name] = {**own, **said}
        return found


@dataclass(frozen=True)
class InstructionReport(LengthReport):
    """Counts over a set of conversations."""

    trained_tokens: int
    """Positions that count towards the loss."""
    ends_trained: int
    """Examples that are trained to stop: those whose last end token was not cut."""

    def sentence(self) -> str:
        """What is trained and what was cut, to say before the training begins."""
        all_of = "all" if self.ends_trained == self.kept else f"{self.ends_trained:,}"
        return (
            f"{self.trained_tokens:,} tokens are trained in {counted(self.kept, 'example')}, none of which is "
            f"wholly masked; the token that ends an answer is trained in {all_of} of them; "
            f"{self.shortened:,} were cut to {self.max_length:,} tokens and {self.dropped:,} left out."
        )


def prepare_follower(
    model: Transformer,
    train: Literal["full", "lora"],
    lora: LoRASettings | None = None,
    seed: int = 0,
    token_vectors: bool = False,
) -> list[str]:
    """Make trainable what `train` says, in place; the names of the layers that LoRA adapts.

    With `token_vectors`, an adapter trains the tokens' vectors, too, and with them a head tied to them.
    """
    if train == "lora":
        whole = (TOKEN_VECTORS,) if token_vectors else ()
        return apply_lora(model, lora or LoRASettings(), new_modules=whole, seed=seed)
    model.requires_grad_(True)
    return []


def instruction_dataset(
    examples: Sequence[Conversation],
    tokenizer: Tokenizer,
    template: Template,
    max_length: int,
    mask_prompt: bool = True,
) -> tuple[Examples, InstructionReport]:
    """Conversations as examples whose targets are the answers' tokens and their end tokens.

    Args:
        max_length: most inputs of an example. A longer one loses its last tokens; one of whose
            answers nothing is left is dropped. Both are counted in the report.
        mask_prompt: whether the prompts' tokens have no target.

    Raises:
        HornbookError: no example has any of its answer within `max_length`, or none its end, from
            which a model never learns to stop.
    """
    stops = stop_ids(tokenizer, template)
    pairs: list[tuple[list[int], list[int]]] = []
    lengths: list[int] = []
    shortened = ends_trained = 0
    for example in examples:
        encoded = encode_conversation(tokenizer, example.messages, template)
        inputs, targets = next_token_example(encoded.ids, encoded.trained)
        lengths.append(len(inputs))
        learnt = [place for place, target in enumerate(targets) if target != IGNORE]
        if not learnt or learnt[0] >= max_length:
            continue
        shortened += len(inputs) > max_length
        ends_trained += learnt[-1] < max_length and targets[learnt[-1]] in stops
        targets = targets if mask_prompt else encoded.ids[1:]
        pairs.append((inputs[:max_length], targets[:max_length]))
    _require_ends(len(lengths), len(pairs), ends_trained, max_length)
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


def _require_ends(given: int, kept: int, ends_trained: int, max_length: int) -> None:
    if not kept:
        raise HornbookError(
            f"none of the {counted(given, 'conversation')} has any of its answer within {max_length} "
            "tokens; use a model with a longer context or shorter instructions."
        )
    if not ends_trained:
        raise HornbookError(
            f"none of the {counted(kept, 'conversation')} has the end of its last answer within {max_length} "
            "tokens, so the model would never learn to stop; use a model with a longer context or "
            "shorter answers."
        )


def answer_prompts(
    examples: Sequence[Conversation], tokenizer: Tokenizer, template: Template
) -> list[list[int]]:
    """Token ids of each conversation up to where its last answer begins: what generation continues."""
    return [
        encode_conversation(tokenizer, example.asked, template, add_answer_prompt=True).ids
        for example in examples
    ]
