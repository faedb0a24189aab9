"""Classifiers, exported: `transformers` gives the same probabilities, or they are refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hornbook.cli import _run
from hornbook.errors import HornbookError
from hornbook.pipeline.models.bundle import Bundle, default_runtime, load_bundle, save_bundle
from hornbook.pipeline.models.exporting import export_as_folder
from tests.pipeline.models.exported_models import (
    TEXT,
    random_model,
    small_config,
    trained_tokenizer,
)

transformers = pytest.importorskip("transformers")
TEXTS = ["Tom walked up the hill.", "", "old mill", TEXT * 3, "[EOS] is told as it is spelt"]
LABELS = ["ham", "spam", "a letter"]


def save_classifier(folder: Path, preset: str = "gpt2-mini", bias: bool = True, **facts: Any) -> Bundle:  # fmt: skip
    tokenizer = trained_tokenizer()
    changes = {"n_kv_heads": 2, "hidden_dim": 96} if preset == "modern-124m" else {}
    model = random_model(small_config(preset, tokenizer.vocab_size, **changes))
    model.head = nn.Linear(64, len(LABELS))
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        model.head.weight.normal_(generator=generator, std=0.3)
        model.head.bias.normal_(generator=generator).mul_(bias)
    own = {"task": "classify", "labels": LABELS, "max_length": 48, "pooling": "last", **facts}
    save_bundle(folder, model, tokenizer, own)
    return load_bundle(folder, default_runtime())


def probabilities(folder: Path, texts: list[str], many: bool) -> Any:
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    read = tokenizer(texts, return_tensors="pt", padding=True, truncation=True)
    with torch.no_grad():
        logits = model(input_ids=read.input_ids, attention_mask=read.attention_mask).logits
    return (logits.sigmoid() if many else logits.softmax(-1)).numpy()


@pytest.mark.parametrize(
    ("preset", "bias", "facts"),
    [
        ("gpt2-mini", True, {"temperature": 1.7}),
        ("gpt2-mini", True, {"many": True, "thresholds": [0.2, 0.5, 0.9]}),
        ("modern-124m", False, {}),
    ],
)
def test_probabilities_are_the_same(
    tmp_path: Path, preset: str, bias: bool, facts: dict[str, Any]
) -> None:
    bundle = save_classifier(tmp_path / "run" / "classify-full", preset, bias, **facts)
    texts = TEXTS[:-1]  # where control tokens are spelt, transformers reads them as such
    expected = bundle.classify(texts)
    assert expected.std(axis=0).min() > 0.02
    out = tmp_path / "out"
    assert _run(["export", "hf", str(bundle.path), str(out)]) == 0
    found = probabilities(out, texts, bool(facts.get("many")))
    np.testing.assert_allclose(found, expected, atol=2e-6)
    described = json.loads((out / "config.json").read_text())
    assert described["id2label"] == {str(n): label for n, label in enumerate(LABELS)}
    assert described["architectures"][0].endswith("ForSequenceClassification")
    assert not (out / "generation_config.json").exists()
    card = (out / "README.md").read_text()
    assert 'pipeline_tag: "text-classification"' in card
    assert "`a letter`" in card


def test_the_pipeline_on_the_card_gives_them_too(tmp_path: Path) -> None:
    bundle = save_classifier(tmp_path / "run" / "classify-full")
    export_as_folder(bundle.path, tmp_path / "out")
    classify = transformers.pipeline("text-classification", str(tmp_path / "out"), top_k=None)
    for text in (TEXTS[0], TEXTS[3]):
        found = {row["label"]: row["score"] for row in classify([text], truncation=True)[0]}
        expected = bundle.classify([text])[0]
        assert [found[label] for label in LABELS] == pytest.approx(list(expected), abs=2e-6)


@pytest.mark.parametrize(
    ("preset", "facts", "said"),
    [
        ("gpt2-mini", {"pooling": "mean"}, "reads the mean of a text's tokens"),
        ("gpt2-mini", {"pooling": "first"}, "reads the first of a text's tokens"),
        ("modern-124m", {}, "its head has a bias"),
        ("mini", {}, "token_shift"),
    ],
)
def test_what_transformers_has_not_is_refused(
    tmp_path: Path, preset: str, facts: dict[str, Any], said: str
) -> None:
    bundle = save_classifier(tmp_path / "run" / "classify-full", preset, **facts)
    with pytest.raises(HornbookError, match=said):
        export_as_folder(bundle.path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
