"""Vectors of tokens never met, told apart."""

import pytest
import torch
from tiny_training import VOCAB, tiny_model
from torch.nn import functional as F

from hornbook.model.transformer import Transformer
from hornbook.training.unmet import SHARE, tell_apart

MET = torch.arange(VOCAB) < 15


def pushed_down(tied: bool = True) -> Transformer:
    """A model whose unmet tokens have one vector, as after a long training."""
    model = tiny_model(tied_embeddings=tied)
    model.head.weight.data[~MET] = torch.full((int((~MET).sum()), 16), -1.0)
    return model


@pytest.mark.parametrize("tied", [True, False])
def test_unmet_tokens_get_vectors_of_their_own_and_the_others_keep_theirs(tied: bool) -> None:
    model, before = pushed_down(tied), pushed_down(tied)
    assert tell_apart(model, MET, seed=3) == VOCAB - 15
    found, known = model.head.weight.data, before.head.weight.data
    assert torch.equal(found[MET], known[MET])
    assert (model.head.weight is model.embedding.token.weight) == tied
    if not tied:
        assert torch.equal(model.embedding.token.weight, before.embedding.token.weight)
    moved = found[~MET] - known[~MET]
    spread = (known[MET] - known[MET].mean(dim=0)).square().mean().sqrt()
    assert moved.std().item() == pytest.approx(SHARE * spread.item(), rel=0.2)
    alike = F.cosine_similarity(moved[:, None], moved[None], dim=-1)
    assert (alike - torch.eye(len(alike))).abs().max() < 0.9
    again, other = pushed_down(tied), pushed_down(tied)
    tell_apart(again, MET, seed=3)
    tell_apart(other, MET, seed=4)
    assert torch.equal(again.head.weight, model.head.weight)
    assert not torch.equal(other.head.weight, model.head.weight)


@pytest.mark.parametrize("met", [torch.ones(VOCAB, dtype=torch.bool), torch.zeros_like(MET)])
def test_nothing_happens_where_all_were_met_or_none(met: torch.Tensor) -> None:
    model = pushed_down()
    assert tell_apart(model, met, seed=1) == int((~met).sum())
    assert torch.equal(model.head.weight, pushed_down().head.weight)
