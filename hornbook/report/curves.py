"""A training's curves: the loss large, what explains it small beneath."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hornbook.report.plots import COLOURS, INK, add_legend, png, styled_figure, svg

POINTS = 600
"""Most points drawn of one line: more are hard to tell apart, and make the file large."""
WIDTH, LOSS_HEIGHT, SMALL_HEIGHT = 7.2, 3.4, 1.15
"""Inches."""


@dataclass(frozen=True)
class Curve:
    """One line of a plot."""

    steps: Sequence[float]
    """Where each value stands: steps, or seconds."""
    values: Sequence[float]
    marked: bool = False
    """Drawn with a mark at each value: there are few of them."""
    colour: int | None = None
    """Which of `COLOURS`; by its place among the curves when not given."""


def training_svg(losses: Mapping[str, Curve], small: Mapping[str, Curve], title: str) -> str:
    """Loss in nats per trained token against the step, one line a curve, as an SVG element.

    `small` are further curves, each drawn low in a field of its own under its name.
    """
    with _training_figure(losses, small, title) as figure:
        return svg(figure)


def training_png(losses: Mapping[str, Curve], small: Mapping[str, Curve], title: str) -> bytes:
    """The same as the bytes of a PNG file."""
    with _training_figure(losses, small, title) as figure:
        return png(figure)


@contextmanager
def _training_figure(
    losses: Mapping[str, Curve], small: Mapping[str, Curve], title: str
) -> Iterator[Any]:
    heights = [LOSS_HEIGHT, *[SMALL_HEIGHT] * len(small)]
    with styled_figure(WIDTH, sum(heights)) as figure:
        fields = figure.subplots(len(heights), sharex=True, height_ratios=heights, squeeze=False)
        top, *low = fields[:, 0]
        draw_losses(top, losses)
        top.set_ylim(bottom=0)
        top.set_title(title, fontsize=10, loc="left")
        for axes, (name, curve) in zip(low, small.items(), strict=True):
            axes.plot(*thinned(curve), color=COLOURS[0], linewidth=0.9)
            axes.set_title(name, fontsize=8, loc="left", pad=3)
            axes.set_ylim(bottom=0)
            axes.grid(axis="y", color=INK, alpha=0.2, linewidth=0.6)
            axes.tick_params(labelsize=7)
        fields[-1, 0].set_xlabel("step")
        yield figure


def draw_losses(axes: Any, losses: Mapping[str, Curve]) -> None:
    """Curves of loss in one field of a figure, each with its name."""
    for number, (name, curve) in enumerate(losses.items()):
        style: dict[str, Any] = (
            {"marker": "o", "markersize": 3.5, "linewidth": 1.6}
            if curve.marked
            else {"linewidth": 1.0, "alpha": 0.75}
        )
        colour = COLOURS[(number if curve.colour is None else curve.colour) % len(COLOURS)]
        axes.plot(*thinned(curve), label=name, color=colour, **style)
    axes.set_ylabel("loss (nats a token)")
    axes.grid(axis="y", color=INK, alpha=0.2, linewidth=0.6)
    if losses:
        add_legend(axes)


def thinned(curve: Curve) -> tuple[Sequence[float], Sequence[float]]:
    """The curve with no more than `POINTS` points, each the mean of its neighbours."""
    if len(curve.steps) <= POINTS:
        return curve.steps, curve.values
    parts = np.array_split(np.arange(len(curve.steps)), POINTS)
    steps, values = np.asarray(curve.steps, float), np.asarray(curve.values, float)
    return [float(steps[p].mean()) for p in parts], [float(values[p].mean()) for p in parts]


def range_test_png(
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    suggestion: float,
    turning: float | None,
) -> bytes:
    """Loss against the learning rate, as the bytes of a PNG file; two rates are marked."""
    with styled_figure(WIDTH, LOSS_HEIGHT) as figure:
        axes = figure.add_subplot()
        axes.set_xscale("log")
        axes.plot(rates, losses, color=COLOURS[0], linewidth=0.8, alpha=0.5, label="loss")
        axes.plot(rates, smoothed, color=COLOURS[0], linewidth=1.8, label="smoothed")
        axes.axvline(suggestion, color=COLOURS[2], label=f"suggested: {suggestion:.1e}")
        if turning is not None:
            axes.axvline(turning, color=COLOURS[4], linestyle=":", label=f"turning: {turning:.1e}")
        axes.set_ylim(0.95 * min(smoothed), 1.1 * max(smoothed))
        axes.set_xlabel("learning rate")
        axes.set_ylabel("loss (nats a token)")
        axes.grid(axis="y", color=INK, alpha=0.2, linewidth=0.6)
        add_legend(axes)
        return png(figure)


@dataclass(frozen=True)
class RunCurves:
    """One run's curves in a comparison."""

    train: Curve
    validation: Curve
    seconds: Sequence[float]
    """When each step had been done, one for each value of `train`; empty if unknown."""


def comparison_svg(runs: Mapping[str, RunCurves], title: str) -> str:
    """Runs laid over each other, against the step and against the seconds, as an SVG element."""
    with _comparison_figure(runs, title) as figure:
        return svg(figure)


def comparison_png(runs: Mapping[str, RunCurves], title: str) -> bytes:
    """The same as the bytes of a PNG file."""
    with _comparison_figure(runs, title) as figure:
        return png(figure)


@contextmanager
def _comparison_figure(runs: Mapping[str, RunCurves], title: str) -> Iterator[Any]:
    with styled_figure(WIDTH, 2 * LOSS_HEIGHT) as figure:
        by_step, by_second = figure.subplots(2, 1)
        draw_losses(by_step, _coloured({name: (r.train, r.validation) for name, r in runs.items()}))
        by_step.set_title(title, fontsize=10, loc="left")
        by_step.set_xlabel("step")
        timed = {name: _by_second(run) for name, run in runs.items() if run.seconds}
        draw_losses(by_second, _coloured(timed))
        by_second.set_xlabel("seconds of training")
        yield figure


def _coloured(runs: Mapping[str, tuple[Curve, Curve]]) -> dict[str, Curve]:
    """A run's two curves in one colour, the validation marked."""
    found = {}
    for colour, (name, (train, validation)) in enumerate(runs.items()):
        if train.steps:
            found[name] = replace(train, colour=colour)
        if validation.steps:
            found[f"{name}, validation"] = replace(validation, colour=colour, marked=True)
    return found


def _by_second(run: RunCurves) -> tuple[Curve, Curve]:
    when = dict(zip(run.train.steps, run.seconds, strict=True))
    scored = [
        (when[s], v)
        for s, v in zip(run.validation.steps, run.validation.values, strict=True)
        if s in when
    ]
    validation = Curve(
        [second for second, _ in scored], [value for _, value in scored], marked=True
    )
    return Curve(run.seconds, run.train.values), validation
