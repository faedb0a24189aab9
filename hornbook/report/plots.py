"""Pictures for the report in one style, as the text of an SVG element or a PNG file's bytes."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

INK = "#555f6b"
"""Mid grey for axes and text: readable on a white and on a dark page."""
COLOURS = ("#2f7ed8", "#e0762f", "#2a9d62", "#9b59b6", "#c0392b", "#16a3b8", "#8a6d3b", "#d64fa0")
PNG_DPI = 110


def confusion_matrix(counts: Sequence[Sequence[int]], labels: Sequence[str]) -> str:
    """True classes down, predicted classes across, each cell's count and its share of the row."""
    size = max(2.6, 0.42 * len(labels) + 1.6)
    with styled_figure(size + 0.6, size) as figure:
        axes = figure.add_subplot()
        shares = [[cell / max(sum(row), 1) for cell in row] for row in counts]
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for i, row in enumerate(counts):
            for j, count in enumerate(row):
                dark = shares[i][j] > 0.5
                axes.text(
                    *(j, i, f"{count}"),
                    ha="center", va="center", fontsize=8, color="white" if dark else "#1d2733",
                )  # fmt: skip
        axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right", fontsize=8)
        axes.set_yticks(range(len(labels)), labels, fontsize=8)
        axes.set_title("Confusions: true and given class", fontsize=9)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        return svg(figure)


def grouped_bars(groups: Mapping[str, Mapping[str, float]], ylabel: str) -> str:
    """Shares between 0 and 1: one colour a group, one place on the axis a category."""
    categories = list(next(iter(groups.values())))
    width = 0.8 / len(groups)
    with styled_figure(6.4, 2.8) as figure:
        axes = figure.add_subplot()
        for number, (name, values) in enumerate(groups.items()):
            places = [index + (number - (len(groups) - 1) / 2) * width for index in
                      range(len(categories))]  # fmt: skip
            heights = [values.get(category, 0.0) for category in categories]
            axes.bar(places, heights, width * 0.92, label=name, color=COLOURS[number])
        axes.set_xticks(range(len(categories)), categories, fontsize=8)
        axes.set_ylim(0, 1)
        axes.set_ylabel(ylabel)
        axes.grid(axis="y", color=INK, alpha=0.2, linewidth=0.6)
        axes.set_axisbelow(True)
        if len(groups) > 1:
            add_legend(axes, ncols=len(groups), loc="lower left", bbox_to_anchor=(0, 1))
        return svg(figure)


def add_legend(axes: Any, **place: Any) -> None:
    """Name the lines or bars of a field, in ink."""
    legend = axes.legend(frameon=False, fontsize=8, **place)
    for text in legend.get_texts():
        text.set_color(INK)


@contextmanager
def styled_figure(width: float, height: float) -> Iterator[Any]:
    """A figure (inches) in the report's style, drawn without any display."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    style: Any = {
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "axes.titlecolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "font.size": 9,
        "svg.fonttype": "none",  # text stays text: searchable and small
        "svg.hashsalt": "hornbook",  # the same figure gives the same bytes
    }
    with rc_context(style):
        yield Figure(figsize=(width, height), layout="constrained")


def png(figure: Any) -> bytes:
    """A figure as the bytes of a PNG file, on white."""
    buffer = io.BytesIO()
    figure.savefig(
        buffer, format="png", dpi=PNG_DPI, facecolor="white", metadata={"Software": None}
    )
    return buffer.getvalue()


def svg(figure: Any) -> str:
    """A figure as the text of an SVG element, without a ground."""
    buffer = io.StringIO()
    figure.savefig(
        buffer,
        format="svg",
        transparent=True,
        metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")),
    )
    text = buffer.getvalue()
    return text[text.index("<svg") :]
