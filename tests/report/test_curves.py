"""Pictures are whole files of their kind, small even of long trainings."""

import pytest

from hornbook.report.curves import (
    POINTS,
    Curve,
    RunCurves,
    comparison_png,
    comparison_svg,
    thinned,
    training_png,
    training_svg,
)

PNG = b"\x89PNG\r\n\x1a\n"
LONG = Curve(range(1, 10_001), [10 / step**0.5 for step in range(1, 10_001)])
SCORES = Curve([5_000, 10_000], [0.2, 0.15], marked=True)


def test_a_long_curve_is_thinned_to_its_mean() -> None:
    steps, values = thinned(LONG)
    assert len(steps) == len(values) == POINTS
    assert sum(values) / POINTS == pytest.approx(sum(LONG.values) / 10_000, rel=0.01)
    assert steps[0] < 20
    assert steps[-1] > 9_980
    assert thinned(SCORES) == (SCORES.steps, SCORES.values)


def test_the_curves_of_a_training() -> None:
    losses, small = {"train": LONG, "validation": SCORES}, {"learning rate": LONG}
    picture = training_png(losses, small, "pretrain")
    assert picture.startswith(PNG)
    assert len(picture) < 100_000
    element = training_svg(losses, small, "pretrain")
    assert element.startswith("<svg")
    assert len(element) < 100_000
    for shown in ("train", "validation", "learning rate", "loss (nats a token)"):
        assert shown in element
    assert training_svg(losses, small, "pretrain") == element  # the same bytes each time


def test_a_training_that_has_just_begun() -> None:
    assert training_png({}, {}, "pretrain").startswith(PNG)
    assert training_png({"train": Curve([1], [5.0])}, {}, "pretrain").startswith(PNG)


def test_runs_laid_over_each_other() -> None:
    half = [step / 2 for step in LONG.steps]
    runs = {
        "one": RunCurves(LONG, SCORES, half),
        "no times": RunCurves(LONG, Curve([], []), []),
        "nothing": RunCurves(Curve([], []), Curve([], []), []),
    }
    assert comparison_png(runs, "pretrain").startswith(PNG)
    element = comparison_svg(runs, "pretrain")
    for shown in ("one, validation", "no times", "seconds of training"):
        assert shown in element
    assert "nothing" not in element
