"""`hornbook evaluate --tasks`: a model on benchmarks, alone or against another model."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hornbook.artifact import hash_json
from hornbook.errors import HornbookError
from hornbook.evaluation.answer_metrics import comparison_table
from hornbook.evaluation.benchmarks import (
    CODE_FORM,
    BenchmarkScores,
    require_harness,
    run_benchmarks,
)
from hornbook.evaluation.code_puzzles import STOPS, read_puzzles, try_out
from hornbook.evaluation.intervals import Comparison, compare_means, mean_interval
from hornbook.inference.generate import GenerationSettings, generate_batch
from hornbook.pipeline.measuring.evaluation import Evaluation
from hornbook.pipeline.models.bundle import Bundle

HUMANEVAL = f"{CODE_FORM}="
PASSED = f"{CODE_FORM}, pass@1"
FUNCTION_TOKENS = 256
"""Most tokens of a function's body."""


@dataclass(frozen=True)
class BenchmarkOptions:
    """Which tasks, and how."""

    tasks: tuple[str, ...]
    shots: int | None = None
    limit: int | None = None
    task_folder: Path | None = None
    run_code: bool = False
    """Whether code that the model writes may be run."""
    int8: bool = False
    """Whether the model's weights are held in 8 bits."""


def evaluate_on_tasks(
    bundle: Bundle, options: BenchmarkOptions, against: Bundle | None = None
) -> Evaluation:
    """Measure a model on benchmarks.

    Raises:
        HornbookError: an unknown task, data that are no good, a classifier, or HumanEval without leave
            to run code.
    """
    for model in (bundle, against):
        if model is not None and model.task == "classify":
            model.require_task("pretrain", "be asked a benchmark's questions")
    puzzles = [task for task in options.tasks if task.startswith(HUMANEVAL)]
    if puzzles and not options.run_code:
        raise HornbookError(
            "HumanEval runs code that the model writes: in a sandbox with limits, which is no jail. Give "
            "--run-code if you mean it."
        )
    found = _run(bundle, options, puzzles)
    parts: list[RenderableType] = [_table(str(bundle.path), found)]
    comparisons: dict[str, Comparison] = {}
    if against is not None:
        other = _run(against, options, puzzles)
        comparisons = {
            name: compare_means(values, other.values[name]) for name, values in found.values.items()
        }
        parts += [_table(str(against.path), other)]
        parts += [comparison_table(str(bundle.path), str(against.path), comparisons)]
    settings = {
        "tasks": list(options.tasks),
        "shots": options.shots,
        "limit": options.limit,
        "int8": options.int8,
        "model": bundle.manifest.fingerprint,
        "against": None if against is None else against.manifest.fingerprint,
        "precision": str(bundle.runtime.dtype),
        "harness": _version(),
    }
    scores = {name: one.as_dict() for name, one in found.intervals().items()}
    return Evaluation(
        {**scores, "humaneval_outcomes": dict(found.outcomes)} if puzzles else scores,
        Group(*parts),
        found.prompts,
        hash_json(settings),
        comparisons,
    )


@dataclass(frozen=True)
class _Found(BenchmarkScores):
    """The same with what became of programs."""

    outcomes: Counter[str]


def _run(bundle: Bundle, options: BenchmarkOptions, puzzles: Sequence[str]) -> _Found:
    values: dict[str, npt.NDArray[np.float64]] = {}
    hashes: list[Any] = []
    outcomes: Counter[str] = Counter()
    rest = [task for task in options.tasks if task not in puzzles]
    if rest:
        require_harness()
        from hornbook.evaluation.harness import HarnessModel

        model = HarnessModel(bundle.model, bundle.tokenizer, bundle.runtime, bundle.opening_ids)
        scores = run_benchmarks(model, rest, options.shots, options.limit, options.task_folder)
        values |= scores.values
        hashes.append(scores.prompts)
    for task in puzzles:
        asked = read_puzzles(Path(task.removeprefix(HUMANEVAL)))[: options.limit]
        written = _write(bundle, [puzzle.prompt for puzzle in asked])
        runs = try_out(asked, written)
        outcomes.update(run.outcome for run in runs)
        values[PASSED] = np.array([float(run.outcome == "passed") for run in runs])
        hashes.append(hash_json([(puzzle.prompt, puzzle.test) for puzzle in asked]))
    return _Found(values, hash_json(hashes), outcomes)


def _write(bundle: Bundle, prompts: Sequence[str]) -> list[str]:
    """The likeliest body of each function."""
    from hornbook.evaluation.stopping import cut_at

    room = bundle.model.config.context_length
    tokens = min(FUNCTION_TOKENS, max(room // 2, 1))
    ids = [
        [*bundle.opening_ids, *bundle.tokenizer.encode(prompt)][-(room - tokens) :]
        for prompt in prompts
    ]
    end = bundle.tokenizer.eos_id
    stops = [*bundle.stop_ids, *(() if end is None else (end,))]
    greedy = GenerationSettings(max_new_tokens=tokens, temperature=0)
    given = generate_batch(bundle.model, ids, greedy, stops, bundle.runtime)
    return [cut_at(bundle.tokenizer.decode(answer), STOPS) for answer in given]


def _table(name: str, found: _Found) -> Table:
    table = Table("task, metric", "questions", title=name, title_justify="left")
    table.add_column("mean (95 % interval)", justify="right")
    for task, values in found.values.items():
        table.add_row(Text(task), f"{len(values):,}", mean_interval(values).shown())
    if found.outcomes:
        said = ", ".join(f"{name} {count:,}" for name, count in found.outcomes.items())
        table.caption = f"programs: {said}"
    return table


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("lm-eval")
    except PackageNotFoundError:
        return ""
