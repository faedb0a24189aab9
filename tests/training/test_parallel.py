"""A training is the same in one, two and four processes: gloo on the CPU, the real thing."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from many import CASES, NORMS, Training, found_by, gradients
from tiny_training import CPU, tiny_model

from hornbook.errors import HornbookError
from hornbook.training.parallel import ALONE
from hornbook.training.shards import Cut, part_of
from hornbook.training.strategy import ParallelSettings, make_parallel

WORLDS = (2, 4)


@cache
def alone(case: str) -> dict[str, Any]:
    return Training(replace(CASES[case], parallel={}), 1).run()


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[dict[str, Any]]]:
    """By number of processes: what each of them found."""
    folder = tmp_path_factory.mktemp("together")
    return {world: found_by("same", world, folder / str(world)) for world in WORLDS}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("world", WORLDS)
def test_losses_are_those_of_one_process(
    case: str, world: int, together: dict[int, list[dict[str, Any]]]
) -> None:
    one, several = alone(case), together[world][0][case]
    assert len(one["losses"]) == CASES[case].steps
    assert several["tokens"] == one["tokens"]
    assert several["losses"] == pytest.approx(one["losses"], abs=1e-5)
    assert several["norms"] == pytest.approx(one["norms"], rel=2e-3)
    assert several["start"] == one["start"]  # each process keeps its parts of the same numbers
    assert several["weights"].keys() == one["weights"].keys()
    for name, length in one["weights"].items():
        assert several["weights"][name] == pytest.approx(length, abs=2e-3), name


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("world", WORLDS)
def test_gradients_through_norms_across_all_heads_are_those_of_one_process(
    norm: str, world: int, together: dict[int, list[dict[str, Any]]]
) -> None:
    one, several = gradients(norm, 1), together[world][0][norm]
    assert several.keys() == one.keys()
    assert several["loss"] == pytest.approx(one["loss"], rel=1e-6)
    for name in one.keys() - {"loss"}:
        assert several[name] == pytest.approx(one[name], rel=1e-5, abs=1e-5), name


@pytest.mark.parametrize("world", WORLDS)
def test_all_processes_come_to_the_same_bits(
    world: int, together: dict[int, list[dict[str, Any]]]
) -> None:
    first, *others = (_told_by_all(found) for found in together[world])
    assert all(other == first for other in others)


def _told_by_all(found: dict[str, Any]) -> dict[str, Any]:
    """Without what needs the whole model, which only the main process has."""
    own = ("start", "weights")
    return {case: {k: v for k, v in told.items() if k not in own} for case, told in found.items()}


@pytest.mark.parametrize(
    ("settings", "world", "model", "said"),
    [
        ({"tensor": 2}, 1, {}, "does not divide the processes, of which there are 1; take 1"),
        ({"tensor": 2}, 3, {}, "does not divide the processes, of which there are 3"),
        (
            {"tensor": 2},
            2,
            {"mlp": "swiglu", "n_experts": 4, "expert_dim": 21},
            "the hidden units of an expert, of which there are 21",
        ),
        ({"tensor": 4}, 4, {}, "does not divide n_heads, of which there are 2; take 1 or 2"),
        ({"tensor": 2}, 2, {"n_kv_heads": 1}, "does not divide n_kv_heads"),
        ({"tensor": 2}, 2, {"hidden_dim": 21}, "the hidden units of a layer"),
        ({"tensor": 2, "strategy": "ddp"}, 2, {}, "keeps the model whole"),
    ],
)
def test_a_division_that_cannot_be_is_refused(
    settings: dict[str, Any], world: int, model: dict[str, Any], said: str
) -> None:
    runtime = replace(CPU, world_size=world)
    with pytest.raises(HornbookError, match=said):
        make_parallel(ParallelSettings.model_validate(settings), runtime, tiny_model(**model))


def test_one_process_needs_no_strategy() -> None:
    assert make_parallel(ParallelSettings(strategy="fsdp"), CPU, tiny_model()) is ALONE


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_no_process_holds_the_whole_model_at_the_start(tmp_path: Path) -> None:
    """Its half of the weights, and of Muon's momenta as much again; beside it one matrix at a time."""
    for found in found_by("memory", 2, tmp_path / "memory"):
        assert found["whole"] > 90e6
        assert found["risen"] < 1.3 * found["whole"]


@pytest.mark.parametrize("rows", [1, 5, 6, 7, 8])
def test_parts_are_those_of_torch_chunk(rows: int) -> None:
    whole = torch.arange(rows * 3.0).view(1, rows, 3)
    chunks = torch.chunk(whole, 4, dim=1)
    for index in range(4):
        part = part_of(whole, [Cut(0, rows, index, 4, None)], ahead=1)
        expected = chunks[index] if index < len(chunks) else whole[:, :0]
        assert torch.equal(part, expected)


def test_a_case_fails_when_a_process_does(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="KeyError: 'no such check'"):
        found_by("no such check", 2, tmp_path / "none")
