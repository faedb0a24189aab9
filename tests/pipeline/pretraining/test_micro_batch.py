import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.pipeline.pretraining import micro_batch
from hornbook.pipeline.pretraining.micro_batch import FILE, settle_micro_batch
from hornbook.runtime import Runtime
from hornbook.sampling.dataset import Examples
from hornbook.sampling.loader import Loader
from hornbook.sampling.windows import Windows
from hornbook.training.parallel import ALONE
from hornbook.training.settings import TrainingSettings

CPU = Runtime(torch.device("cpu"), torch.float32, seed=1, reason="a test")
AUTO = TrainingSettings(micro_batch_size="auto", batch_size=6)


@pytest.fixture
def model() -> Transformer:
    return Transformer(
        ModelConfig(vocab_size=20, context_length=16, embed_dim=8, n_layers=1, n_heads=2)
    )


def settle(settings: TrainingSettings, model: Transformer, folder: Path, rows: int = 6) -> int:
    train = Loader(Windows(np.arange(200) % 20, 16), rows, seed=1)
    settled = settle_micro_batch(settings, model, train, folder, CPU, ALONE)
    assert settled == settings.model_copy(update={"micro_batch_size": settled.micro_batch_size})
    return settled.at_once or 0


def test_found_once_and_kept_for_a_resumed_run(
    model: Transformer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settle(AUTO, model, tmp_path) == 6
    kept = json.loads((tmp_path / FILE).read_text())
    (tmp_path / FILE).write_text(json.dumps({**kept, "size": 3}))
    monkeypatch.delattr(micro_batch, "largest_micro_batch")
    assert settle(AUTO, model, tmp_path) == 3


@pytest.mark.parametrize("content", ["{", "[]", '{"size": 3}', "null"])
def test_what_was_kept_of_something_else_is_not_used(
    model: Transformer, tmp_path: Path, content: str
) -> None:
    (tmp_path / FILE).write_text(content)
    assert settle(AUTO, model, tmp_path) == 6


def test_a_number_as_set_is_left_alone(model: Transformer, tmp_path: Path) -> None:
    assert settle(TrainingSettings(micro_batch_size=2), model, tmp_path) == 2
    assert settle(TrainingSettings(), model, tmp_path) == 0
    assert not list(tmp_path.iterdir())


def test_the_widest_batch_is_known() -> None:
    examples = Examples([([1] * length, [1] * length) for length in (3, 17, 5)], pad_id=0)
    loader = Loader(examples, 1, seed=1)
    widths = [next(loader.batches(start)).inputs.shape[1] for start in range(3)]
    assert examples.widest == max(widths) == 24
    assert not examples.same_width
    windows = Windows(np.arange(50), 16, drop_last=False)
    assert (windows.widest, windows.same_width) == (16, True)
    assert {batch.inputs.shape[1] for batch in Loader(windows, 2, seed=1).epoch()} == {16}
