"""Benchmarks run by the lm-evaluation-harness: its own tasks, a task file, or the well-known forms of
question from a local file, without a network.

| form | a record's fields | asked as |
| --- | --- | --- |
| mmlu | question, choices (4), answer (0 to 3, or A to D) | which letter follows |
| hellaswag | ctx, endings, label | which ending follows |
| arc | question, choices: {text, label}, answerKey | which answer follows |
| gsm8k | question, answer (ending in #### number) | the number is written |

The prompts and metrics are those of the harness's tasks of these names, the fields those of the published
data sets.
"""

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hornbook.artifact import hash_json
from hornbook.corpus.files import require_object, string_field
from hornbook.corpus.tables import read_records
from hornbook.errors import HornbookError
from hornbook.evaluation.intervals import Comparison, Interval, compare_means, mean_interval

if TYPE_CHECKING:
    from hornbook.evaluation.harness import HarnessModel

DEV = "+"
"""Between the file of a form's questions and the file of its examples (shots)."""
_ACC = {"metric": "acc", "aggregation": "mean", "higher_is_better": True}
_ACC_NORM = {"metric": "acc_norm", "aggregation": "mean", "higher_is_better": True}

FORMS: dict[str, dict[str, Any]] = {
    "mmlu": {
        "output_type": "multiple_choice",
        "doc_to_text": "{{question.strip()}}\nA. {{choices[0]}}\nB. {{choices[1]}}\n"
        "C. {{choices[2]}}\nD. {{choices[3]}}\nAnswer:",
        "doc_to_choice": ["A", "B", "C", "D"],
        "doc_to_target": "{{'ABCD'.index(answer) if answer is string else answer}}",
        "fewshot_config": {"sampler": "first_n"},
        "metric_list": [_ACC],
    },
    "hellaswag": {
        "output_type": "multiple_choice",
        "doc_to_text": "{{ctx}}",
        "doc_to_choice": "{{endings}}",
        "doc_to_target": "{{label | int}}",
        "metric_list": [_ACC, _ACC_NORM],
    },
    "arc": {
        "output_type": "multiple_choice",
        "doc_to_text": "Question: {{question}}\nAnswer:",
        "doc_to_choice": "{{choices.text}}",
        "doc_to_target": "{{choices.label.index(answerKey)}}",
        "metric_list": [_ACC, _ACC_NORM],
    },
    "gsm8k": {
        "output_type": "generate_until",
        "doc_to_text": "Question: {{question}}\nAnswer:",
        "doc_to_target": "{{answer}}",
        "generation_kwargs": {"until": ["Question:"], "do_sample": False},
        "metric_list": [
            {
                "metric": "exact_match",
                "aggregation": "mean",
                "higher_is_better": True,
                "ignore_case": True,
                "ignore_punctuation": False,
                "regexes_to_ignore": [",", "\\$", "(?s).*#### ", "\\.$"],
            }
        ],
        "filter_list": [
            {
                "name": "strict-match",
                "filter": [
                    {"function": "regex", "regex_pattern": "#### (\\-?[0-9\\.\\,]+)"},
                    {"function": "take_first"},
                ],
            },
            {
                "name": "flexible-extract",
                "filter": [
                    {
                        "function": "regex",
                        "group_select": -1,
                        "regex_pattern": "(-?[$0-9.,]{2,})|(-?[0-9]+)",
                    },
                    {"function": "take_first"},
                ],
            },
        ],
    },
}
CODE_FORM = "humaneval"
"""Its questions are programs, which `code_puzzles` runs."""
FIELDS = {
    "mmlu": ("question", "choices", "answer"),
    "hellaswag": ("ctx", "endings", "label"),
    "arc": ("question", "choices", "answerKey"),
    "gsm8k": ("question", "answer"),
}


@dataclass(frozen=True)
class BenchmarkScores:
    """What one model came to."""

    values: dict[str, npt.NDArray[np.float64]]
    """By "task, metric", one value for each question."""
    prompts: str
    """SHA-256 of all prompts and continuations."""

    def intervals(self) -> dict[str, Interval]:
        """The means, each with its interval."""
        return {name: mean_interval(found) for name, found in self.values.items()}

    def against(self, other: "BenchmarkScores") -> dict[str, Comparison]:
        """How another model did on the same questions."""
        return {
            name: compare_means(found, other.values[name]) for name, found in self.values.items()
        }


def run_benchmarks(
    model: "HarnessModel",
    tasks: Sequence[str],
    shots: int | None = None,
    limit: int | None = None,
    task_folder: Path | None = None,
) -> BenchmarkScores:
    """Run tasks.

    Args:
        tasks: names of the harness's tasks (which may fetch their data), of tasks in `task_folder`, or
            forms with a file, as in "mmlu=questions.jsonl" or "mmlu=questions.jsonl+examples.jsonl".
        shots: examples before each question; the task's own number when not given.
        limit: only the first so many questions of each task.
        task_folder: where task files (.yaml) of the user lie.

    Raises:
        HornbookError: an unknown task, or data that are not what they should be.
    """
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    named = [task for task in tasks if "=" not in task]
    with tempfile.TemporaryDirectory() as scratch, _quiet():
        configs = [_config_of(task, shots, scratch) for task in tasks if "=" in task]
        # The harness reads thousands of task files to know its own tasks: only when one is asked for.
        manager = TaskManager(
            include_path=None if task_folder is None else str(task_folder),
            include_defaults=bool(named) and task_folder is None,
        )
        unknown = [name for name in named if name not in manager.all_tasks]
        if unknown:
            raise HornbookError(
                f"unknown task {unknown[0]!r}; give a task of the harness, one in --task-folder, or a "
                f"form with a file ({', '.join(f'{form}=FILE' for form in (*FORMS, CODE_FORM))})."
            )
        found = simple_evaluate(
            model=model,
            tasks=[*named, *configs],
            num_fewshot=shots,
            limit=limit,
            bootstrap_iters=0,
            log_samples=True,
            task_manager=manager,
        )
    return _scores_in(found["samples"])


def _config_of(task: str, shots: int | None, scratch: str) -> dict[str, Any]:
    form, _, where = task.partition("=")
    if form not in FORMS:
        known = ", ".join((*FORMS, CODE_FORM))
        raise HornbookError(f"unknown form {form!r}; expected one of {known}.")
    test, _, dev = where.partition(DEV)
    files = {"test": _checked(Path(test), form)}
    if dev:
        files["dev"] = _checked(Path(dev), form)
    elif shots:
        raise HornbookError(
            f"--tasks {task}: {shots} shots need a file of examples: {form}={test}{DEV}EXAMPLES."
        )
    return {
        **FORMS[form],
        "task": form,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": files, "cache_dir": scratch},
        "test_split": "test",
        **({"fewshot_split": "dev"} if dev else {}),
        "num_fewshot": shots or 0,
        "metadata": {"version": 1.0},
    }


def _checked(path: Path, form: str) -> str:
    """The path, when every record of the file has the form's fields."""
    if path.suffix.lower() not in (".json", ".jsonl"):
        raise HornbookError(f"{path}: a benchmark's questions are .json or .jsonl.")
    for where, record in read_records(path):
        for field in FIELDS[form]:
            if field not in record:
                raise HornbookError(
                    f"{where}: no field {field!r}; {form} has {', '.join(FIELDS[form])}."
                )
        _check_values(record, where, form)
    return str(path.resolve())


def _check_values(record: dict[str, Any], where: str, form: str) -> None:
    """Refuse what the templates of the form could make no question of, or no right answer."""
    for field in ("question", "ctx"):
        if field in FIELDS[form]:
            string_field(record, field, where)
    if form == "mmlu":
        choices = record["choices"]
        if not _is_list_of_texts(choices) or len(choices) != 4:
            raise HornbookError(f"{where}: 'choices' must be a list of four texts.")
        if record["answer"] not in (*range(4), *"ABCD"):
            raise HornbookError(
                f"{where}: 'answer' is {record['answer']!r}; expected 0 to 3, or A to D."
            )
    elif form == "hellaswag":
        if not _is_list_of_texts(record["endings"]):
            raise HornbookError(f"{where}: 'endings' must be a list of texts.")
        last = len(record["endings"]) - 1
        if str(record["label"]) not in map(str, range(last + 1)):
            raise HornbookError(
                f"{where}: 'label' is {record['label']!r}; expected the place of an ending, 0 to {last}."
            )
    elif form == "arc":
        choices = require_object(record["choices"], f"{where}, choices")
        texts: Any = choices.get("text")
        labels: Any = choices.get("label")
        if not _is_list_of_texts(texts) or not _is_list_of_texts(labels):
            raise HornbookError(f"{where}: 'choices' must have lists of texts, 'text' and 'label'.")
        if len(texts) != len(labels) or record["answerKey"] not in labels:
            raise HornbookError(
                f"{where}: 'answerKey' must be one of the labels of 'choices', one for each text."
            )
    else:
        string_field(record, "answer", where)


def _is_list_of_texts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, str) for one in value)


def _scores_in(samples: dict[str, list[dict[str, Any]]]) -> BenchmarkScores:
    values: dict[str, list[float]] = {}
    prompts = []
    for task, answered in sorted(samples.items()):
        several = len({sample.get("filter", "none") for sample in answered}) > 1
        for sample in sorted(answered, key=lambda one: (one["doc_id"], one.get("filter", ""))):
            prompts.append([list(map(str, arguments)) for arguments in sample["arguments"]])
            for metric in sample["metrics"]:
                if isinstance(sample.get(metric), bool | int | float | np.number):
                    name = f"{task}, {metric}"
                    name += f" ({sample['filter']})" if several else ""
                    values.setdefault(name, []).append(float(sample[metric]))
    if not values:
        raise HornbookError(
            "none of these tasks has a metric that is measured question by question, so there is no "
            "interval to give."
        )
    found = {name: np.array(some, dtype=np.float64) for name, some in values.items()}
    return BenchmarkScores(found, hash_json(prompts))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The harness and its libraries report every step; what has gone wrong they still say."""
    import datasets

    logger = logging.getLogger("lm_eval")
    level, bars = logger.level, datasets.is_progress_bar_enabled()
    logger.setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        logger.setLevel(level)
        if bars:
            datasets.enable_progress_bars()


def require_harness() -> None:
    """
    Raises:
        HornbookError: the harness is not installed.
    """
    if find_spec("lm_eval") is None:
        raise HornbookError('--tasks needs the harness: pip install "hornbook[lm-eval]".')
