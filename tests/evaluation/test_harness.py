"""The lm-evaluation-harness with a Hornbook model: the figures of its own model of the same weights."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from hornbook.errors import HornbookError
from hornbook.evaluation.benchmarks import run_benchmarks
from hornbook.model.presets import ModelSettings, resolve
from hornbook.model.transformer import Transformer
from hornbook.pipeline.models.bundle import default_runtime, load_bundle, save_bundle
from hornbook.pipeline.models.exporting import export_as_folder
from hornbook.tokenizing.special import USER
from hornbook.tokenizing.tokenizer import Tokenizer, TokenizerSettings

pytest.importorskip("lm_eval")
pytestmark = pytest.mark.filterwarnings("ignore")

WORDS = "The capital of France is Paris. What is 2 + 2? It is 4. Question: Answer: A B C D #### "
REQUESTS = [
    ("What is 2 + 2?", " It is 4."),
    ("", "The capital of France"),
    ("The capital of France is ", "Paris"),
    ("It is 4. " * 40, "What is 2"),  # more than the model reads
    ("Question:", " D"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of Hornbook's in "own", and as `hornbook export hf` writes it in "exported"."""
    pytest.importorskip("transformers")
    path = tmp_path_factory.mktemp("gpt2")
    tokenizer = Tokenizer.train([WORDS] * 5, TokenizerSettings(vocab_size=320))
    sizes = {"embed_dim": 32, "n_layers": 2, "n_heads": 2, "context_length": 64}
    config = resolve(ModelSettings(preset="gpt2-mini", **sizes), tokenizer.vocab_size)
    model = Transformer(config, torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        # So that it writes a control token in the midst of its answers now and then.
        model.embedding.token.weight[tokenizer.control_tokens[USER]] *= 3
    save_bundle(path / "own", model, tokenizer, {"task": "pretrain"})
    export_as_folder(path / "own", path / "exported")
    return path


@pytest.fixture(scope="module")
def ours(folder: Path) -> Any:
    from hornbook.evaluation.harness import HarnessModel

    bundle = load_bundle(folder / "own", default_runtime())
    return HarnessModel(bundle.model, bundle.tokenizer, bundle.runtime, bundle.opening_ids)


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Any:
    from lm_eval.models.huggingface import HFLM

    where = str(folder / "exported")
    return HFLM(pretrained=where, device="cpu", batch_size=2, dtype="float32")


def _instances(*arguments: tuple[Any, ...]) -> list[Any]:
    return [SimpleNamespace(args=one) for one in arguments]


def test_log_likelihoods_are_those_of_the_harnesss_own_model(ours: Any, theirs: Any) -> None:
    requests = _instances(*REQUESTS)
    mine = ours.loglikelihood(requests, disable_tqdm=True)
    wanted = theirs.loglikelihood(requests, disable_tqdm=True)
    assert [score for score, _ in mine] == pytest.approx([float(s) for s, _ in wanted], abs=1e-4)
    assert [greedy for _, greedy in mine] == [bool(greedy) for _, greedy in wanted]


def test_texts_longer_than_the_model_reads(ours: Any, theirs: Any) -> None:
    requests = _instances(("It is 4. " * 40,), ("Paris.",))
    mine = ours.loglikelihood_rolling(requests, disable_tqdm=True)
    wanted = theirs.loglikelihood_rolling(requests, disable_tqdm=True)
    assert mine == pytest.approx(wanted, abs=1e-3)


def test_what_is_written_is_what_the_harnesss_own_model_writes(
    ours: Any, theirs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"until": ["Paris", "\n"], "max_gen_toks": 12, "do_sample": False}
    requests = _instances(*((text, asked) for text, _ in REQUESTS if text))
    tokens: list[str] = []
    plain = Tokenizer.decode

    def decode(tokenizer: Tokenizer, ids: list[int], skip_special: bool = False) -> str:
        tokens.extend(tokenizer.token_text(token) for token in ids)
        return plain(tokenizer, ids, skip_special)

    monkeypatch.setattr(Tokenizer, "decode", decode)
    mine = ours.generate_until(requests, disable_tqdm=True)
    wanted = theirs.generate_until(requests, disable_tqdm=True)
    assert USER in tokens  # written by the model, and no text of either answer
    assert any(token != USER for token in tokens)
    # The library's text has spaces cleaned up; ours is as it was written.
    assert ["".join(text.split()) for text in mine] == ["".join(text.split()) for text in wanted]


FILES: dict[str, list[dict[str, Any]]] = {
    "mmlu": [
        {"question": f"What is {n} + 1?", "choices": list("1234"), "answer": "ABCD"[n]}
        for n in range(4)
    ],
    "hellaswag": [
        {"ctx": f"It is {n}.", "endings": ["Paris.", "4 + 4", "What?"], "label": str(n % 3)}
        for n in range(4)
    ],
    "arc": [
        {
            "question": f"What is {n}?",
            "choices": {"text": ["4", "2", "Paris"], "label": ["A", "B", "C"]},
            "answerKey": "ABC"[n % 3],
        }
        for n in range(4)
    ],
    "gsm8k": [{"question": f"{n} + 2?", "answer": f"It is\n#### {n + 2}"} for n in range(4)],
}


def _write(folder: Path, form: str, name: str | None = None) -> Path:
    path = folder / f"{name or form}.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in FILES[form]), "utf-8")
    return path


def test_forms_from_local_files(ours: Any, theirs: Any, tmp_path: Path) -> None:
    tasks = [f"{form}={_write(tmp_path, form)}" for form in ("mmlu", "hellaswag", "arc")]
    mine, wanted = run_benchmarks(ours, tasks), run_benchmarks(theirs, tasks)
    names = ("mmlu, acc", "hellaswag, acc", "hellaswag, acc_norm", "arc, acc", "arc, acc_norm")
    assert set(mine.values) == set(names)
    for name, values in mine.values.items():
        assert values.tolist() == wanted.values[name].tolist(), name
        assert len(values) == 4
    assert mine.prompts == wanted.prompts
    assert mine.intervals()["mmlu, acc"].count == 4
    assert mine.against(wanted)["arc, acc"].p == 1


def test_numbers_are_found_in_what_is_written(
    ours: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = f"gsm8k={_write(tmp_path, 'gsm8k')}"
    written = ["So\n#### 2", "It is 3", "#### 9", "no number"]  # 2, 3, 4 and 5 are right
    monkeypatch.setattr(type(ours), "generate_until", lambda *_, **__: written)
    found = run_benchmarks(ours, [task]).values
    assert found["gsm8k, exact_match (strict-match)"].tolist() == [1, 0, 0, 0]
    assert found["gsm8k, exact_match (flexible-extract)"].tolist() == [1, 1, 0, 0]


def test_shots_come_from_a_file_of_their_own(
    ours: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, shown = _write(tmp_path, "mmlu"), _write(tmp_path, "mmlu", "dev")
    contexts: list[str] = []

    def score(_: Any, requests: Any, **__: Any) -> list[tuple[float, bool]]:
        contexts.extend(request.args[0] for request in requests)
        return [(0.0, True)] * len(requests)

    monkeypatch.setattr(type(ours), "loglikelihood", score)
    found = run_benchmarks(ours, [f"mmlu={asked}+{shown}"], shots=2, limit=1)
    assert len(found.values["mmlu, acc"]) == 1
    shot = "What is {}?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer:{}"
    wanted = [shot.format("0 + 1", " A"), shot.format("1 + 1", " B"), shot.format("0 + 1", "")]
    assert contexts == ["\n\n".join(wanted)] * 4
    with pytest.raises(HornbookError, match="2 shots need a file of examples"):
        run_benchmarks(ours, [f"mmlu={asked}"], shots=2)


def test_a_task_file(ours: Any, tmp_path: Path) -> None:
    data = _write(tmp_path, "arc")
    (tmp_path / "mine.yaml").write_text(
        f"""task: my_task
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
  cache_dir: {tmp_path / "cache"}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices.text}}}}"
doc_to_target: "{{{{choices.label.index(answerKey)}}}}"
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
""",
        "utf-8",
    )
    found = run_benchmarks(ours, ["my_task"], task_folder=tmp_path)
    assert list(found.values) == ["my_task, acc"]
    with pytest.raises(HornbookError, match="unknown task 'other'"):
        run_benchmarks(ours, ["other"], task_folder=tmp_path)


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("trivia=x.jsonl", "unknown form 'trivia'; expected one of mmlu, .*, humaneval"),
        ("mmlu=x.csv", "are .json or .jsonl"),
        ("arc={mmlu}", "line 1: no field 'answerKey'; arc has question"),
    ],
)
def test_bad_tasks(ours: Any, tmp_path: Path, task: str, said: str) -> None:
    path = _write(tmp_path, "mmlu")
    with pytest.raises(HornbookError, match=said):
        run_benchmarks(ours, [task.format(mmlu=path)])


@pytest.mark.parametrize(
    ("form", "record", "said"),
    [
        ("mmlu", {"question": "x", "choices": ["a"] * 3, "answer": 0}, "a list of four texts"),
        ("mmlu", {"question": "x", "choices": ["a"] * 4, "answer": "E"}, "'answer' is 'E'"),
        ("mmlu", {"question": 1, "choices": ["a"] * 4, "answer": 0}, "'question' must be a string"),
        ("hellaswag", {"ctx": "x", "endings": [], "label": 0}, "'endings' must be a list"),
        ("hellaswag", {"ctx": "x", "endings": ["a", "b"], "label": 2}, "'label' is 2"),
        ("arc", {"question": "x", "choices": ["a"], "answerKey": "A"}, "expected an object"),
        (
            "arc",
            {"question": "x", "choices": {"text": ["a"], "label": ["A"]}, "answerKey": "B"},
            "'answerKey' must be one of the labels",
        ),
        ("gsm8k", {"question": "x", "answer": 4}, "'answer' must be a string"),
    ],
)
def test_records_of_no_question(
    tmp_path: Path, form: str, record: dict[str, Any], said: str
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(record) + "\n", "utf-8")
    with pytest.raises(HornbookError, match=rf"line 1.*{said}"):
        run_benchmarks(None, [f"{form}={path}"])  # type: ignore[arg-type]
