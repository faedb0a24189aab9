"""A follower of instructions taught which of two answers people prefer: DPO, SimPO and ORPO.

A sample is a pair of conversations that differ in their last answer, and the loss is of the pair: it
falls as the chosen answer becomes more probable than the rejected one. All else is as in every other
training: the same loop, the same settings.

- DPO, Rafailov et al. 2023, "Direct Preference Optimization", eq. 7: more probable by more than a
  reference model says, which is the model before this training.
- SimPO, Meng et al. 2024, eq. 6: by the mean over an answer's tokens, without a reference model, and by
  a margin.
- ORPO, Hong et al. 2024, eqs. 6 and 7: the chosen answer learnt as an instruction's, plus the odds of
  the two.

Shapes: pairs lie in rows of two halves of equal width, (batch, 2 * tokens): the chosen conversation and
the rejected one, each padded by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hornbook.config import Settings
from hornbook.console import counted
from hornbook.errors import HornbookError
from hornbook.finetuning.lengths import LengthReport
from hornbook.finetuning.pairs import PreferencePair
from hornbook.model.attention import MultiHeadAttention
from hornbook.model.transformer import Transformer
from hornbook.sampling.batch import IGNORE, Batch
from hornbook.sampling.dataset import MULTIPLE, next_token_example
from hornbook.tokenizing.templates import Template, encode_conversation
from hornbook.tokenizing.tokenizer import Tokenizer
from hornbook.training.settings import AdapterSettings, FinetuningSettings

Method = Literal["dpo", "simpo", "orpo"]
BETA: dict[str, float] = {"dpo": 0.1, "simpo": 2.0, "orpo": 0.1}
LOGITS_AT_ONCE = 2**24
"""64 MiB of float32."""


class PreferenceTraining(FinetuningSettings):
    """Smaller steps than an instruction's: the model can do the task, and is only to be turned."""

    epochs: float | None = Field(default=1.0, gt=0)
    """Length of the run in passes over the training data."""
    batch_size: int = Field(default=16, gt=0)
    """Pairs per optimizer step."""
    optimizer: Literal["muon", "adamw"] = "adamw"
    """"muon" turns the blocks' weight matrices by Muon and the rest by AdamW; "adamw" does all."""
    lr: float = Field(default=1e-4, gt=0)
    """Peak learning rate of AdamW; the larger the model, the smaller: 5e-7 is usual for 7 B parameters."""


class PreferenceAdapter(AdapterSettings):
    """The same for an adapter."""

    epochs: float | None = Field(default=1.0, gt=0)
    """Length of the run in passes over the training data."""
    batch_size: int = Field(default=16, gt=0)
    """Pairs per optimizer step."""
    lr: float = Field(default=1e-3, gt=0)
    """Peak learning rate of AdamW."""


class PreferenceSettings(Settings):
    """Fine-tuning on pairs of a chosen and a rejected answer."""

    path: str | None = None
    """Pairs (.json, .jsonl, .csv or .tsv): prompt, chosen, rejected; as texts or as messages."""
    start: Literal["instruct", "pretrain"] = "instruct"
    """Which model is trained on: the follower of instructions (instruct-full), or the pre-trained
    one, which suits "orpo" alone."""
    method: Method = "dpo"
    """"dpo" measures against the model as it was, "simpo" by the mean of an answer's tokens, "orpo"
    learns the chosen answers too."""
    beta: float | None = Field(default=None, gt=0)
    """How much a difference in log-probability counts: DPO's and SimPO's beta (0.1 and 2 when not
    given), ORPO's lambda (0.1)."""
    gamma: float = Field(default=1.0, ge=0)
    """SimPO's margin, in units of its reward: by so much the chosen answer is to lead."""
    validation_share: float = Field(default=0.05, ge=0, lt=1)
    """Share of the pairs that validation takes, 0 to 1."""
    test_share: float = Field(default=0.05, ge=0, lt=1)
    """Share of the pairs that the test takes, 0 to 1."""
    train: tuple[Literal["full", "lora"], ...] = Field(default=("full",), min_length=1)
    """What is trained, one model for each: everything, or a LoRA adapter (see the lora settings)."""
    max_length: int | None = Field(default=None, gt=1)
    """Most tokens of a conversation, later ones being cut; the model's context length when not
    given."""
    training: PreferenceTraining = PreferenceTraining()
    """How it is trained."""
    lora_training: PreferenceAdapter = PreferenceAdapter()
    """How a LoRA adapter is trained."""

    @property
    def strength(self) -> float:
        """`beta`, or what is usual for the method."""
        return BETA[self.method] if self.beta is None else self.beta


class PairExamples:
    """Pairs as samples for the loader; see the module's docstring for the shapes."""

    def __init__(
        self,
        pairs: Sequence[tuple[list[int], list[int], list[int], list[int]]],
        pad_id: int,
        max_length: int,
    ) -> None:
        """`pairs` are inputs and targets of the chosen conversation and of the rejected one."""
        self._pairs = pairs
        self._pad_id, self._max_length = pad_id, max_length
        self._reference = np.zeros((len(pairs), 2), dtype=np.float32)

    def __len__(self) -> int:
        return len(self._pairs)

    @property
    def n_tokens(self) -> int:
        """Tokens of all conversations together, without padding."""
        return sum(len(chosen) + len(rejected) for chosen, _, rejected, _ in self._pairs)

    @property
    def widest(self) -> int:
        """Tokens of a batch with the longest conversation in it: twice as many as it has."""
        return 2 * self._width(range(len(self)))

    @property
    def same_width(self) -> bool:
        """Batches are as wide as their own longest conversation."""
        return False

    def collate(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Inputs and targets of these pairs, each (batch, 2 * tokens) int64."""
        width = self._width(indices)
        inputs = np.full((len(indices), 2, width), self._pad_id, dtype=np.int64)
        targets = np.full((len(indices), 2, width), IGNORE, dtype=np.int64)
        for row, index in enumerate(indices):
            pair = self._pairs[index]
            for half in (0, 1):
                ids, wanted = pair[2 * half : 2 * half + 2]
                inputs[row, half, : len(ids)] = ids
                targets[row, half, : len(ids)] = wanted
        shape = (len(indices), 2 * width)
        return torch.from_numpy(inputs.reshape(shape)), torch.from_numpy(targets.reshape(shape))

    def documents(self, indices: Sequence[int]) -> None:
        """The halves of a row are taken apart before a model reads them."""

    def reference(self, indices: Sequence[int]) -> Tensor:
        """What the reference model says of these pairs, float32 (batch, 2); zero where none is asked."""
        return torch.from_numpy(self._reference[list(indices)])

    def set_reference(self, log_probabilities: Tensor) -> None:
        """Take what the reference model says, float32 (pairs, 2)."""
        self._reference = log_probabilities.cpu().numpy().astype(np.float32)

    def _width(self, indices: Sequence[int]) -> int:
        longest = max((len(ids) for i in indices for ids in self._pairs[i][::2]), default=0)
        return min(-(-longest // MULTIPLE) * MULTIPLE, self._max_length)


def preference_dataset(
    pairs: Sequence[PreferencePair], tokenizer: Tokenizer, template: Template, max_length: int
) -> tuple[PairExamples, LengthReport]:
    """Pairs as samples whose targets are the tokens of both last answers and their end tokens.

    Args:
        max_length: most inputs of a conversation. A longer one loses its last tokens; a pair of which
            an answer is wholly lost is dropped. Both are counted, in conversations and pairs.

    Raises:
        HornbookError: nothing is left.
    """
    samples: list[tuple[list[int], list[int], list[int], list[int]]] = []
    shortened = longest = 0
    for pair in pairs:
        sample: list[list[int]] = []
        for talk in pair.conversations():
            encoded = encode_conversation(tokenizer, talk.messages, template)
            inputs, targets = next_token_example(encoded.ids, encoded.trained)
            longest = max(longest, len(inputs))
            sample += [inputs[:max_length], targets[:max_length]]
            shortened += len(inputs) > max_length
        if all(any(target != IGNORE for target in targets) for targets in sample[1::2]):
            samples.append((sample[0], sample[1], sample[2], sample[3]))
    if not samples:
        raise HornbookError(
            f"none of the {counted(len(pairs), 'pair')} has any of both its answers within {max_length} tokens; "
            "use a model with a longer context or shorter requests."
        )
    report = LengthReport(len(pairs), shortened, len(pairs) - len(samples), longest, max_length)
    padding = tokenizer.pad_id if tokenizer.pad_id is not None else 0
    return PairExamples(samples, padding, max_length), report


def without_dropout(model: Transformer) -> None:
    """Switch dropout off, in place: what is compared with a reference is to be the model itself."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(module, MultiHeadAttention):
            module.weight_dropout = 0.0


def log_probabilities(model: Transformer, batch: Batch) -> tuple[Tensor, Tensor]:
    """How probable a model finds the answers of a batch of pairs.

    Returns:
        The logarithms of the answers' probabilities, float32 (batch, 2), chosen and rejected,
        differentiable; and how many tokens each has, int64 (batch, 2).
    """
    device = next(model.parameters()).device
    rows = batch.inputs.shape[0]
    targets = batch.targets.reshape(2 * rows, -1)  # (2 * batch, tokens)
    ids = batch.inputs.reshape(2 * rows, -1).to(device, non_blocking=True)
    trained = (targets != IGNORE).flatten().nonzero().squeeze(1)  # (trained,)
    counts = (targets != IGNORE).sum(dim=1)  # (2 * batch,)
    owner = torch.repeat_interleave(torch.arange(2 * rows, device=counts.device), counts)
    wanted = targets.flatten()[trained].to(device, non_blocking=True)
    hidden = model.hidden(ids).flatten(0, 1)[trained.to(device, non_blocking=True)]
    found = _token_log_probabilities(hidden, model.head, wanted)  # (trained,)
    sums = torch.zeros(2 * rows, dtype=torch.float32, device=device)
    sums = sums.index_add(0, owner.to(device, non_blocking=True), found)
    return sums.view(rows, 2), counts.view(rows, 2).to(device, non_blocking=True)


def _token_log_probabilities(rows: Tensor, head: nn.Linear, targets: Tensor) -> Tensor:
    """log p(target) of each row, float32 (rows,); many logits are made, and made again, in chunks."""
    chunk = max(LOGITS_AT_ONCE // head.out_features, 1)
    if rows.shape[0] <= chunk:
        return _of_chunk(rows, head, targets)
    parts = [
        checkpoint(_of_chunk, some, head, wanted, use_reentrant=False)
        for some, wanted in zip(torch.split(rows, chunk), torch.split(targets, chunk), strict=True)
    ]
    return torch.cat(parts)


def _of_chunk(rows: Tensor, head: nn.Linear, targets: Tensor) -> Tensor:
    return -F.cross_entropy(head(rows).float(), targets, reduction="none")


@dataclass(frozen=True)
class PreferenceLoss:
    """The loss of pairs, one of `training.objective.Loss`; a pair is a unit."""

    method: Method
    beta: float
    gamma: float = 0.0

    def __call__(self, model: Transformer, batch: Batch) -> Tensor:
        """The loss summed over the pairs, float32 ()."""
        return self.figures(model, batch)["loss"].sum()

    def count(self, batch: Batch) -> Tensor:
        """How many pairs there are; one that only fills a batch up is none."""
        return _real(batch).sum()

    def counts(self, batch: Batch) -> Tensor:
        """The same of each row: 1 or 0."""
        return _real(batch).long()

    def figures(self, model: Transformer, batch: Batch) -> dict[str, Tensor]:
        """Of each pair: the loss, how often the chosen answer has the higher reward, and by
        how much; both rewards."""
        said, counts = log_probabilities(model, batch)
        reference = torch.zeros_like(said)
        if batch.reference is not None:
            reference = batch.reference.to(said.device, non_blocking=True)
        losses, rewards = self.losses(said, counts, reference)
        real = _real(batch).to(said.device, non_blocking=True)
        margins = rewards[:, 0] - rewards[:, 1]
        return {
            "loss": losses * real,
            "accuracy": ((margins > 0) * real).float(),
            "margin": margins * real,
            "chosen_reward": rewards[:, 0] * real,
            "rejected_reward": rewards[:, 1] * real,
        }

    def losses(self, said: Tensor, counts: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        """Of the answers' log-probabilities, counts of tokens, and the reference's log-probabilities,
        each (batch, 2): the pairs' losses, (batch,), and the answers' rewards, (batch, 2)."""
        if self.method == "dpo":
            rewards = self.beta * (said - reference)
            return -F.logsigmoid(rewards[:, 0] - rewards[:, 1]), rewards.detach()
        mean = said / counts.clamp(min=1)
        rewards = self.beta * mean
        if self.method == "simpo":
            lead = rewards[:, 0] - rewards[:, 1] - self.gamma
            return -F.logsigmoid(lead), rewards.detach()
        odds = mean - torch.log(-torch.expm1(mean.clamp(max=-1e-6)))  # log(p / (1 - p))
        ratio = -F.logsigmoid(odds[:, 0] - odds[:, 1])
        return self.beta * ratio - mean[:, 0], rewards.detach()


def _real(batch: Batch) -> Tensor:
    return (batch.targets != IGNORE).any(dim=1)
