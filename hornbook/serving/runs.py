"""The runs under a folder, as the runs page shows them: curves, samples, speed and settings, live."""

import json
import time
import tomllib
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query

from hornbook.errors import HornbookError
from hornbook.pipeline.pretraining.history import METRICS
from hornbook.pipeline.workspace import PREVIOUS, finished
from hornbook.training.metrics import read_metrics

STALE_S = 120.0
"""Seconds without a line in the metrics after which a training is taken for stopped."""
MOST_POINTS = 1_000
"""Of a curve; of a longer one every so-manyth is sent."""
MOST_SAMPLES = 20
"""The newest."""
LONGEST_LINE = 20_000
"""Bytes at the end of the metrics in which the last line is looked for."""
RECIPE = "recipe.toml"
TRAIN_FIGURES = ("loss", "lr", "grad_norm", "tokens_per_second", "mfu")


def runs_router(folder: Path) -> APIRouter:
    """The routes, for the runs that are folders of `folder`.

    No part of a request is ever joined to a path: a run and a stage are looked up by name among those
    that are there.
    """
    router = APIRouter(prefix="/api/runs", tags=["runs"])

    @router.get("/list")
    def all_runs() -> list[dict[str, Any]]:
        return [_summary(name, stages) for name, stages in find_runs(folder).items()]

    @router.get("/curves")
    def curves(
        run: Annotated[str, Query(max_length=300)],
        stage: Annotated[str, Query(max_length=300)],
        after: Annotated[int, Query(ge=0)] = 0,
    ) -> dict[str, Any]:
        path = find_runs(folder).get(run, {}).get(stage)
        if path is None:
            raise HTTPException(404, "there is no such training; it may have been moved.")
        try:
            return curves_of(path, after)
        except HornbookError as error:
            raise HTTPException(400, str(error)) from None

    return router


def find_runs(folder: Path) -> dict[str, dict[str, Path]]:
    """The folders of trainings by run and stage; those with metrics in them."""
    found: dict[str, dict[str, Path]] = {}
    for metrics in sorted(folder.glob(f"*/*/{METRICS}")):
        stage = metrics.parent
        if stage.name != PREVIOUS and not stage.is_symlink():
            found.setdefault(stage.parent.name, {})[stage.name] = stage
    return found


def _summary(name: str, stages: dict[str, Path]) -> dict[str, Any]:
    folder = next(iter(stages.values())).parent
    return {
        "name": name,
        "settings": _settings(folder / RECIPE),
        "stages": [{"name": stage, **_state(path)} for stage, path in stages.items()],
    }


def _state(stage: Path) -> dict[str, Any]:
    results = finished(stage) or {}
    age = max(0.0, time.time() - (stage / METRICS).stat().st_mtime)
    state = "finished" if results else "running" if age < STALE_S else "stopped"
    figures = ("steps", "tokens", "parameters", "training_seconds", "tokens_per_second", "mfu")
    return {
        "state": state,
        "seconds_ago": round(age),
        "last_step": last_step(stage / METRICS),
        "figures": {key: results[key] for key in figures if key in results},
        "held_out": results.get("held_out", {}),
    }


def last_step(metrics: Path) -> int:
    """The step of the last whole line, without reading the lines before."""
    with metrics.open("rb") as file:
        file.seek(max(0, metrics.stat().st_size - LONGEST_LINE))
        lines = file.read().split(b"\n")[:-1]
    for line in reversed(lines):
        try:
            return int(json.loads(line)["step"])
        except (ValueError, KeyError, TypeError):
            continue
    return 0


def _settings(recipe: Path) -> dict[str, Any]:
    """By dotted name, as text; none where the recipe cannot be read."""
    try:
        tree = tomllib.loads(recipe.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return dict(_flat(tree, ""))


def _flat(tree: dict[str, Any], prefix: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in tree.items():
        if isinstance(value, dict):
            found += _flat(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", json.dumps(value, ensure_ascii=False, default=str)))
    return found


def curves_of(stage: Path, after: int = 0) -> dict[str, Any]:
    """What a training has written down of the steps after one: figures, evaluations, samples.

    Returns:
        train, by figure a list of [step, value]; validation, the same by "loss" and "loss/SOURCE";
        samples, [step, text]; last, the newest step; and the training's state.
    """
    records = [record for record in read_metrics(stage / METRICS) if record["step"] > after]
    train = [record for record in records if record["kind"] == "train"]
    evaluations = [record for record in records if record["kind"] == "evaluation"]
    losses = sorted({key for record in evaluations for key in record if key.startswith("loss")})
    samples = [[r["step"], r["text"]] for r in records if r["kind"] == "sample"]
    return {
        "train": {key: _points(train, key) for key in TRAIN_FIGURES},
        "validation": {key: _points(evaluations, key) for key in losses},
        "samples": samples[-MOST_SAMPLES:],
        "last": max((record["step"] for record in records), default=after),
        **_state(stage),
    }


def _points(records: list[dict[str, Any]], key: str) -> list[list[float]]:
    points = [[r["step"], r[key]] for r in records if r.get(key) is not None]
    every = -(-len(points) // MOST_POINTS) or 1
    return [*points[:-1:every], *points[-1:]]
