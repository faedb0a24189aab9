"""One optimizer for the loop to hold: Muon for the blocks' matrices and AdamW for the rest."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from hornbook.divided import is_divided
from hornbook.errors import HornbookError
from hornbook.training.adamw import AdamW
from hornbook.training.muon import Muon
from hornbook.training.parallel import ALONE, Parallel
from hornbook.training.settings import TrainingSettings
from hornbook.training.shards import local_gradient

Named = dict[str, nn.Parameter]
MUON, ADAMW = "muon.", "adamw."
EPS = 1e-6
"""Added to the gradient's length before it is divided by it, as torch does."""


class Optimizer:
    """Muon and AdamW, stepped together. Only parameters that require gradients are in it.

    Build one after moving the model to its device (`Parallel.spread`), freezing, swapping a head or
    inserting adapters.
    """

    def __init__(
        self,
        model: nn.Module,
        settings: TrainingSettings,
        dtype: torch.dtype = torch.float32,
        parallel: Parallel = ALONE,
    ) -> None:
        """`dtype` is the precision of Muon's products (the runtime's); sums stay float32.

        Raises:
            HornbookError: every parameter is frozen.
        """
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        if not trained:
            raise HornbookError("every parameter is frozen; there is nothing to train.")
        hidden = {n: p for n, p in trained.items() if _is_hidden_matrix(n, p)}
        for_muon = hidden if settings.optimizer == "muon" else {}
        self.parameters = list(trained.values())
        """Every trained parameter."""
        self._parallel = parallel
        self._scale = 1.0
        self._muon = Muon(
            for_muon,
            lr=settings.muon_lr or settings.lr,
            momentum=settings.muon_momentum,
            weight_decay=settings.weight_decay,
            dtype=dtype,
            parallel=parallel,
        )
        self._adamw = AdamW(
            {name: p for name, p in trained.items() if name not in for_muon},
            lr=settings.lr,
            betas=settings.betas,
            weight_decay=settings.weight_decay,
            lr_ratios={name: settings.lr_ratio(name) for name in trained},
        )

    @property
    def lr(self) -> float:
        """AdamW's learning rate now."""
        return self._adamw.lr * self._scale

    def set_lr_scale(self, scale: float) -> None:
        """Set both learning rates to this share of their peaks."""
        self._scale = scale

    def clip(self, longest: float) -> Tensor:
        """Shorten the gradient of all parameters together to `longest`; give its length before.

        The length stays on the device, float32, (). `longest` 0 shortens nothing.
        """
        divided = any(is_divided(parameter) for parameter in self.parameters)
        if longest and not divided:
            norm = nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None])
            # Asking a GPU whether it has to be shortened would take longer than to multiply by 1.
            if norm.device.type != "cpu" or not norm <= longest - EPS:
                nn.utils.clip_grads_with_norm_(self.parameters, longest, norm)
            return norm
        norm = self._parallel.norm(self.parameters)
        if longest:
            gradients = [local_gradient(parameter) for parameter in self.parameters]
            share = torch.clamp(longest / (norm + EPS), max=1.0)  # as clip_grad_norm_ has it
            torch._foreach_mul_([g for g in gradients if g is not None], share)
        return norm

    def step(self, sound: Tensor | None = None) -> None:
        """Change the parameters along their gradients.

        Args:
            sound: bool (), on the parameters' device. Where it is false, neither parameters nor the
                optimizer's state change, and the host need not know: it has not waited.
        """
        self._muon.step(self._muon.lr * self._scale, sound)
        self._adamw.step(self._adamw.lr * self._scale, sound)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def state_dict(self) -> dict[str, Tensor]:
        """Everything to go on from, as named tensors: what safetensors can hold."""
        return {
            **{f"{MUON}{name}": tensor for name, tensor in self._muon.state_dict().items()},
            **{f"{ADAMW}{name}": tensor for name, tensor in self._adamw.state_dict().items()},
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state_dict` gave, on any device.

        Raises:
            HornbookError: the state belongs to another model or other settings.
        """
        unknown = sorted(state.keys() - self.state_dict().keys())
        if unknown:
            raise HornbookError(
                f"optimizer state: {unknown[0]} is of no parameter trained here; go on with the "
                "model and the settings that the checkpoint was made with."
            )
        self._muon.load_state_dict(_under(MUON, state))
        self._adamw.load_state_dict(_under(ADAMW, state))


def _is_hidden_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Muon is for matrices between hidden layers.

    Not for embeddings, the head, gains and biases, nor for the thin matrices of an adapter, which
    are no layer's weight.
    """
    return parameter.ndim == 2 and name.startswith("blocks.") and name.endswith(".weight")


def _under(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}
