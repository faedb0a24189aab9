"""Training on pairs of answers is the same in two processes as in one: gloo on the CPU."""

import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

import many_preferences
from many import found_by
from many_preferences import BATCH, CASES, PAIRS, STEPS, Case, train

SCRIPT = Path(many_preferences.__file__)


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes found."""
    return found_by("same", 2, tmp_path_factory.mktemp("together"), SCRIPT)


@cache
def alone(case: Case) -> dict[str, Any]:
    return train(case, 1)


@pytest.mark.parametrize("name", CASES)
def test_losses_are_those_of_one_process(name: str, together: list[dict[str, Any]]) -> None:
    one, two = alone(CASES[name]), together[0][name]
    assert two["pairs"] == one["pairs"] == [BATCH] * STEPS
    assert two["losses"] == pytest.approx(one["losses"], abs=1e-5)
    assert two["reference"] == pytest.approx(one["reference"], abs=1e-5)
    assert two["weights"].keys() == one["weights"].keys()
    for weight, numbers in one["weights"].items():
        found, expected = torch.tensor(two["weights"][weight]), torch.tensor(numbers)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert two["score"] == pytest.approx(one["score"], abs=1e-4)
    assert one["score"][1] == PAIRS
    assert together[1][name] == {**two, "weights": {}} or CASES[name].strategy == "ddp"
