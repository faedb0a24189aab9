"""Adapters as models: chosen by name, in one batch with others, each answer as if alone."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

openai = pytest.importorskip("openai")

from hornbook.artifact import Manifest  # noqa: E402
from hornbook.checkpoints.export.huggingface import exportable  # noqa: E402
from hornbook.checkpoints.families.known import FAMILIES  # noqa: E402
from hornbook.cli import _run  # noqa: E402
from hornbook.errors import HornbookError  # noqa: E402
from hornbook.finetuning.peft_folder import export_peft  # noqa: E402
from hornbook.inference.generate import GenerationSettings, generate  # noqa: E402
from hornbook.inference.weights import sharing_copy  # noqa: E402
from hornbook.pipeline.models.adapted import load_with_adapter  # noqa: E402
from hornbook.pipeline.models.bundle import Bundle, save_bundle  # noqa: E402
from hornbook.serving.models import named_adapters, serve_bundle  # noqa: E402
from hornbook.serving.settings import ServerSettings  # noqa: E402
from tests.inference.test_engine_adapters import make_adapters  # noqa: E402
from tests.pipeline.models.exported_models import trained_tokenizer  # noqa: E402
from tests.serving.conftest import CPU, Running, make_bundle, running  # noqa: E402

ASKED: Any = [{"role": "user", "content": "Where is the cat?"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's folder with adapters beside it."""
    place = tmp_path_factory.mktemp("served")
    bundle = make_bundle("instruct", n_layers=2)
    save_bundle(place / "base", bundle.model, bundle.tokenizer, bundle.facts)
    make_adapters(bundle.model, place)
    return place


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Running]:
    bundle = make_bundle("instruct", n_layers=2)
    adapters = {name: folder / name for name in ("thin", "some", "dora", "vectors")}
    adapters["v1.2"] = folder / "thin"
    with running("instruct", bundle=bundle, adapters=adapters) as found:
        yield found


def client(server: Running) -> Any:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def test_each_adapter_is_a_model(server: Running) -> None:
    models = list(client(server).models.list())
    assert [model.id for model in models] == [
        "instruct",
        *("thin", "some", "dora", "vectors"),
        "v1.2",
    ]
    assert models[1].parent == "instruct"
    assert client(server).models.retrieve("v1.2").id == "v1.2"
    with pytest.raises(openai.NotFoundError, match="the model 'fat' does not exist") as refused:
        client(server).chat.completions.create(model="fat", messages=ASKED)
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")


def ask(server: Running, number: int) -> Any:
    """One of several requests, of different adapters; n answers, streamed or not, with all figures."""
    model = ("instruct", "thin", "some", "dora", "v1.2", "vectors", "dora")[number % 7]
    found = client(server).chat.completions.create(
        model=model, messages=ASKED * (number % 3 + 1), max_tokens=8 + number, seed=number,
        temperature=number % 2, logprobs=True, top_logprobs=2,
    )  # fmt: skip
    assert found.model == model
    return found.choices[0].model_dump()


def test_answers_together_are_those_alone_to_the_bit(server: Running) -> None:
    alone = [ask(server, number) for number in range(12)]
    with ThreadPoolExecutor(12) as pool:
        together = list(pool.map(lambda number: ask(server, number), range(12)))
    assert together == alone
    assert server.free()


def test_an_answer_is_that_of_the_merged_model(server: Running, folder: Path) -> None:
    texts = {}
    for name in ("thin", "some", "dora", "vectors"):
        merged = load_with_adapter(folder / "base", folder / name, CPU)
        ids = merged.prompt_ids("The cat")
        greedy = GenerationSettings(temperature=0, max_new_tokens=12)
        expected = list(generate(merged.model, ids, greedy, merged.ends))
        found = client(server).completions.create(
            model=name, prompt="The cat", temperature=0, max_tokens=12
        )
        texts[name] = found.choices[0].text
        whole = merged.tokenizer.decode([*ids, *expected])
        assert texts[name] == whole.removeprefix(merged.tokenizer.decode(ids))
        vector = client(server).embeddings.create(model=name, input="The cat").data[0].embedding
        mean = merged.model.hidden(_tensor(ids))[0].mean(dim=0).detach().numpy()
        np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)
    assert len(set(texts.values())) == 4


def _tensor(ids: list[int]) -> Any:
    return torch.tensor([ids])


def test_what_cannot_be_served_is_refused_at_the_start(folder: Path, tmp_path: Path) -> None:
    own, other = make_bundle("instruct", n_layers=2), make_bundle("instruct", n_layers=1)
    settings = ServerSettings()

    def serve(bundle: Any, adapters: dict[str, Path]) -> None:
        serve_bundle(bundle, settings, "base", CPU, adapters)

    with pytest.raises(HornbookError, match="was trained on another model"):
        serve(other, {"some": folder / "some"})
    with pytest.raises(HornbookError, match="no such adapter"):
        serve(own, {"some": tmp_path / "nothing"})
    with pytest.raises(HornbookError, match="holds no LoRA adapter"):
        serve(own, {"some": folder / "base"})
    with pytest.raises(HornbookError, match="both called base"):
        serve(own, {"base": folder / "some"})
    with pytest.raises(HornbookError, match="cannot write text"):
        serve(make_bundle("classify"), {"some": folder / "some"})


def test_names_of_adapters(folder: Path) -> None:
    found = named_adapters([f"mine={folder}/some", f"{folder}/thin"])
    assert found == {"mine": folder / "some", "thin": folder / "thin"}
    for wrong, said in (
        ([f"{folder}/thin", f"thin={folder}/some"], "there is an adapter thin already"),
        ([f"{'x' * 300}={folder}/some"], "expected NAME=FOLDER"),
        (["nowhere"], "no such adapter"),
        ([f"={folder}/some"], "expected NAME=FOLDER"),
        ([f"  ={folder}/some"], "expected NAME=FOLDER"),
    ):
        with pytest.raises(HornbookError, match=said):
            named_adapters(wrong)


def test_an_adapter_on_the_command_line(folder: Path, capfd: Any) -> None:
    base, adapter = str(folder / "base"), str(folder / "some")
    settings = ["temperature=0", "max_new_tokens=12", "--weights", "float32"]
    assert _run(["generate", base, "The cat", *settings, "--adapter", adapter]) == 0
    merged = load_with_adapter(folder / "base", folder / "some", CPU)
    expected = "".join(
        merged.complete("The cat", GenerationSettings(temperature=0, max_new_tokens=12))
    )
    assert capfd.readouterr().out == f"The cat{expected}\n"
    asked = ["--question", "Where is the cat?", *settings]
    assert _run(["chat", base, *asked, "--adapter", adapter]) == 0
    adapted = capfd.readouterr().out
    assert _run(["chat", base, *asked]) == 0
    assert capfd.readouterr().out != adapted
    assert _run(["chat", base, *asked, "--adapter", base]) == 2
    assert "holds no LoRA adapter" in capfd.readouterr().err


def test_the_base_is_left_as_it_was(folder: Path) -> None:
    bundle = make_bundle("instruct", n_layers=2)
    names = [name for name, _ in bundle.model.named_modules()]
    serve_bundle(bundle, ServerSettings(), "base", CPU, {"some": folder / "some"})
    assert [name for name, _ in bundle.model.named_modules()] == names
    assert sharing_copy(bundle.model) is not bundle.model


def test_an_adapter_of_peft_is_a_model_too(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    from safetensors.torch import load_file, save_file

    from tests.finetuning.test_peft_folder import VARIANTS, adapted, tiny

    model = adapted("gpt2-mini", VARIANTS["some"])
    family = exportable(model.config, FAMILIES)
    export_peft(tmp_path / "theirs", model, family, 0.0, "base", "card")
    facts = {"task": "pretrain"}
    manifest = Manifest("checkpoint", {}, {}, {}, facts)
    base = tiny("gpt2-mini").eval()
    bundle = Bundle(Path("base"), base, trained_tokenizer(), manifest, CPU)
    adapters = {"theirs": tmp_path / "theirs"}
    models = serve_bundle(bundle, ServerSettings(weights="float32"), "base", CPU, adapters)
    bank, ids = models.all[1].bank, _tensor([5, 6, 7, 40])
    assert bank is not None
    plain = base(ids)
    bank.use(["theirs"])
    expected = model(ids)
    torch.testing.assert_close(models.first.model(ids), expected, rtol=1e-4, atol=1e-4)
    assert (expected - plain).abs().max() > 1e-2
    file = tmp_path / "theirs" / "adapter_model.safetensors"
    whole = {"base_model.model.transformer.ln_f.weight": torch.zeros(model.config.embed_dim)}
    save_file({**load_file(file), **whole}, file)
    with pytest.raises(HornbookError, match="modules that peft trained whole"):
        serve_bundle(bundle, ServerSettings(), "base", CPU, adapters)
    assert torch.equal(base(ids), plain)
