"""Adapters in peft's form, both ways, held to `peft` and to llama.cpp."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hornbook.checkpoints.export.huggingface import export_folder, exportable
from hornbook.checkpoints.export.vocabulary import Vocabulary
from hornbook.checkpoints.families.known import FAMILIES
from hornbook.errors import HornbookError
from hornbook.finetuning.gguf_adapter import export_gguf_adapter
from hornbook.finetuning.lora import LoRASettings, apply_lora, lora_layers
from hornbook.finetuning.peft_folder import export_peft, load_peft
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from tests.pipeline.models.exported_models import random_model, small_config, trained_tokenizer

peft = pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")

IDS = torch.randint(0, 320, (2, 17), generator=torch.Generator().manual_seed(1))
SIZES = {"n_kv_heads": 2, "hidden_dim": 96}
VARIANTS = {
    "plain": LoRASettings(rank=3, alpha=7.0),
    "some": LoRASettings(rank=2, alpha=5.0, targets=("value", "up"), ranks={"up": 4}),
    "rslora": LoRASettings(rank=4, alpha=3.0, rank_stabilized=True),
    "dora": LoRASettings(rank=2, alpha=4.0, dora=True),
    "dora-some": LoRASettings(rank=2, alpha=4.0, dora=True, targets=("query", "down")),
}


def tiny(preset: str) -> Transformer:
    vocab = trained_tokenizer().vocab_size
    return random_model(small_config(preset, vocab, **(SIZES if preset == "modern-124m" else {})))


def adapted(preset: str, settings: LoRASettings) -> Transformer:
    model = tiny(preset)
    apply_lora(model, settings)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for _, layer in lora_layers(model):
            layer.B.copy_(torch.randn(layer.B.shape, generator=generator) * 0.3)
            if layer.magnitude is not None:
                layer.magnitude.mul_(
                    1 + 0.2 * torch.rand(layer.magnitude.shape, generator=generator)
                )
    return model.eval()


def vocabulary() -> Vocabulary:
    tokenizer = trained_tokenizer()
    return Vocabulary(tokenizer.tree, tokenizer.role_spellings, (1,), None)


def export_base(folder: Path, preset: str) -> Path:
    model = tiny(preset)
    export_folder(folder, model, exportable(model.config, FAMILIES), vocabulary(), "")
    return folder


def close(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    return bool((ours - theirs).abs().max() < 2e-5 * theirs.abs().max())


@pytest.mark.parametrize("preset", ["gpt2-mini", "modern-124m"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_peft_gives_the_same_logits_and_what_it_saves_comes_back(tmp_path, preset, variant):
    model = adapted(preset, VARIANTS[variant])
    family = exportable(model.config, FAMILIES)
    base = export_base(tmp_path / "base", preset)
    export_peft(tmp_path / "adapter", model, family, 0.0, str(base), "card")
    with torch.no_grad():
        ours = model(IDS)
        assert not close(tiny(preset)(IDS), ours)
        loaded = transformers.AutoModelForCausalLM.from_pretrained(base)
        theirs = peft.PeftModel.from_pretrained(loaded, tmp_path / "adapter")
        assert close(theirs(IDS).logits, ours)
        theirs.save_pretrained(tmp_path / "saved")
        again = tiny(preset)
        load_peft(tmp_path / "saved", again, family)
        assert close(again(IDS), ours)


@pytest.mark.parametrize(
    ("family", "targets", "more"),
    [
        ("gpt2", ["c_attn", "c_fc"], {}),
        ("gpt2", ["c_proj"], {"use_dora": True}),
        ("qwen3", "all-linear", {"use_rslora": True, "alpha_pattern": {"q_proj": 2}}),
        ("qwen3", ["q_proj", "down_proj"], {"rank_pattern": {"layers.1.mlp.down_proj": 5}}),
    ],
)
def test_an_adapter_that_peft_made_gives_its_logits_here(tmp_path, family, targets, more):
    preset = "gpt2-mini" if family == "gpt2" else "modern-124m"
    base = export_base(tmp_path / "base", preset)
    loaded = transformers.AutoModelForCausalLM.from_pretrained(base)
    transposed = family == "gpt2"
    config = peft.LoraConfig(
        r=4, lora_alpha=6, target_modules=targets, fan_in_fan_out=transposed, init_lora_weights=False, **more
    )  # fmt: skip
    torch.manual_seed(3)
    theirs = peft.get_peft_model(loaded, config).eval()
    theirs.save_pretrained(tmp_path / "adapter")
    ours = tiny(preset)
    load_peft(tmp_path / "adapter", ours, FAMILIES[family])
    with torch.no_grad():
        assert close(ours(IDS), theirs(IDS).logits)


@pytest.mark.parametrize(
    ("tied", "whole"),
    [(False, ["lm_head", "embed_tokens"]), (False, ["norm"]), (True, ["post_attention_layernorm"])],
)
def test_what_peft_trained_whole_takes_the_bases_place(tmp_path, tied, whole):
    vocab = trained_tokenizer().vocab_size
    model = random_model(small_config("modern-124m", vocab, tied_embeddings=tied, **SIZES))
    family = exportable(model.config, FAMILIES)
    export_folder(tmp_path / "base", model, family, vocabulary(), "")
    loaded = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    config = peft.LoraConfig(
        r=2, target_modules=["q_proj"], init_lora_weights=False, modules_to_save=whole
    )
    theirs = peft.get_peft_model(loaded, config).eval()
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if "modules_to_save" in name:
                parameter.mul_(1.3).add_(0.1)
        theirs.save_pretrained(tmp_path / "adapter")
        before = model(IDS)
        load_peft(tmp_path / "adapter", model, family)
        assert close(model(IDS), theirs(IDS).logits)
        assert not close(model(IDS), before)


@pytest.mark.filterwarnings("ignore:Model has .tie_word_embeddings")
def test_one_end_of_two_that_share_a_matrix_is_not_replaced(tmp_path):
    base = export_base(tmp_path / "base", "modern-124m")
    loaded = transformers.AutoModelForCausalLM.from_pretrained(base)
    config = peft.LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["embed_tokens"])
    peft.get_peft_model(loaded, config).save_pretrained(tmp_path / "adapter")
    with pytest.raises(HornbookError, match="whose two ends share a matrix"):
        load_peft(tmp_path / "adapter", tiny("modern-124m"), FAMILIES["qwen3"])


def test_what_is_not_a_plain_lora_is_refused(tmp_path):
    model = adapted("gpt2-mini", VARIANTS["plain"])
    family = FAMILIES["gpt2"]
    export_peft(tmp_path / "a", model, family, 0.0, "base", "card")
    path = tmp_path / "a" / "adapter_config.json"
    good = json.loads(path.read_text())
    for changes, said in (
        ({"peft_type": "IA3"}, "peft_type"),
        ({"bias": "all"}, "without biases"),
        ({"r": "8"}, ": r: "),
        ({"modules_to_save": ["lm_head"]}, "lacks lm_head, which adapter_config.json says"),
        ({"init_lora_weights": "pissa_niter_4"}, "has changed the base model too"),
        ({"r": 5, "rank_pattern": {}}, "is \\(9, 64\\), expected"),
    ):
        path.write_text(json.dumps({**good, **changes}))
        with pytest.raises(HornbookError, match=said):
            load_peft(tmp_path / "a", tiny("gpt2-mini"), family)
    path.write_text("{")
    with pytest.raises(HornbookError, match="cannot be read as JSON"):
        load_peft(tmp_path / "a", tiny("gpt2-mini"), family)
    path.write_text(json.dumps(good))
    with pytest.raises(HornbookError, match="which a qwen3 model like this has not"):
        load_peft(tmp_path / "a", tiny("modern-124m"), FAMILIES["qwen3"])
    with pytest.raises(HornbookError, match="overwrites nothing"):
        export_peft(tmp_path / "a", model, family, 0.0, "base", "card")
    with pytest.raises(HornbookError, match="carries no LoRA adapter"):
        export_peft(tmp_path / "b", tiny("gpt2-mini"), family, 0.0, "base", "card")


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_llama_cpp_reads_an_adapter(tmp_path, family):
    llama_cpp = pytest.importorskip("llama_cpp")
    pytest.importorskip("gguf")
    from hornbook.checkpoints.export.gguf_file import export_gguf

    block = {"norm": "rmsnorm", "mlp": "swiglu", "positions": "rotary", "hidden_dim": 96}
    shape = {**block, "bias": False, "qkv_bias": False} if family == "llama" else {}
    tree = {**small_config("gpt2-mini", trained_tokenizer().vocab_size).model_dump(), **shape}
    model = random_model(ModelConfig(**tree))
    base = export_gguf(tmp_path / "base", model, FAMILIES[family], vocabulary(), "", "f32")
    apply_lora(model, LoRASettings(rank=3, alpha=7.0))
    for _, layer in lora_layers(model):
        layer.B.data.normal_(std=0.2, generator=torch.Generator().manual_seed(1))
    adapter = export_gguf_adapter(tmp_path / "adapter", model, FAMILIES[family], "")
    ids = IDS[0].tolist()
    llama = llama_cpp.Llama(
        str(base), lora_path=str(adapter), n_ctx=128, logits_all=True, verbose=False, n_threads=1,
        type_k=llama_cpp.GGML_TYPE_F32, type_v=llama_cpp.GGML_TYPE_F32,
    )  # fmt: skip
    llama.eval(ids)
    theirs = torch.from_numpy(np.array(llama.scores[: len(ids)]))
    llama.close()
    with torch.no_grad():
        ours = model.eval()(IDS[:1])[0]
    assert (theirs - ours).abs().max() < 2e-3 * ours.abs().max()
