"""What a training's metrics show: its curves, and the picture of them beside the file."""

from pathlib import Path
from typing import Any

from hornbook.artifact import write_bytes
from hornbook.report.curves import Curve, training_png, training_svg
from hornbook.training.metrics import read_metrics

METRICS = "metrics.jsonl"
PICTURE = "loss.png"
SMALL = {
    "lr": "learning rate",
    "grad_norm": "gradient's length",
    "tokens_per_second": "tokens a second",
}
"""What is drawn small beneath the loss: key in the metrics, name in the picture."""


def losses_of(folder: Path) -> dict[str, Curve]:
    """The losses of a training stage against the step: "train", and "validation" if there is one."""
    curves = {
        "train": curve(read_metrics(folder / METRICS, "train"), "loss"),
        "validation": curve(read_metrics(folder / METRICS, "evaluation"), "loss", marked=True),
    }
    return {name: found for name, found in curves.items() if found.steps}


def curve(records: list[dict[str, Any]], key: str, marked: bool = False) -> Curve:
    """One figure of the records against the step; records without it are left out."""
    known = [r for r in records if r.get(key) is not None]
    return Curve([r["step"] for r in known], [r[key] for r in known], marked)


def picture_as_svg(folder: Path, title: str) -> str:
    """All curves of a training stage as one SVG element."""
    return training_svg(losses_of(folder), _small(folder), title)


def draw(folder: Path, title: str) -> Path:
    """Write all curves of a training stage as a PNG file beside its metrics."""
    write_bytes(folder / PICTURE, training_png(losses_of(folder), _small(folder), title))
    return folder / PICTURE


def _small(folder: Path) -> dict[str, Curve]:
    records = read_metrics(folder / METRICS, "train")
    curves = {name: curve(records, key) for key, name in SMALL.items()}
    return {name: found for name, found in curves.items() if found.steps}
