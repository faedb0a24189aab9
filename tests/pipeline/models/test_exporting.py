"""Exported folders, held to `transformers`."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from hornbook.checkpoints.export.huggingface import export_folder, exportable
from hornbook.checkpoints.families.known import FAMILIES
from hornbook.checkpoints.store import LoadedModel
from hornbook.errors import HornbookError
from hornbook.finetuning.lora import LoRASettings, apply_lora, lora_layers
from hornbook.model.presets import PRESETS, ModelSettings, resolve
from hornbook.pipeline.models.bundle import (
    default_runtime,
    load_bundle,
    save_adapter_bundle,
    save_bundle,
)
from hornbook.pipeline.models.exporting import (
    export_adapter,
    export_as_folder,
    export_as_gguf,
    vocabulary_of,
)
from hornbook.tokenizing.templates import Message, encode_conversation
from tests.pipeline.models.exported_models import (
    TEXT,
    save_instruct,
    small_config,
    trained_tokenizer,
)

IDS = torch.randint(0, 300, (2, 40), generator=torch.Generator().manual_seed(1))
MODERN = {"n_kv_heads": 2, "hidden_dim": 96}


@pytest.mark.parametrize(
    ("preset", "changes", "family"),
    [("gpt2-mini", {}, "gpt2"), ("modern-124m", MODERN, "qwen3")],
)
def test_transformers_loads_a_folder_with_identical_logits(tmp_path, preset, changes, family):
    transformers = pytest.importorskip("transformers")
    ours = save_instruct(tmp_path / "run" / "instruct", preset, **changes)
    out = tmp_path / "out"
    export_as_folder(tmp_path / "run" / "instruct", out)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(out)
    assert theirs.config.model_type == family
    with torch.no_grad():
        logits, expected = theirs(IDS).logits, ours(IDS)
    assert torch.allclose(logits, expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())
    tokenizer = trained_tokenizer()
    fast = transformers.AutoTokenizer.from_pretrained(out)
    assert fast.encode(TEXT, add_special_tokens=False) == tokenizer.encode(TEXT)
    assert (fast.eos_token, fast.pad_token) == ("[EOS]", "[PAD]")
    written = fast.apply_chat_template(
        [{"role": "user", "content": "Where is Tom?"}],
        add_generation_prompt=True,
        return_dict=False,
    )
    asked = [Message("user", "Where is Tom?")]
    assert written == encode_conversation(tokenizer, asked, "hornbook", True).ids
    ends = [tokenizer.special_tokens["[EOS]"], tokenizer.special_tokens["[END]"]]
    assert theirs.generation_config.eos_token_id == ends


def test_a_folder_comes_back_as_the_same_model(tmp_path):
    ours = save_instruct(tmp_path / "run" / "instruct")
    export_as_folder(tmp_path / "run" / "instruct", tmp_path / "out")
    bundle = load_bundle(tmp_path / "out", default_runtime())
    assert torch.equal(bundle.model(IDS), ours(IDS))
    assert bundle.tokenizer.fingerprint == trained_tokenizer().fingerprint
    assert bundle.facts["template"] == "tokenizer"
    again = vocabulary_of(bundle)
    first = vocabulary_of(load_bundle(tmp_path / "run" / "instruct", default_runtime()))
    assert again == replace(first, go_template=None)  # a tokenizer's own template is Jinja alone


def test_narrow_weights_in_several_files_load_too(tmp_path):
    transformers = pytest.importorskip("transformers")
    save_instruct(tmp_path / "run" / "instruct")
    bundle = load_bundle(tmp_path / "run" / "instruct", default_runtime())
    family, vocabulary = FAMILIES["gpt2"], vocabulary_of(bundle)
    out = tmp_path / "out"
    export_folder(out, bundle.model, family, vocabulary, "", torch.bfloat16, shard_bytes=50_000)
    files = sorted(out.glob("*.safetensors"))
    assert len(files) > 2
    assert files[0].name == f"model-00001-of-{len(files):05}.safetensors"
    assert all(file.stat().st_size < 60_000 for file in files)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(out)
    assert theirs.dtype == torch.bfloat16
    logits = theirs.float()(IDS).logits
    assert torch.equal(load_bundle(out, default_runtime()).model(IDS).argmax(-1), logits.argmax(-1))


def test_the_card_says_what_the_model_was_made_of(tmp_path):
    save_instruct(tmp_path / "run" / "instruct")
    export_as_folder(tmp_path / "run" / "instruct", tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert card.startswith('---\nlibrary_name: "transformers"\n')
    for said in (
        'license: "cc0-1.0"',
        "sample-world",
        "| validation_loss | 1.25 (1.2 to 1.3) |",
        "| held_out: loss | 1.5 (1.4 to 1.7) |",
        "'hornbook'",
    ):
        assert said in card


def test_the_card_of_a_model_made_elsewhere_says_nothing_of_what_lies_beside_it(tmp_path):
    save_instruct(tmp_path / "run" / "instruct")
    export_as_folder(tmp_path / "run" / "instruct", tmp_path / "theirs")
    (tmp_path / "recipe.toml").write_text('[corpus]\nsource = "mine"\nlicence = "mit"\n')
    export_as_folder(tmp_path / "theirs", tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert 'license: "other"' in card
    assert "What the model learnt from is stated where it was made." in card
    assert "`mine`" not in card
    assert "## Settings" not in card


def test_numbers_too_large_for_float16_are_refused(tmp_path):
    model = save_instruct(tmp_path / "run" / "instruct")
    with torch.no_grad():
        model.blocks[1].feedforward.up.weight[0, 0] = 70_000.0
    facts = {"task": "pretrain"}
    save_bundle(tmp_path / "run" / "large", model, trained_tokenizer(), facts)
    with pytest.raises(HornbookError, match=r"h\.1\.mlp\.c_fc\.weight has numbers beyond 65,504"):
        export_as_folder(tmp_path / "run" / "large", tmp_path / "out", "float16")
    with pytest.raises(HornbookError, match=r"blk\.1\.ffn_up\.weight has numbers beyond 65,504"):
        export_as_gguf(tmp_path / "run" / "large", tmp_path / "out", "f16")
    assert not (tmp_path / "out").exists()
    export_as_folder(tmp_path / "run" / "large", tmp_path / "out", "bfloat16")


def test_nothing_is_overwritten(tmp_path):
    save_instruct(tmp_path / "run" / "instruct")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(HornbookError, match="an export overwrites nothing"):
        export_as_folder(tmp_path / "run" / "instruct", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_a_model_that_no_family_has_is_refused_with_what_to_set(tmp_path):
    tokenizer = trained_tokenizer()
    save_instruct(tmp_path / "run" / "instruct", "mini")
    with pytest.raises(
        HornbookError, match=r"model\.token_shift=True.*modern-124m can be exported"
    ):
        export_as_folder(tmp_path / "run" / "instruct", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    model = save_instruct(tmp_path / "c" / "x")
    model.head = torch.nn.Linear(64, 2)
    facts = {"task": "classify", "labels": ["ham", "spam"]}
    save_bundle(tmp_path / "c" / "y", model, tokenizer, facts)
    with pytest.raises(HornbookError, match="holds a language model"):
        export_as_gguf(tmp_path / "c" / "y", tmp_path / "out")


def test_the_presets_that_are_said_to_be_exportable_are(tmp_path):
    for preset in PRESETS:
        config = resolve(ModelSettings(preset=preset), 1000)
        if preset.startswith("gpt2") or preset in ("modern-124m", "experts-mini"):
            exportable(config, FAMILIES)
        else:
            with pytest.raises(HornbookError, match="can be exported"):
                exportable(config, FAMILIES)


def test_stored_tensors_of_a_tied_model_are_stored_once(tmp_path: Path) -> None:
    save_instruct(tmp_path / "run" / "instruct")
    export_as_folder(tmp_path / "run" / "instruct", tmp_path / "out", "float16")
    with safe_open(tmp_path / "out" / "model.safetensors", framework="pt") as file:
        assert "lm_head.weight" not in file.keys()  # noqa: SIM118
        assert file.get_tensor("transformer.wte.weight").dtype == torch.float16
    stated = json.loads((tmp_path / "out" / "config.json").read_text())
    assert stated["torch_dtype"] == "float16"
    assert small_config("gpt2-mini", 320).vocab_size == stated["vocab_size"]


def test_an_adapter_goes_out_alone_and_comes_back_merged(tmp_path):
    peft = pytest.importorskip("peft")
    transformers = pytest.importorskip("transformers")
    run, tokenizer = tmp_path / "run", trained_tokenizer()
    model = save_instruct(run / "pretrain", template="chatml")
    settings = LoRASettings(rank=2, alpha=4.0, dropout=0.1)
    base = load_bundle(run / "pretrain", default_runtime())
    apply_lora(model, settings)
    for _, layer in lora_layers(model):
        layer.B.data.normal_(generator=torch.Generator().manual_seed(2))
    loaded = LoadedModel(base.model, base.manifest, base.facts, run / "pretrain" / "model")
    facts = {"task": "instruct", "template": "hornbook"}
    save_adapter_bundle(run / "instruct-lora", model, tokenizer, facts, settings, loaded)
    export_as_folder(run / "pretrain", tmp_path / "base")
    export_adapter(run / "instruct-lora", tmp_path / "adapter", str(tmp_path / "base"))
    expected = model.eval()(IDS)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    theirs = peft.PeftModel.from_pretrained(theirs, tmp_path / "adapter")
    assert torch.allclose(theirs(IDS).logits, expected, atol=1e-4 * expected.abs().max().item())
    again = load_bundle(tmp_path / "adapter", default_runtime())
    assert torch.allclose(again.model(IDS), expected, atol=1e-4 * expected.abs().max().item())
    merged = tmp_path / "merged"
    export_as_folder(run / "instruct-lora", merged)
    logits = transformers.AutoModelForCausalLM.from_pretrained(merged)(IDS).logits
    assert torch.allclose(logits, expected, atol=1e-4 * expected.abs().max().item())
    assert 'library_name: "peft"' in (tmp_path / "adapter" / "README.md").read_text()
    # As peft's users expect: the adapter's folder brings the tokenizer and its chat template.
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "adapter")
    asked = [{"role": "user", "content": "Name a cat. <|end|>"}]
    prompt = theirs.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    bundle = load_bundle(run / "instruct-lora", default_runtime())
    template = bundle.facts["template"]
    question = [Message("user", "Name a cat.")]
    wanted = encode_conversation(bundle.tokenizer, question, template, add_answer_prompt=True).ids
    plain = prompt.replace(" <|end|>", "")
    assert theirs(plain, add_special_tokens=False)["input_ids"] == wanted
    with pytest.raises(HornbookError, match="has no adapter/ in it"):
        export_adapter(run / "pretrain", tmp_path / "x", None)


def test_the_verbs_write_what_they_say(tmp_path, capsys):
    from hornbook.cli import _run

    save_instruct(tmp_path / "run" / "instruct")
    source, out = str(tmp_path / "run" / "instruct"), str(tmp_path / "out")
    assert _run(["export", "hf", source, out, "--dtype", "bfloat16"]) == 0
    assert f"Written: {out}" in capsys.readouterr().out
    assert _run(["export", "hf", source, out]) == 2
    assert "an export overwrites nothing" in capsys.readouterr().err
    assert _run(["export", "hf", source, f"{out}2", "--dtype", "int4"]) == 2
    assert "expected one of float32" in capsys.readouterr().err
    assert _run(["extend-vocabulary", out, f"{out}3", "<|im_end|>"]) == 0
    assert _run(["generate", f"{out}3", "The hill", "max_new_tokens=3", "--weights", "int8"]) == 0
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()}
    assert modes == {0o644}
