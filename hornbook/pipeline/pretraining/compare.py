"""`hornbook compare`: runs side by side, their curves, their figures, the settings that differ."""

import itertools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table as TerminalTable
from rich.text import Text

from hornbook.artifact import write_bytes
from hornbook.console import console
from hornbook.errors import HornbookError
from hornbook.evaluation.answer_metrics import COMPARISON_COLUMNS, comparison_row
from hornbook.evaluation.intervals import read_interval
from hornbook.evaluation.units import Measured, read_units
from hornbook.pipeline.pretraining.history import METRICS, curve
from hornbook.pipeline.workspace import finished
from hornbook.report.curves import RunCurves, comparison_png, comparison_svg
from hornbook.report.page import Report, Section, Table, write_report
from hornbook.training.metrics import read_metrics

PAGE, PICTURE = "comparison.html", "comparison.png"
NONE = "–"
LAST = 10
"""Steps whose mean loss is called the last training loss."""


@dataclass(frozen=True)
class Compared:
    """One stage of one run, as far as it has got."""

    name: str
    curves: RunCurves
    results: dict[str, Any] | None
    """None while the stage is not finished."""
    settings: dict[str, Any]
    """By dotted name; empty when the run has no recipe.toml."""
    measured: Measured | None = None
    """What was found of each held-out unit; None while there is nothing."""

    @property
    def missing(self) -> list[str]:
        """What cannot be shown of it, in words."""
        found = []
        if self.results is None:
            steps = self.curves.train.steps
            found.append(f"not finished, at step {int(steps[-1]) if steps else 0:,}")
        if not self.settings:
            found.append("no recipe.toml")
        if not self.curves.seconds:
            found.append("no times")
        if not self.curves.validation.steps:
            found.append("no validation losses")
        return found

    def figures(self) -> dict[str, str]:
        """Its figures as text, by what they are."""
        results, train = self.results or {}, self.curves.train
        held_out = results.get("held_out", {})
        scores = self.curves.validation.values
        recent = train.values[-LAST:]
        seconds = self.curves.seconds[-1] if self.curves.seconds else None
        answers = results.get("answers", {}).get("total", {})
        return {
            "steps done": f"{int(train.steps[-1]):,}" if train.steps else NONE,
            "parameters": _number(results.get("parameters"), ","),
            "tokens": _number(results.get("tokens"), ","),
            "training time": _number(results.get("training_seconds", seconds), ",.1f", " s"),
            "tokens a second": _number(results.get("tokens_per_second"), ","),
            "MFU": _number(results.get("mfu"), ".1%"),
            f"training loss, last {LAST}": _number(_mean(recent), ".4f"),
            "best validation loss": _number(min(scores, default=None), ".4f"),
            "held-out loss": _score(held_out.get("loss")),
            "held-out bits a byte": _score(held_out.get("bits_per_byte")),
            "right, held out": _score(results.get("accuracy", answers)),
            "macro F1, held out": _score(results.get("macro_f1")),
            "chosen answer preferred": _score(results.get("preferred")),
        }


def compare(runs: Sequence[Path], stage: str, folder: Path | None) -> Path:
    """Lay a stage of some runs over each other; print tables, write picture and page.

    Args:
        folder: where picture and page go; beside the first run when None.

    Raises:
        HornbookError: fewer than two runs, a path that is no run, or a run without that stage.
    """
    if len(runs) < 2:
        raise HornbookError("give two runs or more to compare, such as runs/a runs/b.")
    compared = [_read(path, name, stage) for path, name in zip(runs, _names(runs), strict=True)]
    figures, settings = _figures(compared), _differences(compared)
    console.print(_for_terminal(figures))
    console.print(_for_terminal(settings) if settings.rows else "No setting differs.")
    for one in compared:
        if one.missing:
            console.print(f"{one.name}: {', '.join(one.missing)}", style="yellow", markup=False)
    tests, unpaired = _tests(compared)
    for table in tests:
        console.print(_for_terminal(table))
    if unpaired:
        console.print(unpaired, style="yellow", markup=False)
    curves = {one.name: one.curves for one in compared}
    title = f"{stage}: {', '.join(curves)}"
    folder = folder or runs[0].resolve().parent
    write_bytes(folder / PICTURE, comparison_png(curves, title))
    page = write_report(folder / PAGE, _page(compared, figures, settings, title, tests, unpaired))
    console.print(f"\npicture: {folder / PICTURE}\npage: {page}", markup=False)
    return page


def _read(path: Path, name: str, stage: str) -> Compared:
    stages = _stages(path)
    if stage not in stages:
        raise HornbookError(f"{path} has no stage {stage}; it has {', '.join(stages)}.")
    folder = path / stage
    train = read_metrics(folder / METRICS, "train")
    known = [record for record in train if record.get("loss") is not None]
    seconds: list[float] = []
    if known and all(record.get("seconds") is not None for record in train):
        times = itertools.accumulate(record["seconds"] for record in train)
        when = dict(zip((record["step"] for record in train), times, strict=True))
        seconds = [when[record["step"]] for record in known]
    curves = RunCurves(
        train=curve(known, "loss"),
        validation=curve(read_metrics(folder / METRICS, "evaluation"), "loss", marked=True),
        seconds=seconds,
    )
    results = finished(folder)
    measured = None if results is None else read_units(folder)
    return Compared(name, curves, results, _settings(path), measured)


def _stages(path: Path) -> list[str]:
    if not path.is_dir():
        raise HornbookError(
            f"{path}: no such run; give a run's directory, such as runs/quickstart."
        )
    found = sorted(file.parent.name for file in path.glob(f"*/{METRICS}"))
    if not found:
        raise HornbookError(f"{path} holds no training yet; give a run's directory.")
    return found


def _names(runs: Sequence[Path]) -> list[str]:
    """The last part of each path, or as many parts as it takes to tell them apart."""
    whole = [path.resolve().parts for path in runs]
    if len(set(whole)) < len(whole):
        raise HornbookError("a run is given twice; give each once.")
    for parts in range(1, max(map(len, whole)) + 1):
        names = ["/".join(path[-parts:]) for path in whole]
        if len(set(names)) == len(names):
            break
    return names


def _settings(path: Path) -> dict[str, Any]:
    try:
        tree = tomllib.loads((path / "recipe.toml").read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise HornbookError(f"{path / 'recipe.toml'} is damaged: it is not valid TOML.") from None
    return dict(_flat(tree))


def _flat(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in tree.items():
        name = f"{prefix}{key}"
        found += _flat(value, f"{name}.") if isinstance(value, dict) else [(name, value)]
    return found


def _figures(compared: Sequence[Compared]) -> Table:
    by_run = [one.figures() for one in compared]
    rows = [[name, *(figures[name] for figures in by_run)] for name in by_run[0]]
    known = [row for row in rows if set(row[1:]) != {NONE}]
    return Table(["figure", *(one.name for one in compared)], known)


def _differences(compared: Sequence[Compared]) -> Table:
    """The settings that are not the same in all runs; where a run is kept is always another."""
    having = [one for one in compared if one.settings]
    names = dict.fromkeys(name for one in having for name in one.settings)
    rows = [
        [name, *(str(one.settings.get(name, NONE)) for one in compared)]
        for name in names
        if name != "run.directory" and len({str(one.settings.get(name)) for one in having}) > 1
    ]
    return Table(["setting", *(one.name for one in compared)], rows)


def _tests(compared: Sequence[Compared]) -> tuple[list[Table], str]:
    """Each later run's test against the first, of the same held-out units; and a sentence about those
    that were measured on others."""
    known = [(one.name, one.measured) for one in compared if one.measured is not None]
    tables, unpaired = [], []
    for name, measured in known[1:]:
        first, units = known[0]
        found = units.against(measured)
        rows = [[figure, *comparison_row(one)] for figure, one in found.items()]
        if rows:
            tables.append(Table([f"{first} less {name}", *COMPARISON_COLUMNS], rows))
        else:
            unpaired.append(name)
    if not unpaired:
        return tables, ""
    return tables, (
        f"No paired test of {known[0][0]} with {', '.join(unpaired)}: measured on other held-out examples, "
        "or cut into other tokens; hornbook evaluate MODEL DATA --against MODEL pairs any two models."
    )


def _for_terminal(table: Table) -> TerminalTable:
    shown = TerminalTable(*map(escape, table.columns))
    for row in table.rows:
        shown.add_row(*map(Text, row))
    return shown


def _page(
    compared: Sequence[Compared],
    figures: Table,
    settings: Table,
    title: str,
    tests: Sequence[Table],
    unpaired: str,
) -> Report:
    curves = {one.name: one.curves for one in compared}
    missing = "; ".join(f"{one.name}: {', '.join(one.missing)}" for one in compared if one.missing)
    sections = [
        Section("Curves", lead=missing, plots=[comparison_svg(curves, title)]),
        Section("Figures", lead="With 95 % intervals.", tables=[figures]),
        Section("The same held-out examples, paired", lead=unpaired, tables=tests),
        Section(
            "Settings that differ",
            lead="" if settings.rows else "None.",
            tables=[settings] if settings.rows else [],
        ),
    ]
    return Report(title="Runs compared", subtitle=title, sections=sections)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _score(found: Mapping[str, Any] | None) -> str:
    """A score with its interval; of what is counted its share."""
    if not found:
        return NONE
    score = read_interval(found)
    return score.as_share() if "right" in found else score.shown(4)


def _number(value: float | None, form: str, unit: str = "") -> str:
    return NONE if value is None else f"{value:{form}}{unit}"
