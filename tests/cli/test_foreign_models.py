"""A folder that others wrote, used as any model is."""

import json
from pathlib import Path

import pytest

from hornbook.cli import _run
from hornbook.inference.settings import GenerationSettings
from hornbook.pipeline.models.bundle import default_runtime, load_bundle
from hornbook.tokenizing.templates import Message, encode_conversation
from tests.checkpoints.folders import STORY, write_folder

Capture = pytest.CaptureFixture[str]
GPT2 = Path(__file__).parents[1] / "checkpoints" / "loading" / "gpt2-tensorflow"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def talking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("talking"), chat=True)


def run(capfd: Capture, *arguments: object) -> str:
    capfd.readouterr()
    assert _run([str(argument) for argument in arguments]) == 0
    return capfd.readouterr().out


def refused(capfd: Capture, *arguments: object) -> str:
    capfd.readouterr()
    assert _run([str(argument) for argument in arguments]) == 2
    printed = capfd.readouterr().err
    assert len(printed.strip().splitlines()) == 1, printed
    return printed


def test_generate(plain: Path, capfd: Capture) -> None:
    assert run(capfd, "generate", plain, "The cat", "max_new_tokens=8", "temperature=0")


def test_evaluate(plain: Path, talking: Path, tmp_path: Path, capfd: Capture) -> None:
    text = tmp_path / "story.txt"
    text.write_text(STORY)
    for folder in (plain, talking):  # a follower of instructions reads texts, too
        assert "perplexity" in run(capfd, "evaluate", folder, text)


def test_inspect(plain: Path, capfd: Capture) -> None:
    assert "rotary" in run(capfd, "inspect", plain)


def test_chat(talking: Path, capfd: Capture) -> None:
    run(capfd, "chat", talking, "--question", "Who sat?", "max_new_tokens=8")


def test_its_own_template_and_ends_are_used(talking: Path) -> None:
    bundle = load_bundle(talking, default_runtime())
    assert bundle.task == "instruct"
    assert bundle.stop_ids == [0, 3]
    encoded = encode_conversation(
        bundle.tokenizer, [Message("user", "Who sat?")], bundle.facts["template"], True
    )
    written = bundle.tokenizer.decode(encoded.ids)
    assert written == "<|im_start|>user\nWho sat?<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize(
    ("stated", "drawn"),
    [
        ({}, (0.8, 50, None, 1.0)),
        ({"do_sample": True}, (1.0, 50, None, 1.0)),
        ({"do_sample": False, "temperature": 0.6}, (0.0, 50, None, 1.0)),
        ({"temperature": 0.6, "top_k": 0, "top_p": 0.9}, (0.6, None, 0.9, 1.0)),
        ({"do_sample": True, "top_k": 20, "repetition_penalty": 1.1}, (1.0, 20, None, 1.1)),
    ],
)
def test_tokens_are_drawn_as_its_makers_say(
    tmp_path: Path, stated: dict[str, object], drawn: tuple[object, ...]
) -> None:
    folder = write_folder(tmp_path / "model")  # as a part of Hornbook's own folders is called
    (folder / "generation_config.json").write_text(json.dumps(stated))
    bundle = load_bundle(folder, default_runtime())
    found = bundle.drawing(GenerationSettings())
    assert (found.temperature, found.top_k, found.top_p, found.repetition_penalty) == drawn
    assert bundle.drawing(GenerationSettings(temperature=0.3)).temperature == 0.3


def test_what_its_makers_say_must_be_possible(tmp_path: Path, capfd: Capture) -> None:
    folder = write_folder(tmp_path / "model")
    (folder / "generation_config.json").write_text(json.dumps({"temperature": -2}))
    said = refused(capfd, "generate", folder, "The cat")
    assert "generation_config.json: temperature" in said


def test_a_base_model_holds_no_conversation(plain: Path, capfd: Capture) -> None:
    assert "this model continues a text" in refused(capfd, "chat", plain, "--question", "Hm?")


def test_what_the_tokenizer_puts_before_texts_is_read_first(plain: Path, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "opening")
    path = folder / "tokenizer.json"
    tree = json.loads(path.read_text())
    tree["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "[EOS]", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {"[EOS]": {"id": "[EOS]", "ids": [1], "tokens": ["[EOS]"]}},
    }
    path.write_text(json.dumps(tree))
    assert load_bundle(folder, default_runtime()).opening_ids == [1]
    assert load_bundle(plain, default_runtime()).opening_ids == []


def test_a_tokenizer_of_another_size(tmp_path: Path, capfd: Capture) -> None:
    folder = write_folder(tmp_path / "cut")
    tree = json.loads((folder / "tokenizer.json").read_text())
    added = {"id": 330, "content": "<|more|>", "special": True}
    tree["added_tokens"].append({**tree["added_tokens"][0], **added})
    (folder / "tokenizer.json").write_text(json.dumps(tree))
    said = refused(capfd, "generate", folder, "The cat")
    assert "tokens and the model" in said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("pytorch_model.bin", "is a pickle"),
        ("model.pt", "is a pickle"),
        ("model.zip", "is an archive; unpack it and give the folder."),
        ("model.safetensors", "is one file of a model; give the folder"),
    ],
)
def test_single_files(plain: Path, tmp_path: Path, capfd: Capture, name: str, said: str) -> None:
    path = tmp_path / name
    path.write_bytes((plain / "model.safetensors").read_bytes())
    assert said in refused(capfd, "generate", path, "The cat")
