"""Runs that start from a model that is there already: another's folder, or one of Hornbook's."""

import json
from pathlib import Path

import pytest
import torch

from hornbook.artifact import hash_file
from hornbook.checkpoints.loading.folders import load_folder
from hornbook.checkpoints.store import load_model
from hornbook.cli import _run
from hornbook.inference.settings import GenerationSettings
from hornbook.pipeline.models.bundle import default_runtime, load_bundle
from hornbook.pipeline.models.exporting import export_as_folder
from tests.checkpoints.folders import STORY, write_folder

Capture = pytest.CaptureFixture[str]
SMALL = (
    "training.steps=3",
    "training.batch_size=2",
    "instruction.template=chatml",
    "instruction.training.steps=2",
    "instruction.lora_training.steps=2",
    "instruction.training.batch_size=2",
    "instruction.lora_training.batch_size=2",
    "instruction.questions=2",
    "lora.rank=2",
    "sampling.max_length=16",
    "runtime.precision=float32",
)

DRAWING = {"do_sample": True, "temperature": 0.6, "top_k": 20, "top_p": 0.95}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_folder(tmp_path_factory.mktemp("model"), dtype=torch.bfloat16)
    path = folder / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **DRAWING}))
    return folder


@pytest.fixture(scope="module")
def instructions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "asked.json"
    asked = [{"instruction": "cat?", "output": f"fire {number}"} for number in range(99)]
    path.write_text(json.dumps(asked))
    return path


@pytest.fixture(scope="module")
def tuned(folder: Path, instructions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has fine-tuned the folder's model."""
    run = tmp_path_factory.mktemp("tuned") / "run"
    asked = (f"model.path={folder}", f"instruction.path={instructions}", f"run.directory={run}")
    assert _run(["finetune", "instruct", *SMALL, *asked]) == 0
    return run


def test_fine_tuning_starts_from_the_folder_and_leaves_the_corpus_alone(
    tuned: Path, folder: Path
) -> None:
    copied = load_model(tuned / "base" / "model").model.state_dict()
    for name, weight in load_folder(folder).model.state_dict().items():
        assert torch.equal(weight, copied[name]), name
    assert not (tuned / "corpus").exists()
    assert not (tuned / "pretrain").exists()
    assert (tuned / "report.html").exists()
    for mode in ("full", "lora"):
        bundle = load_bundle(tuned / f"instruct-{mode}", default_runtime())
        assert bundle.task == "instruct"
        changed = bundle.model.state_dict()
        assert any(not torch.equal(changed[name], copied[name]) for name in copied)


def test_the_copy_takes_no_more_room_than_the_folder(tuned: Path, folder: Path) -> None:
    sizes = [(at / "model.safetensors").stat().st_size for at in (tuned / "base/model", folder)]
    assert sizes[0] < 1.1 * sizes[1]


def test_how_its_makers_draw_tokens_goes_with_it(tuned: Path, tmp_path: Path) -> None:
    for mode in ("full", "lora"):
        bundle = load_bundle(tuned / f"instruct-{mode}", default_runtime())
        assert bundle.facts["family"] == "llama"
        settings = bundle.drawing(GenerationSettings(seed=4, top_k=5), temperature=0)
        assert (settings.temperature, settings.top_p) == (0.6, 0.95)
        assert (settings.seed, settings.top_k) == (4, 5)
        export_as_folder(bundle.path, tmp_path / mode)
        written = json.loads((tmp_path / mode / "generation_config.json").read_text())
        assert {name: written[name] for name in DRAWING} == DRAWING
        assert {0, 3} <= {*written["eos_token_id"]}


def test_the_card_names_the_data_and_no_folder(
    tuned: Path, instructions: Path, folder: Path, tmp_path: Path
) -> None:
    export_as_folder(tuned / "instruct-lora", tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"| `asked.json` | `{hash_file(instructions)}` |" in card
    assert f"- `{folder.name}`, under its own licence" in card
    assert "- Examples, train: " in card
    assert "| instruct-lora | 2 | " in card
    assert 'license: "other"' in card
    assert "/tmp" not in card
    assert str(tuned.parent) not in card


def test_run_again_it_does_nothing(tuned: Path, folder: Path, instructions: Path) -> None:
    before = (tuned / "instruct-full" / "results.json").stat().st_mtime_ns
    asked = (f"model.path={folder}", f"instruction.path={instructions}", f"run.directory={tuned}")
    assert _run(["finetune", "instruct", *SMALL, *asked]) == 0
    assert (tuned / "instruct-full" / "results.json").stat().st_mtime_ns == before


def test_pre_training_goes_on(folder: Path, tmp_path: Path) -> None:
    corpus, run = tmp_path / "story.txt", tmp_path / "run"
    corpus.write_text("\n\n".join([STORY] * 8))
    asked = (f"model.path={folder}", f"corpus.source={corpus}", f"run.directory={run}")
    assert _run(["pretrain", *SMALL, *asked, "training.lr=1e-9", "training.muon_lr=1e-9"]) == 0
    bundle = load_bundle(run / "pretrain", default_runtime())
    assert bundle.stop_ids == [0, 3]
    assert bundle.facts["drawing"] == DRAWING
    start = load_folder(folder).model.state_dict()
    for name, weight in bundle.model.state_dict().items():  # with hardly any learning, hardly moved
        torch.testing.assert_close(weight, start[name], atol=1e-5, rtol=0)


def test_one_of_hornbooks_own(tuned: Path, instructions: Path, tmp_path: Path) -> None:
    run = tmp_path / "again"
    asked = (
        f"model.path={tuned / 'instruct-lora' / 'adapter'}",
        f"instruction.path={instructions}",
        f"run.directory={run}",
        'instruction.train=["full"]',
    )
    assert _run(["finetune", "instruct", *SMALL, *asked]) == 0
    merged = load_bundle(tuned / "instruct-lora", default_runtime()).model.state_dict()
    copied = load_model(run / "base" / "model").model.state_dict()
    for name, weight in merged.items():
        assert torch.equal(weight, copied[name]), name


def test_what_was_trained_is_what_transformers_computes(tuned: Path) -> None:
    pytest.importorskip("transformers")
    for mode in ("full", "lora"):
        assert _run(["verify", "--transformers", str(tuned / f"instruct-{mode}")]) == 0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (("model.n_layers=3",), "model.n_layers is settled by the model at model.path"),
        (("model.path=nowhere",), "model.path: nowhere is no model's folder"),
        (("instruction.path=nowhere.json",), "nowhere.json"),
        ((), "instruction.path is not set"),
    ],
)
def test_mistakes(
    folder: Path, tmp_path: Path, capfd: Capture, settings: tuple[str, ...], said: str
) -> None:
    path = tmp_path / "asked.json"
    path.write_text(json.dumps([{"instruction": "cat?", "output": "fire"}] * 99))
    given = (f"instruction.path={path}",) if settings else ()
    arguments = (f"model.path={folder}", f"run.directory={tmp_path / 'run'}", *given, *settings)
    capfd.readouterr()
    assert _run(["finetune", "instruct", *SMALL, *arguments]) == 2
    assert said in capfd.readouterr().err
