"""A folder whose model reads images too: its text model is loaded, and computes what it does there."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from hornbook.checkpoints.families.gemma3_text import FAMILY as GEMMA3
from hornbook.checkpoints.loading.folders import load_folder
from hornbook.checkpoints.loading.text_part import WITH_IMAGES
from hornbook.cli import _run
from hornbook.pipeline.models.exporting import export_as_folder
from hornbook.pipeline.models.parity import compare_layers, open_reference
from tests.checkpoints.tiny_families import COMMON, NO_TOKENS, write_words

transformers = pytest.importorskip("transformers")
VISION = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}
KINDS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "mistral3": ("ministral3", {**VISION, "model_type": "pixtral", "head_dim": 16}, {}),
    "gemma3": (
        "gemma3_text",
        {**VISION, "model_type": "siglip_vision_model"},
        {"mm_tokens_per_image": 4},
    ),
}


@pytest.fixture(params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    kind: str = request.param
    text, vision, more = KINDS[kind]
    config = transformers.AutoConfig.for_model(
        kind,
        text_config={"model_type": text, "head_dim": 12, **COMMON},
        vision_config=vision,
        image_token_index=40,
        tie_word_embeddings=kind == "gemma3",
        **more,
    )
    torch.manual_seed(3)
    model = transformers.AutoModelForImageTextToText.from_config(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" not in name:
                weight.normal_(std=0.2)
    model.save_pretrained(tmp_path / kind)
    write_words(tmp_path / kind)
    return tmp_path / kind


def test_its_text_model_is_loaded_and_leaves_alone(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model, reference = load_folder(folder).model, open_reference(folder)
    ids = torch.randint(39, (2, 30), generator=torch.Generator().manual_seed(3))
    found = compare_layers(model, reference, ids)
    assert len(found) == 3 * 3 + 2
    assert not [difference for difference in found if difference.departs]
    export_as_folder(folder, tmp_path / "text")
    assert "reads images too; its text model alone" in capfd.readouterr().out
    stated = json.loads((tmp_path / "text" / "config.json").read_text())
    assert stated["model_type"] == KINDS[folder.name][0]
    alone = open_reference(tmp_path / "text")
    assert not [d for d in compare_layers(model, alone, ids) if d.departs]
    assert _run(["verify", str(folder)]) == 0


def test_what_the_first_gemma_3_leaves_out_is_as_transformers_has_it() -> None:
    stated = {"model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10_240}
    stated |= {"num_hidden_layers": 34}
    theirs = transformers.AutoConfig.for_model(**stated, **NO_TOKENS).to_dict()
    ours = GEMMA3.read({**WITH_IMAGES["gemma3"], **stated}, "config.json")
    assert ours.model_dump() == GEMMA3.read(theirs, "config.json").model_dump()
