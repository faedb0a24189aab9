"""A classifier reads the last real token, whatever the batch; its head and freezing."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hornbook.corpus.tables import Labelled
from hornbook.errors import HornbookError
from hornbook.finetuning.adapter import load_adapter, save_adapter
from hornbook.finetuning.classification import (
    ClassificationSettings,
    TrainMode,
    classification_dataset,
    classify,
    encode_texts,
    label_splits,
    prepare_classifier,
    split_labelled,
)
from hornbook.finetuning.lora import LoRASettings, lora_parameters
from hornbook.model.config import ModelConfig
from hornbook.model.presets import ModelSettings, resolve
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime
from hornbook.sampling.batch import IGNORE
from hornbook.tokenizing.tokenizer import Tokenizer, TokenizerSettings

RUNTIME = Runtime(torch.device("cpu"), torch.float32, 0, "test")
TEXTS = ["the cat sat", "", "a dog ran far away from the old red house", "no"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(TEXTS, TokenizerSettings(algorithm="bpe", vocab_size=300))


def tiny(vocab_size: int, seed: int = 0) -> Transformer:
    config = ModelConfig(
        vocab_size=vocab_size, context_length=24, embed_dim=16, n_layers=2, n_heads=2
    )
    return Transformer(config, torch.Generator().manual_seed(seed))


def test_lora_on_every_linear_of_gpt2_small_counts_2666528() -> None:
    """LLMs-from-scratch, appendix E: rank 16 on GPT-2 small with a head of two classes."""
    config = resolve(ModelSettings(preset="gpt2-small"), vocab_size=50257)
    with torch.device("meta"):
        model = Transformer(config)
    settings = LoRASettings(rank=16, targets=("all-linear", "head"))
    adapted = prepare_classifier(model, 2, "lora", settings)
    assert len(adapted) == 12 * 6 + 1
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trainable == sum(p.numel() for p in lora_parameters(model)) == 2_666_528


def test_the_class_is_the_target_of_the_last_real_token_only(tokenizer: Tokenizer) -> None:
    examples, report = classification_dataset(TEXTS, [3, 1, 2, 0], tokenizer, max_length=24)
    inputs, targets = examples.collate([0, 1, 2, 3])
    assert report.warning() is None
    for row, (text, target) in enumerate(zip(TEXTS, [3, 1, 2, 0], strict=True)):
        last = len(tokenizer.encode(text))  # the start token stands before
        assert inputs[row, 0] == tokenizer.bos_id
        assert targets[row, last] == target
        assert (targets[row] != IGNORE).sum() == 1


def test_long_texts_are_cut_and_counted(tokenizer: Tokenizer) -> None:
    rows, report = encode_texts(TEXTS, tokenizer, max_length=4)
    assert max(map(len, rows)) == 4
    assert rows[1] == [tokenizer.bos_id]
    assert report.shortened == sum(len(tokenizer.encode(text)) > 3 for text in TEXTS) > 0
    warning = report.warning()
    assert warning is not None
    assert f"{report.shortened} shortened of 4 examples" in warning


@pytest.mark.parametrize("batch_tokens", [1, 24, 4096])
def test_batched_equals_one_text_at_a_time(tokenizer: Tokenizer, batch_tokens: int) -> None:
    model = tiny(tokenizer.vocab_size)
    prepare_classifier(model, 3, "full", seed=5)
    model.head.weight.data.mul_(50)  # far from uniform, so that an order mixed up would show
    found = classify(model, tokenizer, TEXTS, RUNTIME, batch_tokens)
    assert found.shape == (4, 3)
    assert model.training
    for row, text in zip(found, TEXTS, strict=True):
        ids = torch.tensor([[tokenizer.bos_id, *tokenizer.encode(text)]])
        alone = F.softmax(model(ids)[0, -1].double(), dim=-1)
        torch.testing.assert_close(torch.tensor(row), alone, rtol=1e-5, atol=1e-6)
    assert classify(model, tokenizer, [], RUNTIME).shape == (0, 3)


@pytest.mark.parametrize(
    ("mode", "trained"),
    [
        ("head", {"head"}),
        ("last-block", {"head", "norm", "blocks.1"}),
        ("full", {"head", "norm", "blocks.0", "blocks.1", "embedding"}),
    ],
)
def test_what_each_mode_trains(mode: TrainMode, trained: set[str]) -> None:
    model = tiny(300)
    assert prepare_classifier(model, 2, mode) == []
    expected = {
        name for name, _ in model.named_parameters() if any(name.startswith(t) for t in trained)
    }
    assert {name for name, p in model.named_parameters() if p.requires_grad} == expected


def test_lora_trains_a_b_and_the_head_and_leaves_the_embedding_alone() -> None:
    model = tiny(300)
    embedding = model.embedding.token.weight.clone()
    adapted = prepare_classifier(model, 2, "lora", LoRASettings(rank=2))
    assert len(adapted) == 12
    assert model.head.weight.requires_grad
    assert not model.embedding.token.weight.requires_grad
    assert torch.equal(model.embedding.token.weight, embedding)


@pytest.mark.parametrize("targets", [("all-linear",), ("query", "head")])
def test_an_adapted_classifier_comes_back_on_the_plain_base(
    tokenizer: Tokenizer, tmp_path: Path, targets: tuple[str, ...]
) -> None:
    settings = LoRASettings(rank=2, targets=targets)
    model = tiny(tokenizer.vocab_size)  # embedding and head are one matrix, until the head goes
    prepare_classifier(model, 3, "lora", settings)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += torch.randn(
                parameter.shape, generator=torch.Generator().manual_seed(3)
            )
    save_adapter(tmp_path / "adapter", model, settings, "base")
    restored = tiny(tokenizer.vocab_size)
    load_adapter(tmp_path / "adapter", restored)
    expected = classify(model, tokenizer, TEXTS, RUNTIME)
    assert np.array_equal(classify(restored, tokenizer, TEXTS, RUNTIME), expected)
    with pytest.raises(HornbookError, match="another model"):
        load_adapter(tmp_path / "adapter", tiny(tokenizer.vocab_size, seed=1))


def test_the_seed_decides_the_head() -> None:
    heads = []
    for seed in (1, 1, 2):
        model = tiny(300)
        prepare_classifier(model, 2, "full", seed=seed)
        heads.append(model.head.weight)
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_split_finds_the_classes_and_balances() -> None:
    examples = [Labelled(f"text {i}", "rare" if i % 5 == 0 else "common") for i in range(100)]
    settings = ClassificationSettings(imbalance="undersample", validation_share=0.1, test_share=0.2)
    splits = split_labelled(examples, settings, seed=1)
    assert splits.classes == ("common", "rare")
    assert [len(s) for s in (splits.train, splits.validation, splits.test)] == [28, 4, 8]
    everything = splits.train + splits.validation + splits.test
    assert sum(splits.targets(everything)) == 20


def test_one_class_or_an_unknown_one_is_refused() -> None:
    ham, spam, eggs = (Labelled("x", label) for label in ("ham", "spam", "eggs"))
    with pytest.raises(HornbookError, match=r"1 class \(ham\)"):
        label_splits([ham, ham], [], [])
    with pytest.raises(HornbookError, match=r"test set has the label 'eggs'.*ham, spam"):
        label_splits([ham, spam], [ham], [eggs])


def test_a_tokenizer_without_a_start_token_is_refused(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tokenizer, "bos_id", None)
    assert encode_texts([""], tokenizer, 4)[0] == [[tokenizer.eos_id]]
    monkeypatch.setattr(Tokenizer, "eos_id", None)
    with pytest.raises(HornbookError, match="neither"):
        encode_texts([""], tokenizer, 4)
