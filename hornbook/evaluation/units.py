"""What a score is made of, unit by unit, so that it has an interval and two models can be paired.

A unit is what was measured: a question, a text, a pair of answers, a window of a text. Beside a training's
results stands `units.json` with what was found of each, and the SHA-256 of what all of them were: two
trainings that were measured on the same are compared unit by unit.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.text import Text

from hornbook.artifact import write_text
from hornbook.errors import HornbookError
from hornbook.evaluation.f1 import compare_macro_f1
from hornbook.evaluation.intervals import (
    Comparison,
    Interval,
    Values,
    compare_means,
    compare_ratios,
    mean_interval,
    ratio_interval,
)
from hornbook.sampling.dataset import Dataset
from hornbook.training.evaluation import Score

UNITS = "units.json"
HASH_SHOWN = 12


@dataclass(frozen=True)
class Units:
    """A figure of each unit."""

    values: Values
    """(units,); of macro F1 what `f1.f1_counts` counts, (units, counts)."""
    sizes: Values | None = None
    """Of a figure that is the sum of the values over the sum of sizes, such as nats a token, the sizes:
    (units,). None of a mean."""

    def interval(self) -> Interval:
        """The figure of all units, with its interval."""
        if self.sizes is None or _are_one(self.sizes):
            return mean_interval(self.values)
        return ratio_interval(self.values, self.sizes)

    def against(self, other: "Units") -> Comparison:
        """How it compares with another model's, of the same units."""
        if self.values.ndim == 2:
            return compare_macro_f1(self.values, other.values)
        if self.sizes is None or other.sizes is None or _are_one(self.sizes, other.sizes):
            return compare_means(self.values, other.values)
        return compare_ratios(self.values, other.values, self.sizes, other.sizes)


def _are_one(*sizes: Values) -> bool:
    return all((some == 1).all() for some in sizes)


@dataclass(frozen=True)
class Measured:
    """All that was found of the same units."""

    prompts: str
    """SHA-256 of what was given to the model, and of what was expected."""
    figures: Mapping[str, Units]

    def against(self, other: "Measured") -> dict[str, Comparison]:
        """By figure, how one training compares with another; none if they were measured on different
        units."""
        if self.prompts != other.prompts:
            return {}
        both = [name for name in self.figures if name in other.figures]
        return {name: self.figures[name].against(other.figures[name]) for name in both}


def units_of(score: Score) -> dict[str, Units]:
    """What a score was computed from: its loss, and what else its loss measures."""
    if score.rows is None:
        return {}
    rows = score.rows
    return {name: Units(values, rows.counts) for name, values in rows.sums.items()}


def score_intervals(score: Score) -> dict[str, Interval]:
    """A score's figures with their intervals; perplexity too, where the loss is a token's."""
    found = {name: units.interval() for name, units in units_of(score).items()}
    return found if score.others or not found else {**found, "perplexity": found["loss"].exp()}


def hash_samples(dataset: Dataset) -> str:
    """SHA-256 of all that a model is given by a data set, and of what it should predict."""
    hashed = hashlib.sha256()
    for number in range(len(dataset)):
        row = torch.stack(dataset.collate([number]))  # (2, 1, tokens)
        hashed.update(np.ascontiguousarray(row.numpy()).tobytes() + b"\n")
    return hashed.hexdigest()


def hash_text(prompts: str, settings: str) -> Text:
    """The first digits of both hashes, to print beside scores."""
    hashes = f"prompts {prompts[:HASH_SHOWN]}, settings {settings[:HASH_SHOWN]}"
    return Text(f"SHA-256: {hashes}", style="dim")


def write_units(folder: Path, measured: Measured) -> None:
    """Write what was measured of each unit beside the results."""
    figures = {
        name: {
            "values": units.values.tolist(),
            "sizes": None if units.sizes is None else units.sizes.tolist(),
        }
        for name, units in measured.figures.items()
    }
    tree = {"prompts_sha256": measured.prompts, "figures": figures}
    write_text(folder / UNITS, json.dumps(tree) + "\n")


def read_units(folder: Path) -> Measured | None:
    """What `write_units` wrote; None where a stage has nothing of the kind.

    Raises:
        HornbookError: the file is damaged.
    """
    path = folder / UNITS
    try:
        tree: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        figures = {name: _read(one) for name, one in tree["figures"].items()}
        return Measured(str(tree["prompts_sha256"]), figures)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise HornbookError(
            f"{path} is damaged; remove it and {folder / 'results.json'}, and run the stage again to "
            "measure its model anew."
        ) from None


def _read(one: Mapping[str, Any]) -> Units:
    sizes = one["sizes"]
    return Units(
        np.array(one["values"], dtype=np.float64),
        None if sizes is None else np.array(sizes, dtype=np.float64),
    )
