"""The peak of a training's process, carried on from few layers, against the whole model's own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from hornbook.model.presets import ModelSettings, resolve
from hornbook.training.process_memory import process_peak, tried_peak
from hornbook.training.settings import TrainingSettings
from tests.training.tiny_training import CPU

needs_linux = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="counts memory as Linux does"
)


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@needs_linux
def test_the_peak_is_that_of_the_whole_models_process(one_thread: None) -> None:
    config = resolve(ModelSettings(preset="nano", n_layers=6), 512)
    settings = TrainingSettings(batch_size=8)
    found = process_peak(config, settings, 8, 128, CPU, tries=1)
    assert found == pytest.approx(tried_peak(config, settings, 8, 128), rel=0.1)


@needs_linux
def test_three_kinds_of_models_peaks_are_estimated_within_a_tenth() -> None:
    """See `forked_peaks.py`, which needs no library loaded for each of its processes."""
    command = [sys.executable, "-m", "tests.training.forked_peaks"]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    found = json.loads(done.stdout)
    assert len(found) == 3
    for name, (estimated, measured) in found.items():
        assert estimated == pytest.approx(measured, rel=0.1), name
