"""The few numbers that a training run is made of."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from hornbook.config import Settings

LENGTHS = ("steps", "epochs", "tokens")
"""The units in which the length of a run can be given."""
SAME_RESULTS = {"micro_batch_size", "checkpoint_activations"}
"""Settings that decide how much memory a training takes and not what comes out of it, but for
rounding: one that ran out of memory goes on where it was when they are changed."""
TOKENS = 900_000
"""Length of a pre-training when none is given: some 70 s for the smallest models on 2 cores."""


class TrainingSettings(Settings):
    """How long, how fast and with what a model is trained."""

    steps: int | None = Field(default=None, gt=0)
    """Length of the run in optimizer steps. Give one of steps, epochs and tokens."""
    epochs: float | None = Field(default=None, gt=0)
    """Length of the run in passes over the training data."""
    tokens: int | None = Field(default=TOKENS, gt=0)
    """Length of the run in input tokens, padding included."""
    batch_size: int = Field(default=8, gt=0)
    """Sequences per optimizer step."""
    micro_batch_size: Literal["auto"] | Annotated[int, Field(gt=0)] | None = None
    """Sequences computed at once: lower it when memory runs out, results stay the same; "auto"
    finds the largest that fits; the whole batch when not given."""
    checkpoint_activations: bool = False
    """Keep only each block's input and compute the rest again for the gradient: far less memory
    for about a third more time, results stay the same."""
    fp8: bool = False
    """Multiply in 8-bit floating point inside the blocks while training, on NVIDIA GPUs since Ada
    and Hopper; pays off for large models, at a small cost in precision."""

    optimizer: Literal["muon", "adamw"] = "muon"
    """"muon" turns the blocks' weight matrices by Muon and the rest by AdamW; "adamw" does all."""
    lr: float = Field(default=1e-2, gt=0)
    """Peak learning rate of AdamW."""
    muon_lr: float | None = Field(default=5e-3, gt=0)
    """Peak learning rate of Muon, in AdamW's scale (its steps are as large as AdamW's at the same
    rate); `lr` when not given."""
    betas: tuple[float, float] = Field(default=(0.9, 0.95), strict=False)
    """AdamW's decay of the gradient's mean and mean square, per step."""
    muon_momentum: float = Field(default=0.95, ge=0, lt=1)
    """Muon's decay of the gradient's mean, per step."""
    weight_decay: float = Field(default=0.1, ge=0)
    """Share of a weight matrix taken off per step, times the learning rate; vectors keep theirs."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """Course of the learning rate from its peak, after warm-up, to the end."""
    warmup_share: float = Field(default=0.05, ge=0, lt=1)
    """Share of the run in which the learning rate rises from zero."""
    final_lr_share: float = Field(default=0.1, ge=0, le=1)
    """Learning rate at the last step, as a share of the peak."""
    expert_balance: float = Field(default=0.01, ge=0)
    """Weight of the loss that keeps a mixture of experts from sending all tokens to a few (Fedus et
    al. 2021, equation 4); added to the loss that is trained, not to that of evaluations."""
    clip: float = Field(default=1.0, ge=0)
    """Longest gradient, over all parameters together; longer ones are shortened. 0: no limit."""
    on_nonfinite: Literal["stop", "skip"] = "stop"
    """What to do when a loss or gradient is not a finite number; the weights never see it. "stop"
    ends the run; "skip" passes the batch over (its step changes nothing) and names its documents
    in an incident file."""
    spike_guard: float | None = Field(default=None, gt=0)
    """Standard deviations above the mean of recent losses at which a loss is a spike: training
    then goes back to a state kept in memory and on behind that batch, whose documents are named in
    an incident file. No guard when not given; 5 or 6 is usual."""
    spike_window: int = Field(default=100, ge=20)
    """Recent losses that a loss is compared with; nothing is a spike before there are 20."""
    spike_snapshot_every: int = Field(default=50, gt=0)
    """Steps between the states kept for the spike guard, two of them, each as large as the trained
    parameters and the optimizer's state; each checkpoint makes one too."""

    eval_every: int | None = Field(default=None, ge=0)
    """Steps between evaluations; a tenth of the run when not given, 0 for the end only."""
    eval_sequences: int | None = Field(default=64, gt=0)
    """Sequences of the validation set looked at while pre-training, the first ones; all when not
    given. At the end the whole test set (or, without one, validation set) is scored."""
    patience: int | None = Field(default=None, gt=0)
    """Evaluations in a row without a lower validation loss after which training ends; every better
    state is saved then, and the best is kept. It goes on to its end when not given."""
    sample_every: int | None = Field(default=None, ge=0)
    """Steps between samples of text; a fifth of the run when not given, 0 for the end only."""
    save_every: int | None = Field(default=None, ge=0)
    """Steps between checkpoints; a fifth of the run when not given, 0 for the end only."""
    keep: int = Field(default=2, gt=0)
    """Newest checkpoints kept, beside the best."""

    def lr_ratio(self, name: str) -> float:
        """What AdamW's learning rate is multiplied by for the parameter of this name."""
        return 1.0

    @property
    def at_once(self) -> int | None:
        """`micro_batch_size` as a number, where it is one; "auto" is settled before training."""
        return self.micro_batch_size if isinstance(self.micro_batch_size, int) else None

    @model_validator(mode="before")
    @classmethod
    def _own_length_wins(cls, given: Any) -> Any:
        """A length that is given, in whichever unit, takes the place of the default."""
        if isinstance(given, dict) and any(given.get(name) is not None for name in LENGTHS):
            return {**dict.fromkeys(LENGTHS), **given}
        return given

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        given = [name for name in LENGTHS if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are both given; a run has one length")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas {self.betas} must be at least 0 and below 1")
        return self


class FinetuningSettings(TrainingSettings):
    """The same with a fine-tuning's defaults: a few passes over little data, in smaller steps."""

    expert_balance: float = Field(default=0.0, ge=0)
    """Weight of the loss that balances a mixture's experts; one that was trained has its routes."""
    epochs: float | None = Field(default=1.5, gt=0)
    """Length of the run in passes over the training data."""
    tokens: int | None = Field(default=None, gt=0)
    """Length of the run in input tokens, padding included."""
    batch_size: int = Field(default=24, gt=0)
    """Sequences per optimizer step."""
    lr: float = Field(default=5e-3, gt=0)
    """Peak learning rate of AdamW."""
    muon_lr: float | None = Field(default=4e-3, gt=0)
    """Peak learning rate of Muon, in AdamW's scale."""


class AdapterSettings(FinetuningSettings):
    """The same for a LoRA adapter, whose matrices AdamW trains, without weight decay."""

    epochs: float | None = Field(default=1.5, gt=0)
    """Length of the run in passes over the training data."""
    lr: float = Field(default=5e-3, gt=0)
    """Peak learning rate of AdamW."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Share of a weight matrix taken off per step, times the learning rate."""
    b_lr_ratio: float = Field(default=1.0, gt=0)
    """Learning rate of an adapter's B as a multiple of A's (LoRA+, Hayou et al. 2024, section 4.2,
    who advise 16 with a lower `lr`)."""

    def lr_ratio(self, name: str) -> float:
        """`b_lr_ratio` for an adapter's B."""
        return self.b_lr_ratio if name.endswith(".B") else 1.0
