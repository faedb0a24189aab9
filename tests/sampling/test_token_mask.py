"""Which tokens are left untrained hangs on the tokens before them, and on nothing else."""

import numpy as np
import pytest
import torch

from hornbook.sampling.batch import IGNORE
from hornbook.sampling.loader import Loader
from hornbook.sampling.token_mask import TokenMask, mask_for
from hornbook.sampling.windows import SamplingSettings, Windows

RNG = np.random.default_rng(1)
PASSAGE = RNG.integers(0, 50, 40)


def masked(mask: TokenMask, ids: np.ndarray) -> np.ndarray:
    """Whether each token of a row but the first is left out."""
    row = torch.from_numpy(ids)[None]
    return (mask.apply(row[:, :-1], row[:, 1:]) == IGNORE).numpy()[0]


@pytest.mark.parametrize("every", [2, 4, 10])
def test_one_in_so_many(every: int) -> None:
    ids = RNG.integers(0, 5000, (50, 401))
    rows = [masked(TokenMask(every, 13), row) for row in ids]
    assert np.mean(rows) == pytest.approx(1 / every, rel=0.1)


@pytest.mark.parametrize("context", [1, 3, 13])
def test_a_passage_misses_the_same_tokens_wherever_it_comes(context: int) -> None:
    mask = TokenMask(3, context)
    places = []
    for before in (0, 5, 31):
        row = np.concatenate([RNG.integers(0, 50, before), PASSAGE, RNG.integers(0, 50, 9)])
        # Tokens with `context` tokens of the passage before them.
        places.append(masked(mask, row)[before + context - 1 : before + len(PASSAGE) - 1])
    assert places[0].any()
    assert all((other == places[0]).all() for other in places[1:])


def test_the_token_itself_and_those_far_before_do_not_matter() -> None:
    mask = TokenMask(2, 4)
    other = PASSAGE.copy()
    other[20] += 1
    differ = np.flatnonzero(masked(mask, PASSAGE) != masked(mask, other)) + 1  # the tokens
    assert set(differ) <= {21, 22, 23, 24}
    assert len(differ)


def test_other_targets_stay_as_they_are() -> None:
    inputs, targets = torch.randint(0, 9, (4, 30)), torch.randint(0, 9, (4, 30))
    targets[:, :5] = IGNORE
    found = TokenMask(3, 2).apply(inputs, targets)
    assert ((found == targets) | (found == IGNORE)).all()
    assert (found[:, :5] == IGNORE).all()


def test_the_loader_masks_what_it_gives_out() -> None:
    windows = Windows(RNG.integers(0, 50, 400), 16)
    settings = SamplingSettings(mask_every=4, mask_context=3)
    plain = Loader(windows, 4, seed=1).batches()
    with_mask = Loader(windows, 4, seed=1, mask=mask_for(settings)).batches()
    one, other = next(plain), next(with_mask)
    assert torch.equal(one.inputs, other.inputs)
    assert torch.equal(TokenMask(4, 3).apply(one.inputs, one.targets), other.targets)
    assert (other.targets == IGNORE).any()
    assert mask_for(SamplingSettings()) is None
