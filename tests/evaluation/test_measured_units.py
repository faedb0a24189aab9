"""What scores are made of: intervals by hand and by SciPy, pairs, and what is written down."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from hornbook.errors import HornbookError
from hornbook.evaluation.intervals import compare_means, compare_ratios, ratio_interval
from hornbook.evaluation.units import (
    Measured,
    Units,
    hash_samples,
    read_units,
    score_intervals,
    units_of,
    write_units,
)
from hornbook.sampling.windows import Windows
from hornbook.training.evaluation import Rows, Score, pooled


def score(sums: list[float], counts: list[float]) -> Score:
    rows = Rows(np.array(counts), {"loss": np.array(sums)})
    return Score(sum(sums) / sum(counts), int(sum(counts)), rows=rows)


def test_a_loss_is_resampled_by_row_and_its_perplexity_is_its_power() -> None:
    one = score([6.0, 10.0, 3.0, 8.0], [2, 4, 1, 4])
    found = score_intervals(one)
    expected = ratio_interval(np.array([6.0, 10.0, 3.0, 8.0]), np.array([2.0, 4.0, 1.0, 4.0]))
    assert found["loss"] == expected
    assert found["loss"].value == pytest.approx(one.loss)
    assert found["perplexity"].high == pytest.approx(math.exp(expected.high))
    assert found["perplexity"].value == pytest.approx(one.perplexity)


def test_sources_are_scored_together() -> None:
    parts = {"a": score([6.0, 10.0], [2, 4]), "b": score([3.0], [1])}
    both = pooled(parts)
    units = units_of(both)["loss"]
    assert units.values.tolist() == [6.0, 10.0, 3.0]
    assert units.interval().value == pytest.approx(both.loss)


def test_only_what_was_measured_on_the_same_is_paired(tmp_path: Path) -> None:
    sizes = np.array([2.0, 4.0, 1.0])
    nats = Units(np.array([6.0, 10.0, 3.0]), sizes), Units(np.array([5.0, 10.5, 2.0]), sizes)
    right = Units(np.array([1.0, 1.0, 0.0])), Units(np.array([1.0, 0.0, 0.0]))
    one, other = (
        Measured("same", {"loss": loss, "right": share})
        for loss, share in zip(nats, right, strict=True)
    )
    write_units(tmp_path, other)
    kept = read_units(tmp_path)
    assert kept is not None
    found = one.against(kept)
    assert found["loss"] == compare_ratios(nats[0].values, nats[1].values, sizes, sizes)
    assert found["right"] == compare_means([1.0, 1.0, 0.0], [1.0, 0.0, 0.0])
    assert found["right"].test == "McNemar, exact"
    assert one.against(Measured("another", other.figures)) == {}
    (tmp_path / "units.json").write_text('{"figures": []}')
    with pytest.raises(HornbookError, match=r"units\.json is damaged"):
        read_units(tmp_path)
    assert read_units(tmp_path / "nowhere") is None


def test_samples_have_a_hash_of_what_is_read_and_expected() -> None:
    def windows(ids: list[int], length: int) -> str:
        return hash_samples(Windows(np.array(ids), max_length=length, drop_last=False))

    ids = list(torch.arange(40).tolist())
    assert windows(ids, 8) == windows(ids, 8)
    assert len({windows(ids, 8), windows(ids, 9), windows([*ids[:-1], 5], 8)}) == 3
