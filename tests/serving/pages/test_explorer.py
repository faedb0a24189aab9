"""What the explorer shows is what the model does: each look against the model, or worked out anew."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from fastapi import FastAPI
from fastapi.testclient import TestClient
from sklearn.decomposition import PCA

from hornbook.finetuning.classification import classify
from hornbook.finetuning.lora import LoRASettings, apply_lora, lora_layers
from hornbook.finetuning.peft_folder import export_peft
from hornbook.model.config import ModelConfig
from hornbook.model.presets import ModelSettings, resolve
from hornbook.model.transformer import Transformer
from hornbook.pipeline.models.adapted import load_with_adapter
from hornbook.pipeline.models.bundle import (
    Bundle,
    default_runtime,
    family_of,
    load_bundle,
    save_bundle,
)
from hornbook.serving.explorer.adapter import singular_values
from hornbook.serving.explorer.embedding import EmbeddingMap, principal_plane
from hornbook.serving.explorer.looker import MOST_TOKENS, Looker
from hornbook.serving.explorer.routes import LONGEST_TEXT, explorer_router
from hornbook.serving.explorer.tokens import side_by_side, sliding

PEFT_VARIANTS = {
    "some": LoRASettings(rank=2, alpha=5.0, targets=("value", "up"), ranks={"up": 4}),
    "rslora": LoRASettings(rank=4, alpha=3.0, rank_stabilized=True),
    "dora": LoRASettings(rank=2, alpha=4.0, dora=True),
}
TEXT = "The fox lost the red scarf, and an owl found it."
SMALL = {"embed_dim": 32, "n_layers": 3, "n_heads": 4, "context_length": 64, "zero_init": False}
KINDS = {
    "gpt2": ModelSettings(preset="gpt2-mini", **SMALL),
    "modern": ModelSettings(preset="modern-124m", **SMALL, n_kv_heads=2, hidden_dim=64),
    "mini": ModelSettings(preset="mini", **SMALL),
}


@pytest.fixture(scope="module")
def pretrained(runs: Path) -> Bundle:
    return load_bundle(runs / "tiny" / "pretrain", default_runtime())


@pytest.fixture(scope="module")
def classifier(runs: Path) -> Bundle:
    return load_bundle(runs / "tiny" / "classify-lora", default_runtime())


def small(kind: str, **more: Any) -> Transformer:
    config: ModelConfig = resolve(KINDS[kind], 60).model_copy(update=more)
    return Transformer(config, torch.Generator().manual_seed(3)).eval()


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_streams_end_in_the_models_logits(kind: str) -> None:
    model, ids = small(kind), torch.arange(2, 22)[None]
    streams = model.residual_streams(ids)
    assert len(streams) == 4
    assert torch.allclose(model.head(model.norm(streams[-1])), model(ids), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("more", [{}, {"window": 5}, {"attention_softcap": 3.0}], ids=str)
@torch.no_grad()
def test_weights_shown_give_what_attention_gives(kind: str, more: dict[str, Any]) -> None:
    model, ids = small(kind, **more), torch.arange(2, 22)[None]
    for layer, block in enumerate(model.blocks):
        attention: Any = block.attention
        x = block.attention_norm(model.residual_streams(ids)[layer])  # type: ignore[operator]
        rotation = model.rotations(ids)[layer]
        weights = attention.weights(x, rotation)
        assert torch.allclose(weights.sum(-1), torch.ones(1, 4, 20), atol=1e-5)
        assert (weights.triu(1) == 0).all()
        value = attention._split(attention.value(x))
        value = value.repeat_interleave(4 // value.shape[1], dim=1)
        gathered = attention.out((weights @ value).transpose(1, 2).flatten(2))
        assert torch.allclose(gathered, attention(x, rotation), atol=1e-5)


def test_steps_end_in_the_heads_weights(pretrained: Bundle) -> None:
    looker = Looker(pretrained)
    heads = looker.attention(TEXT, 1)["heads"]
    steps = looker.steps(TEXT, 1, 2)["steps"]
    assert [step["name"][0] for step in steps] == list("123456")
    assert np.allclose(steps[-1]["matrix"], heads[2], atol=1e-4)
    hidden = steps[4]["matrix"]
    assert hidden[0][1] is None
    assert hidden[1][0] == steps[2]["matrix"][1][0]
    masked = torch.tensor([[-torch.inf if v is None else v for v in row] for row in hidden])
    assert torch.allclose(masked.softmax(-1), torch.tensor(heads[2]), atol=1e-3)


def test_the_last_layer_of_the_lens_is_the_model(pretrained: Bundle) -> None:
    found = Looker(pretrained).lens(TEXT)
    ids = pretrained.tokenizer.encode(TEXT)
    with torch.no_grad():
        probabilities = pretrained.model(torch.tensor([ids]))[0].softmax(-1)
    assert [layer["name"] for layer in found["layers"]] == [
        "embedding",
        *(f"layer {n}" for n in (1, 2, 3)),
    ]
    for place, shown in enumerate(found["layers"][-1]["places"]):
        best = int(probabilities[place].argmax())
        assert shown["guesses"][0]["id"] == best
        assert shown["guesses"][0]["probability"] == pytest.approx(
            float(probabilities[place, best]), rel=1e-4
        )
        if place + 1 < len(ids):
            assert shown["actual"] == pytest.approx(
                float(probabilities[place, ids[place + 1]]), rel=1e-4
            )


def test_next_tokens_move_with_the_settings(pretrained: Bundle) -> None:
    looker = Looker(pretrained)
    plain = looker.next(TEXT, 1.0, None, None)
    for one in plain["tokens"]:
        assert one["before"] == pytest.approx(one["after"], rel=1e-4)
    cold = looker.next(TEXT, 0.5, None, None)["tokens"]
    assert cold[0]["after"] > cold[0]["before"]
    ratio = plain["tokens"][0]["before"] / plain["tokens"][1]["before"]
    assert cold[0]["after"] / cold[1]["after"] == pytest.approx(ratio**2, rel=1e-3)
    few = looker.next(TEXT, 1.0, 3, None)
    assert few["left"] == 3
    assert sum(one["after"] for one in few["tokens"]) == pytest.approx(1, rel=1e-5)
    assert looker.next(TEXT, 0, None, None)["left"] == 1
    nucleus = looker.next(TEXT, 1.0, None, 0.3)
    kept = [one["before"] for one in nucleus["tokens"] if one["after"]]
    assert sum(kept) >= 0.3 > sum(kept[:-1])


def test_the_plane_is_that_of_principal_components(pretrained: Bundle) -> None:
    vectors = pretrained.model.embedding.token.weight.detach()
    mean, directions, shares = principal_plane(vectors)
    plane = (vectors.double() - mean) @ directions
    reference = PCA(2, svd_solver="full").fit(vectors.double().numpy())
    expected = reference.transform(vectors.double().numpy())
    assert np.allclose(np.abs(plane.numpy()), np.abs(expected), atol=1e-6)
    assert shares == pytest.approx(reference.explained_variance_ratio_.tolist())


def test_neighbours_by_hand(pretrained: Bundle) -> None:
    vectors = pretrained.model.embedding.token.weight.detach()
    found = EmbeddingMap(pretrained.model, pretrained.tokenizer).neighbours(40)
    likeness = torch.nn.functional.cosine_similarity(vectors, vectors[40:41])
    expected = [token for token in likeness.argsort(descending=True).tolist() if token != 40][:10]
    assert [one["id"] for one in found] == expected
    assert found[0]["cosine"] == pytest.approx(float(likeness[expected[0]]), abs=1e-5)


def test_classes_as_read_are_those_of_every_beginning(classifier: Bundle) -> None:
    found = Looker(classifier).classes(TEXT)
    for count in (0, 3, len(found["tokens"]) - 1):
        ids = [one["id"] for one in found["tokens"][1 : count + 1]]
        beginning = classifier.tokenizer.decode(ids)
        assert classifier.tokenizer.encode(beginning) == ids
        expected = classify(classifier.model, classifier.tokenizer, [beginning], classifier.runtime)
        assert found["probabilities"][count] == pytest.approx(expected[0].tolist(), abs=1e-5)


def test_what_lora_changed(classifier: Bundle, pretrained: Bundle) -> None:
    found = Looker(classifier).adapter()
    assert found["whole"] == ["head"]
    for layer in found["layers"]:
        if layer["name"] == "head":
            continue
        merged = classifier.model.get_submodule(layer["name"]).weight.detach()
        base = pretrained.model.get_submodule(layer["name"]).weight.detach()
        change = torch.linalg.svdvals((merged - base).double())
        assert layer["norm"] == pytest.approx(float((merged - base).norm()), rel=1e-3)
        assert layer["share"] == pytest.approx(layer["norm"] / float(base.norm()), rel=1e-3)
        assert layer["rank"] == 16
        assert layer["singular_values"] == pytest.approx(change[:16].tolist(), abs=1e-4)


@pytest.mark.parametrize("variant", ["some", "rslora", "dora"])
def test_what_an_adapter_of_peft_changed(pretrained: Bundle, tmp_path: Path, variant: str) -> None:
    """Of a folder in peft's form, whose first matrix is those of query, key and value together."""
    runtime, folder = default_runtime(), tmp_path / "base"
    fresh = Transformer(resolve(KINDS["gpt2"], pretrained.tokenizer.vocab_size))
    save_bundle(folder, fresh, pretrained.tokenizer, {"task": "pretrain"})
    base, adapted = load_bundle(folder, runtime), load_bundle(folder, runtime).model
    apply_lora(adapted, PEFT_VARIANTS[variant])
    generator = torch.Generator().manual_seed(7)
    for _, layer in lora_layers(adapted):
        torch.nn.init.normal_(layer.B, generator=generator)
        if layer.magnitude is not None:
            layer.magnitude.data *= 1.5
    family = family_of(adapted.config, None)
    export_peft(tmp_path / "theirs", adapted, family, 0.0, str(folder), "")
    alone = load_bundle(tmp_path / "theirs", runtime)
    beside = load_with_adapter(base.path, tmp_path / "theirs", runtime)
    for opened in (alone, beside):
        assert Looker(opened).about()["adapter"]
        found = Looker(opened).adapter()
        assert found["dora"] == (variant == "dora")
        changed = {one["name"] for one in found["layers"] if one["norm"]}
        assert changed == {name for name, _ in lora_layers(adapted)}
        for one in found["layers"]:
            own = base.model.get_submodule(one["name"]).weight.detach()
            merged = opened.model.get_submodule(one["name"]).weight.detach()
            assert one["norm"] == pytest.approx(float((merged - own).norm()), rel=1e-3)
            assert one["share"] == pytest.approx(one["norm"] / float(own.norm()), rel=1e-3)
            if variant != "dora":
                change = torch.linalg.svdvals((merged - own).double())
                assert one["singular_values"] == pytest.approx(
                    change[: one["rank"]].tolist(), abs=1e-4
                )


def test_singular_values_without_the_product() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(30, 20))
    apply_lora(model, LoRASettings(rank=4, alpha=12))
    layer: Any = model[0]
    torch.nn.init.normal_(layer.B, generator=torch.Generator().manual_seed(1))
    expected = torch.linalg.svdvals(layer.correction().double())[:4]
    found = singular_values(layer.A.detach(), layer.B.detach(), 3.0)
    assert torch.allclose(found, expected, atol=1e-6)


def test_tokenizers_side_by_side(pretrained: Bundle) -> None:
    columns = side_by_side(TEXT, pretrained.tokenizer, 300)
    names = ["the model's own", "words", "byte-level BPE", "WordPiece", "Unigram"]
    assert [one["name"] for one in columns] == names
    assert [t["id"] for t in columns[0]["tokens"]] == pretrained.tokenizer.encode(TEXT)
    assert [t["text"] for t in columns[1]["tokens"]][:3] == ["The", "fox", "lost"]
    assert "".join(t["text"] for t in columns[2]["tokens"]).replace("·", " ") == TEXT
    assert all("error" not in one for one in columns)
    for empty in ("", " \n "):
        shown = side_by_side(empty, pretrained.tokenizer, 300)
        assert all("tokens" in one for one in shown)


def test_windows_slide(pretrained: Bundle) -> None:
    found = sliding(TEXT, pretrained.tokenizer, 4, 6)
    assert found["windows"][:3] == [(0, 4), (6, 10), (12, 16)]
    assert found["left_out"] > 0
    assert sliding(TEXT, pretrained.tokenizer, 4, 4)["left_out"] in range(4)


@pytest.fixture(scope="module")
def client(pretrained: Bundle, classifier: Bundle) -> TestClient:
    models = {"pretrain": pretrained, "classify": classifier}
    app = FastAPI()

    def find(name: str | None) -> Bundle:
        from hornbook.errors import HornbookError

        if name is not None and name not in models:
            raise HornbookError(f"there is no model {name!r}.")
        return models[name or "pretrain"]

    app.include_router(explorer_router(find))
    return TestClient(app)


def test_about_says_what_there_is_to_see(client: TestClient) -> None:
    own = client.get("/api/explore/about").json()
    assert (own["task"], own["layers"], own["heads"], own["adapter"]) == ("pretrain", 3, 4, False)
    other = client.get("/api/explore/about", params={"model": "classify"}).json()
    assert other["adapter"]
    assert len(other["classes"]) == 12


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("tokens", {"text": "x" * (LONGEST_TEXT + 1)}, 422, "text"),
        ("tokens", {"text": "x", "vocab_size": 10**9}, 422, "vocab_size"),
        ("tokens", {"text": "a\ud800"}, 422, "text"),
        ("windows", {"text": "x", "max_length": 0, "stride": 1}, 422, "max_length"),
        ("windows", {"text": "one two", "max_length": 900, "stride": 1}, 400, "tokens"),
        ("attention", {"text": TEXT, "layer": 77}, 400, "layers 0 to 2"),
        ("steps", {"text": TEXT, "layer": 0, "head": 9}, 400, "heads 0 to 3"),
        ("next", {"text": TEXT, "temperature": -1}, 422, "temperature"),
        ("next", {"text": TEXT, "top_p": 0}, 422, "top_p"),
        ("next", {"text": TEXT, "tmeperature": 1}, 422, "tmeperature"),
        ("classes", {"text": TEXT}, 400, "cannot classify"),
        ("lens", {"text": TEXT, "model": "../../etc/passwd"}, 400, "no model"),
        ("lens", {"text": TEXT, "model": "classify"}, 400, "classifier"),
    ],
)
def test_bad_requests_are_refused_in_a_sentence(
    client: TestClient, path: str, body: dict[str, Any], status: int, said: str
) -> None:
    import json

    content = json.dumps(body).encode()
    answer = client.post(
        f"/api/explore/{path}", content=content, headers={"content-type": "application/json"}
    )
    assert answer.status_code == status
    assert said in answer.text


def test_long_texts_are_shown_in_part(client: TestClient) -> None:
    for path in ("attention", "lens"):
        found = client.post(
            f"/api/explore/{path}",
            json={"text": TEXT * 20, "layer": 0} if path == "attention" else {"text": TEXT * 20},
        )
        assert len(found.json()["tokens"]) == MOST_TOKENS
    assert client.post("/api/explore/next", json={"text": TEXT * 40}).status_code == 200
    assert client.post("/api/explore/attention", json={"text": "", "layer": 0}).status_code == 200
    assert client.get("/api/explore/neighbours", params={"token": 10**9}).status_code == 400
    assert client.get("/api/explore/adapter").status_code == 400
