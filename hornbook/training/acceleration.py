"""What is done to a model for its training: compiling, recomputing, fp8, balancing its experts.

All of it holds in training mode only: evaluation and generation, whose shapes change from call to
call, take the plain path through the same weights.
"""

import functools
import importlib.util
import os
import shutil
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hornbook.model.feedforward import MixtureOfExperts
from hornbook.model.rotary import Rotation
from hornbook.model.transformer import Transformer, TransformerBlock
from hornbook.runtime import Runtime
from hornbook.training.balance import balance_experts
from hornbook.training.head_loss import chunk_loss, compiled_loss
from hornbook.training.precision import require_float8, use_float8
from hornbook.training.settings import TrainingSettings

Forward = Callable[..., Tensor]
"""A block's way forward in training: (batch, tokens, embed_dim) in and out; given the rotation and,
in rows of several documents, which positions are `visible`."""


def accelerate(
    model: Transformer, settings: TrainingSettings, runtime: Runtime, same_width: bool
) -> list[str]:
    """Prepare the blocks in place as the settings say; what was done, in words to print.

    Call it after adapters are inserted and before the model is spread over processes, so that what
    FSDP hangs on a block stands outside of what is compiled.

    Args:
        same_width: every batch is as wide as the next, so that compiling once is enough.

    Raises:
        HornbookError: `settings.fp8` on a device without 8-bit products.
    """
    done = []
    if settings.fp8:
        require_float8(runtime)
        done.append(f"{use_float8(model)} linear layers multiply in 8 bits (fp8)")
    if settings.checkpoint_activations:
        done.append("activations are computed again in the backward pass")
    if settings.expert_balance and balance_experts(model, settings.expert_balance):
        done.append(
            f"the experts' load is balanced by a loss of weight {settings.expert_balance:g}"
        )
    compiled, reason = _compiles(runtime, same_width)
    if reason:
        done.append(reason)
    for block in model.blocks:
        block = cast(TransformerBlock, block)
        # How many tokens an expert gets changes from step to step, and each number would be compiled.
        same_shapes = compiled and not isinstance(block.feedforward, MixtureOfExperts)
        block.in_training = _forward(block, settings.checkpoint_activations, same_shapes)
    plain_head = type(model.head) is nn.Linear and model.head.weight.requires_grad
    if compiled and same_width and plain_head:
        of_chunk = torch.compile(chunk_loss)
        model.loss_in_training = functools.partial(compiled_loss, of_chunk=of_chunk)
    return done


def _forward(block: TransformerBlock, recomputed: bool, compiled: bool) -> Forward | None:
    if not (recomputed or compiled):
        return None
    forward: Forward = block.add_branches
    if recomputed:
        forward = _recomputed(block)
    if compiled:
        # Block by block, not the whole model: one short compilation serves all blocks, and it goes
        # together with FSDP and DDP. The default mode, without CUDA graphs: a graph's outputs are
        # overwritten by its next run, and here one block's graph would run for every block before
        # the first backward pass reads them.
        forward = torch.compile(forward, dynamic=False)
    return forward


def _recomputed(block: TransformerBlock) -> Forward:
    """The block's way forward, keeping only its input; the rest is made anew for the gradient.

    Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost". torch draws dropout's random
    numbers the second time as it did the first.
    """

    def forward(
        x: Tensor, rotation: Rotation | None = None, visible: Tensor | None = None
    ) -> Tensor:
        y: Tensor = checkpoint(block.add_branches, x, rotation, None, visible, use_reentrant=False)
        return y

    return forward


def _compiles(runtime: Runtime, same_width: bool) -> tuple[bool, str]:
    """Whether to compile, and what to say about it."""
    on = "blocks and loss are compiled by torch.compile: the first step takes longer"
    if runtime.compile != "auto":
        return runtime.compile, on if runtime.compile else ""
    if runtime.device.type != "cuda" or not same_width:
        return False, ""  # not worth the time that it takes
    if importlib.util.find_spec("triton") is None:
        return False, "not compiled: torch.compile needs the package triton"
    if not any(map(shutil.which, (os.environ.get("CC", "cc"), "gcc", "clang"))):
        return False, "not compiled: torch.compile needs a C compiler, gcc for one"
    return True, on
