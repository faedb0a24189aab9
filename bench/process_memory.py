"""Training memory as `hornbook inspect` estimates it, against whole processes (Linux).

    python bench/process_memory.py

For each size: what the tensors take as counted, the process's peak as carried on from few layers, and
VmHWM of two processes that train the whole model for two steps.
"""

from hornbook.model.presets import ModelSettings, resolve
from hornbook.pipeline.models.bundle import default_runtime
from hornbook.training.memory_needs import memory_needs
from hornbook.training.process_memory import process_peak, tried_peak
from hornbook.training.settings import TrainingSettings

SIZES = (("nano", 8, 2048), ("mini", 8, 8192), ("small-cpu", 4, 8192))
"""Preset, sequences at once, token ids."""


def main() -> None:
    """Print a line for each size."""
    runtime, settings = default_runtime(), TrainingSettings()
    for preset, rows, vocab_size in SIZES:
        config = resolve(ModelSettings(preset=preset), vocab_size)
        width = config.context_length
        tensors = memory_needs(config, settings, rows, width, runtime).total
        found = process_peak(config, settings, rows, width, runtime)
        measured = sorted(tried_peak(config, settings, rows, width) or 0 for _ in range(2))
        assert found is not None
        mib = [f"{size / 2**20:,.0f}" for size in (tensors, found, *measured)]
        apart = [f"{found / size - 1:+.1%}" for size in measured]
        print(
            f"{preset} x {rows}: tensors {mib[0]} MiB, process {mib[1]} MiB estimated, "
            f"{mib[2]} and {mib[3]} MiB measured ({apart[0]}, {apart[1]})",
            flush=True,
        )


if __name__ == "__main__":
    main()
