"""GGUF files, held to llama.cpp itself."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hornbook.checkpoints.export.gguf_file import modelfile, name_for
from hornbook.checkpoints.export.gguf_sentencepiece import (
    BYTES,
    is_sentencepiece,
    puts_space_ahead,
    scores,
)
from hornbook.checkpoints.export.gguf_vocabulary import GPT2, QWEN2, pattern_name
from hornbook.checkpoints.export.gguf_vocabulary import LLAMA3 as LLAMA3_PATTERN
from hornbook.checkpoints.export.vocabulary import Vocabulary
from hornbook.checkpoints.families.known import FAMILIES
from hornbook.errors import HornbookError
from hornbook.inference.generate import GenerationSettings, generate
from hornbook.pipeline.models.bundle import Bundle, default_runtime, load_bundle, save_bundle
from hornbook.pipeline.models.exporting import export_as_folder, export_as_gguf, vocabulary_of
from hornbook.tokenizing.settings import TokenizerSettings
from hornbook.tokenizing.tokenizer import Tokenizer
from tests.checkpoints.tiny_families import TINY, YARN
from tests.pipeline.models.exported_models import (
    TEXT,
    random_model,
    save_instruct,
    small_config,
    trained_tokenizer,
)

gguf = pytest.importorskip("gguf")
DATA = Path(__file__).parents[4] / "shared" / "data"
GREEDY = GenerationSettings(max_new_tokens=48, temperature=0.0)
LONG = {
    "rope_type": "longrope",
    "rope_theta": 100.0,
    "short_factor": [1.0, 1.1, 1.2],
    "long_factor": [1.5, 2.5, 4.0],
    "partial_rotary_factor": 0.75,
}
SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("gpt2", {}),
    "llama": ("llama", {}),
    "llama-biases": ("llama-biases", {"mlp_bias": False}),
    "llama3": ("llama3", {}),
    "llama-linear": ("llama-linear", {}),
    "llama-yarn": ("llama", {"rope_parameters": YARN}),
    "mistral-yarn": ("mistral-yarn", {"rope_parameters": {**YARN, "attention_factor": 1.3}}),
    "ministral": ("ministral", {"sliding_window": None}),
    "ministral3": ("ministral3", {}),
    "mixtral": ("mixtral", {"sliding_window": None}),
    "smollm3": ("smollm3", {"num_hidden_layers": 5, "no_rope_layer_interval": 4}),
    "qwen2": ("qwen2", {}),
    "qwen2-yarn": ("qwen2", {"rope_parameters": YARN}),
    "qwen3": ("qwen3", {}),
    "qwen3_moe": ("qwen3_moe", {"mlp_only_layers": []}),
    "olmo2": ("olmo2", {}),
    "olmo3": ("olmo3", {"num_hidden_layers": 5, "layer_types": None}),
    "gemma2": ("gemma2", {}),
    "gemma3_text": ("gemma3_text", {"num_hidden_layers": 7, "layer_types": None}),
    "phi3": ("phi3", {"sliding_window": None}),
    "phi3-short": (
        "phi3",
        {
            "sliding_window": None,
            "rope_parameters": LONG,
            "max_position_embeddings": 2048,
            "original_max_position_embeddings": 1024,
        },
    ),
}
"""Of the tiny models of families, what llama.cpp has; by a name of ours."""


@contextlib.contextmanager
def read_by_llama_cpp(path: Path) -> Iterator[object]:
    llama_cpp = pytest.importorskip("llama_cpp")
    llama = llama_cpp.Llama(
        str(path),
        n_ctx=128,
        logits_all=True,
        verbose=False,
        n_threads=1,
        type_k=llama_cpp.GGML_TYPE_F32,  # keys and values as exact as ours
        type_v=llama_cpp.GGML_TYPE_F32,
    )
    yield llama
    llama.close()


def save_shape(folder: Path, shape: str) -> Bundle:
    tokenizer = trained_tokenizer()
    model_type, fields = TINY[SHAPES[shape][0]]
    tree = {**fields, **SHAPES[shape][1], "vocab_size": tokenizer.vocab_size}
    config = FAMILIES[model_type].read(tree, shape)
    facts = {"task": "pretrain", "family": model_type}
    save_bundle(folder, random_model(config), tokenizer, facts)
    return load_bundle(folder, default_runtime())


def greedy(llama: object, ids: list[int], count: int) -> list[int]:
    written = []
    for token in llama.generate(ids, temp=0.0, repeat_penalty=1.0, top_k=1):  # type: ignore[attr-defined]
        written.append(token)
        if len(written) == count:
            return written
    return written


@pytest.mark.parametrize("shape", SHAPES)
def test_llama_cpp_reads_the_same_ids_and_writes_the_same_tokens(tmp_path, shape):
    bundle = save_shape(tmp_path / "run" / "pretrain", shape)
    path = export_as_gguf(tmp_path / "run" / "pretrain", tmp_path / "out", "f32")
    ids = bundle.tokenizer.encode(TEXT)
    with read_by_llama_cpp(path) as llama:
        assert llama.tokenize(TEXT.encode(), add_bos=False, special=False) == ids
        assert llama.tokenize(b" hi", add_bos=True) == bundle.tokenizer.encode(" hi")
        prompt = ids[:20]
        assert greedy(llama, prompt, 48) == list(generate(bundle.model, prompt, GREEDY))
        llama.reset()
        llama.eval(ids)
        theirs = torch.from_numpy(np.array(llama.scores[: len(ids)]))
    with torch.no_grad():
        ours = bundle.model(torch.tensor([ids]))[0]
    assert (theirs - ours).abs().max() < 1e-3 * ours.abs().max()


@pytest.mark.parametrize(
    ("shape", "kind", "most"),
    [
        ("llama", "f16", 0.01),
        ("llama", "bf16", 0.03),
        ("llama", "q8_0", 0.06),
        ("mixtral", "q8_0", 0.12),
        ("gemma2", "q8_0", 0.12),
        ("olmo3", "q8_0", 0.12),
        ("phi3", "q8_0", 0.12),
    ],
)
def test_narrow_weights_stay_close(tmp_path, shape, kind, most):
    bundle = save_shape(tmp_path / "run" / "pretrain", shape)
    path = export_as_gguf(tmp_path / "run" / "pretrain", tmp_path / "out", kind)
    kinds = {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(path).tensors}
    assert kinds["token_embd.weight"] == kind.upper()
    assert kinds["output_norm.weight"] == "F32"
    ids = bundle.tokenizer.encode(TEXT)[:30]
    with read_by_llama_cpp(path) as llama:
        llama.eval(ids)
        theirs = torch.from_numpy(np.array(llama.scores[: len(ids)]))
    with torch.no_grad():
        ours = bundle.model(torch.tensor([ids]))[0]
    assert (theirs - ours).std() < most * ours.std()


def test_the_chat_template_and_every_end_are_inside(tmp_path):
    save_instruct(tmp_path / "run" / "instruct")
    path = export_as_gguf(tmp_path / "run" / "instruct", tmp_path / "out", "q8_0")
    special = trained_tokenizer().special_tokens
    with read_by_llama_cpp(path) as llama:
        metadata = llama.metadata
        assert metadata["tokenizer.ggml.pre"] == "gpt-2"
        assert metadata["tokenizer.ggml.eos_token_id"] == str(special["[EOS]"])
        assert metadata["tokenizer.ggml.eot_token_id"] == str(special["[END]"])
        assert "[ASSISTANT]" in metadata["tokenizer.chat_template"]
        asked = [{"role": "user", "content": "Hi"}]
        llama.create_chat_completion(asked, max_tokens=4, temperature=0.0)
        said = llama.tokenize(b"[USER] Hi[END][ASSISTANT]", add_bos=False, special=True)
    assert said[0] == special["[USER]"]
    assert said[-1] == special["[ASSISTANT]"]
    lines = (tmp_path / "out" / "Modelfile").read_text().splitlines()
    marks = '{{ if eq .Role "user" }}[USER]{{ else if eq .Role "assistant" }}[ASSISTANT]'
    turns = (
        f"{{{{ range .Messages }}}}{marks}{{{{ else }}}}[SYSTEM]{{{{ end }}}} {{{{ .Content }}}}"
    )
    assert lines == [
        "FROM ./out-q8_0.gguf",
        f'TEMPLATE """{turns}[END]{{{{ end }}}}[ASSISTANT]"""',
        'PARAMETER stop "[EOS]"',
        'PARAMETER stop "[END]"',
    ]
    assert 'library_name: "gguf"' in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.skipif(not DATA.is_dir(), reason="shared data is not here")
def test_gpt2s_own_tokenizer_gives_the_same_ids(tmp_path):
    tokenizer = Tokenizer.from_gpt2(DATA / "gpt2-vocab.bpe", DATA / "gpt2-encoder.json")
    model = random_model(small_config("gpt2-mini", tokenizer.vocab_size, embed_dim=32))
    save_bundle(tmp_path / "run" / "pretrain", model, tokenizer, {"task": "pretrain"})
    path = export_as_gguf(tmp_path / "run" / "pretrain", tmp_path / "out", "q8_0")
    text = (DATA / "the-verdict.txt").read_text()[:3000] + "  \n\n\t x  12345 don't DON'T 你好 🙂"
    with read_by_llama_cpp(path) as llama:
        assert llama.tokenize(text.encode(), add_bos=False, special=False) == tokenizer.encode(text)


def test_a_name_with_phi_3_in_it_is_read_too(tmp_path):
    """llama.cpp goes by the name: it would look for tokens of Phi-3's that are not there."""
    bundle = save_shape(tmp_path / "run" / "pretrain", "phi3")
    path = export_as_gguf(tmp_path / "run" / "pretrain", tmp_path / "My-Phi-3", "f16")
    with read_by_llama_cpp(path) as llama:
        assert llama.metadata["general.name"] == "My-phi 3"
        assert llama.tokenize(TEXT.encode(), add_bos=False) == bundle.tokenizer.encode(TEXT)


def test_the_name_says_where_marks_take_the_space_after_them():
    marks = {"<unk>": False, "<s>": False, "</s>": True, "<|endoftext|>": False, "<|end|>": True}
    added = [
        {"id": number, "content": token, "rstrip": rstrip}
        for number, (token, rstrip) in enumerate(marks.items())
    ]
    phi3 = Vocabulary({"model": {"vocab": {}}, "added_tokens": added}, {}, (), None)
    assert name_for("phi3-mini", phi3) == "phi3-mini"
    assert name_for("mine", phi3) == "mine (Phi-3)"
    added[-1]["rstrip"] = False
    assert name_for("Phi3-mini", phi3) == "phi 3-mini"
    assert name_for("mine", phi3) == "mine"


ODD = "We're HERE'S 12345 67\n\n\n  x\t\ty  don't DON'T;;;\r\n ...naïve 你好 a1b22 (see [x])! " * 2


@pytest.mark.parametrize("name", ["llama-bpe", "qwen2", "smollm", "gpt-2"])
def test_the_patterns_of_published_tokenizers_give_the_same_ids(tmp_path, name):
    tokenizers = pytest.importorskip("tokenizers")
    before, whole = tokenizers.pre_tokenizers, tokenizers.models.BPE()
    first = {
        "llama-bpe": lambda: before.Split(tokenizers.Regex(LLAMA3_PATTERN), "isolated"),
        "qwen2": lambda: before.Split(tokenizers.Regex(QWEN2), "isolated"),
        "gpt-2": lambda: before.Split(tokenizers.Regex(GPT2), "isolated"),
        "smollm": lambda: before.Digits(individual_digits=True),
    }[name]()
    library = tokenizers.Tokenizer(whole)
    last = before.ByteLevel(add_prefix_space=False, use_regex=name == "smollm")
    library.pre_tokenizer = before.Sequence([first, last])
    library.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=before.ByteLevel.alphabet(),
        show_progress=False,
    )
    library.train_from_iterator([ODD, TEXT] * 3, trainer)
    tree = json.loads(library.to_str())
    tree["model"]["ignore_merges"] = name == "llama-bpe"
    assert pattern_name(tree) == name
    tokenizer = Tokenizer(tree, "test")
    model = random_model(small_config("gpt2-mini", tokenizer.vocab_size, n_layers=1))
    save_bundle(tmp_path / "run" / "pretrain", model, tokenizer, {"task": "pretrain"})
    path = export_as_gguf(tmp_path / "run" / "pretrain", tmp_path / "out", "f16")
    text = ODD + TEXT + "  999 I'LL\n \n"
    with read_by_llama_cpp(path) as llama:
        assert llama.tokenize(text.encode(), add_bos=False, special=False) == tokenizer.encode(text)


def sentencepiece(ahead: bool) -> dict[str, Any]:
    """A tokenizer.json as transformers makes it of a SentencePiece model, of Llama 2's or Gemma's kind."""
    tokenizers = pytest.importorskip("tokenizers")
    library = tokenizers.Tokenizer(tokenizers.models.BPE())
    library.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=300, show_progress=False)
    library.train_from_iterator([ODD, TEXT, "    spaces  in   rows    "] * 3, trainer)
    learnt = json.loads(library.to_str())["model"]
    rows = ["\u2581" * n for n in range(2, 5)]
    joined = list(dict.fromkeys([*("".join(pair) for pair in learnt["merges"]), *rows]))
    pieces = ["<unk>", "<s>", "</s>", *BYTES, *(p for p in learnt["vocab"] if len(p) == 1), *joined]
    vocab = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    merges = [
        [piece[:n], piece[n:]]
        for piece in joined
        for n in range(1, len(piece))
        if piece[:n] in vocab and piece[n:] in vocab
    ]
    normal = tokenizers.normalizers
    steps = [normal.Prepend("\u2581")] if ahead else []
    model = tokenizers.models.BPE(vocab, [tuple(m) for m in merges], unk_token="<unk>", byte_fallback=True, fuse_unk=True)  # fmt: skip
    library = tokenizers.Tokenizer(model)
    library.normalizer = normal.Sequence([*steps, normal.Replace(" ", "\u2581")])
    library.add_special_tokens(["<unk>", "<s>", "</s>"])
    return dict(json.loads(library.to_str()))


@pytest.mark.parametrize("ahead", [True, False])
def test_sentencepiece_gives_the_same_ids(tmp_path, ahead):
    tree = sentencepiece(ahead)
    tokenizer = Tokenizer(tree, "test")
    model = random_model(small_config("gpt2-mini", tokenizer.vocab_size, n_layers=1))
    save_bundle(tmp_path / "run" / "pretrain", model, tokenizer, {"task": "pretrain"})
    path = export_as_gguf(tmp_path / "run" / "pretrain", tmp_path / "out", "f16")
    text = ODD + TEXT + "  999 I'LL\n \n  rows       of spaces 🙂 \t"
    assert len(set(tokenizer.encode(text))) > 40
    with read_by_llama_cpp(path) as llama:
        for part in (text, text[7:], " a", "a", "🙂"):
            assert llama.tokenize(part.encode(), add_bos=False, special=False) == tokenizer.encode(
                part
            )


def test_a_sentencepiece_that_joins_otherwise_is_refused():
    tree = sentencepiece(True)
    assert is_sentencepiece(tree)
    assert min(scores_of(tree).values()) < max(scores_of(tree).values()) == 0.0
    for change, said in (
        (lambda t: t["model"]["merges"].pop(), "joins pieces"),
        (lambda t: t["model"]["merges"].append(t["model"]["merges"][0]), "joins pieces"),
        (lambda t: t["model"]["vocab"].pop("<0x0A>"), "covers rare characters"),
        (lambda t: t.update(normalizer={"type": "NFKC"}), "prepares text"),
        (lambda t: t.update(normalizer=None, pre_tokenizer={"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first"}), "prepares text"),
    ):  # fmt: skip
        tree = sentencepiece(True)
        change(tree)
        check = puts_space_ahead if said == "prepares text" else scores_of
        with pytest.raises(HornbookError, match=said):
            check(tree)


def scores_of(tree: dict[str, Any]) -> dict[str, float]:
    return scores(Vocabulary(tree, {}, (), None))


def test_what_llama_cpp_has_not_is_refused(tmp_path):
    save_shape(tmp_path / "run" / "pretrain", "gpt2")
    tokenizer = Tokenizer.train([TEXT] * 3, TokenizerSettings(algorithm="word", vocab_size=60))
    model = random_model(small_config("gpt2-mini", tokenizer.vocab_size))
    save_bundle(tmp_path / "words", model, tokenizer, {"task": "pretrain"})
    with pytest.raises(HornbookError, match="only BPE is written as GGUF"):
        export_as_gguf(tmp_path / "words", tmp_path / "out")
    with pytest.raises(HornbookError, match=r"llama\.cpp has no name for"):
        pattern_name({"pre_tokenizer": {"type": "Whitespace"}})
    with pytest.raises(HornbookError, match="unknown kind 'q4'"):
        export_as_gguf(tmp_path / "run" / "pretrain", tmp_path / "out", "q4")  # type: ignore[arg-type]
    exact = random_model(small_config("gpt2-mini", 320, mlp="gelu_exact"))
    save_bundle(tmp_path / "exact", exact, trained_tokenizer(), {"task": "pretrain"})
    with pytest.raises(HornbookError, match="does not compute a gpt2 model with"):
        export_as_gguf(tmp_path / "exact", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_modelfile_escapes_what_it_quotes(tmp_path):
    bundle = save_shape(tmp_path / "run" / "pretrain", "gpt2")
    text = modelfile("a.gguf", vocabulary_of(bundle))
    assert text == 'FROM ./a.gguf\nTEMPLATE "{{ .Prompt }}"\nPARAMETER stop "[EOS]"\n'


def test_a_folder_of_others_becomes_gguf(tmp_path):
    bundle = save_shape(tmp_path / "run" / "pretrain", "llama")
    export_as_folder(tmp_path / "run" / "pretrain", tmp_path / "folder")
    described = json.loads((tmp_path / "folder" / "config.json").read_text())
    assert described["model_type"] == "llama"
    path = export_as_gguf(tmp_path / "folder", tmp_path / "out", "f32")
    prompt = bundle.tokenizer.encode(TEXT)[:9]
    with read_by_llama_cpp(path) as llama:
        assert greedy(llama, prompt, 20) == list(generate(bundle.model, prompt, GREEDY))[:20]
    assert set(FAMILIES) >= {"gpt2", "llama", "qwen2", "qwen3"}
