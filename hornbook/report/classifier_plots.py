"""Pictures of how a classifier decides, as the text of SVG elements."""

from collections.abc import Mapping, Sequence
from typing import Any

from hornbook.report.plots import COLOURS, INK, add_legend, styled_figure, svg

MOST_CURVES = 8
"""Classes drawn; there are no more colours."""


def roc(curves: Sequence[Mapping[str, Any]]) -> str:
    """Share of a class found against share of the others taken for it."""
    names = "false_positive_rate", "true_positive_rate"
    title = "ROC, one against the rest (area)"
    return _curves(curves, title, *names, "auc", "others taken for it", "found", diagonal=True)


def precision_recall(curves: Sequence[Mapping[str, Any]]) -> str:
    """How many that are taken for a class are of it, against how many of it are found."""
    title = "Precision and recall (mean precision)"
    return _curves(
        curves, title, *("recall", "precision", "average_precision", "recall", "precision")
    )


def _curves(
    curves: Sequence[Mapping[str, Any]],
    title: str,
    across: str,
    up: str,
    area: str,
    xlabel: str,
    ylabel: str,
    diagonal: bool = False,
) -> str:
    with styled_figure(3.6, 3.2) as figure:
        axes = figure.add_subplot()
        if diagonal:
            axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
        drawn = sorted(curves, key=lambda one: one[area]["value"])[:MOST_CURVES]
        for number, one in enumerate(drawn):
            label = f"{one['label']} ({one[area]['value']:.3f})"
            axes.plot(one[across], one[up], color=COLOURS[number], linewidth=1.4, label=label)
        _unit_square(axes, title, xlabel, ylabel)
        add_legend(axes, loc="lower right" if diagonal else "lower left")
        return svg(figure)


def reliability(calibration: Mapping[str, Any]) -> str:
    """Share of right decisions against confidence; a dot's area is its number of texts."""
    bins = calibration["bins"]
    most = max((one["count"] for one in bins), default=1)
    with styled_figure(3.6, 3.2) as figure:
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
        confidence, right = ([one[name] for one in bins] for name in ("confidence", "right"))
        axes.plot(confidence, right, color=COLOURS[0], linewidth=1)
        areas = [12 + 140 * one["count"] / most for one in bins]
        axes.scatter(confidence, right, s=areas, color=COLOURS[0], alpha=0.75, zorder=3)
        title = "Reliability: right by confidence"
        confidence_label = f"confidence (temperature {calibration['temperature']:.2f})"
        _unit_square(axes, title, confidence_label, "right")
        return svg(figure)


def _unit_square(axes: Any, title: str, xlabel: str, ylabel: str) -> None:
    axes.set_title(title, fontsize=9)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.grid(color=INK, alpha=0.2, linewidth=0.6)
    axes.set_axisbelow(True)
