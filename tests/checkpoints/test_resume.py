from pathlib import Path

import pytest
import torch
from tiny_run import TinyRun

from hornbook.checkpoints.folder import CheckpointFolder
from hornbook.checkpoints.store import load_training_state, load_weights, save_checkpoint
from hornbook.errors import HornbookError
from hornbook.training.settings import TrainingSettings


def settings(optimizer: str, **more: object) -> TrainingSettings:
    # 6 batches an epoch: the run goes over the edge of one.
    return TrainingSettings.model_validate({"steps": 8, "optimizer": optimizer, **more})


def resume(run: TinyRun, directory: Path) -> tuple[int, int]:
    load_weights(directory, run.model)
    state = load_training_state(directory, run.optimizer)
    return state["step"], state["position"]


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(
    tmp_path: Path, optimizer: str, dropout: float
) -> None:
    whole = TinyRun(settings(optimizer), dropout=dropout)
    torch.manual_seed(11)
    uninterrupted = whole.train(0, start_step=0, stop_step=8)

    first = TinyRun(settings(optimizer), dropout=dropout)
    torch.manual_seed(11)
    before = first.train(0, start_step=0, stop_step=4)
    directory = CheckpointFolder(tmp_path).save(
        4,
        first.model,
        tokenizer_fingerprint="t",
        optimizer=first.optimizer,
        state={"position": before[-1].position},
    )

    second = TinyRun(settings(optimizer), seed=99, dropout=dropout)
    torch.manual_seed(12)  # another process stands somewhere else
    step, position = resume(second, directory)
    after = second.train(position, start_step=step, stop_step=8)

    def figures(steps: list) -> list:
        return [(s.index, s.loss, s.lr, s.grad_norm, s.position) for s in steps]

    assert figures(before + after) == figures(uninterrupted)
    for ours, theirs in zip(second.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    state, expected = second.optimizer.state_dict(), whole.optimizer.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], expected[name]) for name in state)


def test_saving_changes_nothing(tmp_path: Path) -> None:
    losses = []
    for save in (False, True):
        run = TinyRun(settings("muon"), dropout=0.3)
        torch.manual_seed(11)
        steps = run.train(0, 0, 2)
        if save:
            save_checkpoint(
                tmp_path / "c", run.model, tokenizer_fingerprint="t", optimizer=run.optimizer
            )
        losses.append([s.loss for s in steps + run.train(steps[-1].position, 2, 4)])
    assert losses[0] == losses[1]


def test_a_checkpoint_before_the_first_step_can_be_resumed(tmp_path: Path) -> None:
    fresh = TinyRun(settings("muon"))
    save_checkpoint(
        tmp_path / "c",
        fresh.model,
        tokenizer_fingerprint="t",
        optimizer=fresh.optimizer,
        state={"step": 0, "position": 0},
    )
    other = TinyRun(settings("muon"), seed=99)
    assert resume(other, tmp_path / "c") == (0, 0)
    assert other.train(0, 0, 1)[0].loss == fresh.train(0, 0, 1)[0].loss


def test_resuming_with_another_optimizer_is_refused(tmp_path: Path) -> None:
    run = TinyRun(settings("muon"))
    save_checkpoint(tmp_path / "c", run.model, tokenizer_fingerprint="t", optimizer=run.optimizer)
    other = TinyRun(settings("adamw"))
    with pytest.raises(HornbookError, match="is of no parameter trained here"):
        load_training_state(tmp_path / "c", other.optimizer)
