"""Matrix products of which nothing is differentiated, by the library that is quickest at them."""

import math
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x weightᵀ + bias; x is (rows, d_in), weight (d_out, d_in), of one dtype; no gradient.

    In float32 on a CPU through oneDNN, by the operation that torch's own compiler uses: on processors
    that are not Intel's it is up to 1.6 times as fast as the library that torch takes by itself.
    """
    if _ONEDNN is not None and x.dtype == torch.float32 and x.device.type == "cpu" and x.numel():
        return cast(Tensor, _ONEDNN(x, weight, bias, "none", [], ""))
    return F.linear(x, weight, bias)


def packed(weight: Tensor, rows: int | None = None) -> Tensor | None:
    """A matrix (d_out, d_in) on a CPU in the order in which oneDNN reads it, as a copy.

    A `product` with it need not bring it into that order first, which takes some twentieth of its time
    with some hundred rows, and most of it with few. Give the number of `rows` that is typical, if one
    is. None where oneDNN is not there, or cannot multiply in this dtype.
    """
    reorder = getattr(torch.ops.mkldnn, "_reorder_linear_weight", None)
    if _ONEDNN is None or reorder is None or weight.device.type != "cpu":
        return None
    if weight.dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return None
    return cast(Tensor, reorder(weight.detach().contiguous(), rows))


def packed_product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The same as `product` of (..., d_in) with a matrix that is `packed`, of x's dtype."""
    assert _ONEDNN is not None
    return cast(Tensor, _ONEDNN(x, weight, bias, "none", [], ""))


def exp_(x: Tensor) -> Tensor:
    """e to the power of float32 `x`, in place, to six digits or more; no gradient.

    As a power of 2: on processors that are not Intel's, the library that torch asks for an exponential
    takes two and a half times as long.
    """
    return x.mul_(math.log2(math.e)).exp2_()


def _onednn() -> Callable[..., Any] | None:
    """oneDNN's linear layer; None in a build of torch without it."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return None
    return getattr(torch.ops.mkldnn, "_linear_pointwise", None)


_ONEDNN = _onednn()
