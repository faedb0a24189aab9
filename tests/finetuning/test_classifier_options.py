"""Class weights, several labels a text, pooling, batches by length: against torch and by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hornbook.corpus.tables import Labelled
from hornbook.errors import HornbookError
from hornbook.finetuning.classification import (
    ClassificationSettings,
    classification_dataset,
    classify,
    label_splits,
    prepare_classifier,
    read_splits,
)
from hornbook.finetuning.criteria import ManyLabels, WeightedClasses, class_weights, yes_weights
from hornbook.finetuning.lengths import BucketedExamples, batches_by_length
from hornbook.finetuning.lora import LoRASettings
from hornbook.finetuning.pooling import pool
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime
from hornbook.sampling.batch import IGNORE, Batch
from hornbook.sampling.loader import Loader
from hornbook.tokenizing.tokenizer import Tokenizer, TokenizerSettings
from hornbook.training.objective import check_ids, loss_sum

RUNTIME = Runtime(torch.device("cpu"), torch.float32, 0, "test")
TEXTS = ["the cat sat", "", "a dog ran far away from the old red house", "no"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(TEXTS, TokenizerSettings(algorithm="bpe", vocab_size=300))


def tiny(vocab_size: int) -> Transformer:
    config = ModelConfig(
        vocab_size=vocab_size, context_length=24, embed_dim=16, n_layers=2, n_heads=2
    )
    return Transformer(config, torch.Generator().manual_seed(0))


def batch_of(tokenizer: Tokenizer, targets: list[int]) -> Batch:
    examples, _ = classification_dataset(TEXTS, targets, tokenizer, 24)
    return Batch(*examples.collate([0, 1, 2, 3]), 1)


@pytest.mark.parametrize("lora", [False, True])
def test_weighted_classes_equal_torchs_weighted_cross_entropy(
    tokenizer: Tokenizer, lora: bool
) -> None:
    model, targets = tiny(tokenizer.vocab_size), [0, 2, 1, 0]
    settings = LoRASettings(rank=2, targets=("all-linear", "head"))
    prepare_classifier(model, 3, "lora" if lora else "full", settings)
    batch = batch_of(tokenizer, targets)
    logits = model.head(model.hidden(batch.inputs)[batch.targets != IGNORE])
    model.criterion = WeightedClasses([0.5, 2.0, 3.0])
    loss, count = loss_sum(model, batch)
    weight = torch.tensor([0.5, 2.0, 3.0])
    expected = F.cross_entropy(logits, torch.tensor(targets), weight, reduction="sum")
    torch.testing.assert_close(loss, expected)
    assert count == 4


def test_every_class_weighs_the_same() -> None:
    targets = [0] * 6 + [1] * 3 + [2]
    weights = np.array(class_weights(targets, 3))
    assert np.bincount(targets) * weights == pytest.approx([10 / 3] * 3)
    assert weights[targets].mean() == pytest.approx(1.0)
    assert yes_weights([0b01, 0b01, 0b11, 0b01], 2) == [pytest.approx(0.25), 3.0]


def test_several_labels_are_asked_one_by_one(tokenizer: Tokenizer) -> None:
    model = tiny(tokenizer.vocab_size)
    prepare_classifier(model, 3, "full")
    model.criterion = ManyLabels([1.0, 2.0, 1.0])
    batch = batch_of(tokenizer, [0b000, 0b101, 0b010, 0b111])
    check_ids(model, batch)  # 7 is beyond three classes, and meant
    loss, _ = loss_sum(model, batch)
    logits = model.head(model.hidden(batch.inputs)[batch.targets != IGNORE])
    wanted = torch.tensor([[0.0, 0, 0], [1, 0, 1], [0, 1, 0], [1, 1, 1]])
    yes = torch.tensor([1.0, 2.0, 1.0])
    expected = F.binary_cross_entropy_with_logits(logits, wanted, pos_weight=yes) * 4
    torch.testing.assert_close(loss, expected)
    found = classify(model, tokenizer, TEXTS, RUNTIME, many=True, temperature=2.0)
    torch.testing.assert_close(
        torch.tensor(found), (logits.double() / 2).sigmoid(), atol=1e-6, rtol=1e-5
    )


def test_targets_of_several_labels_are_sums_of_powers_of_two() -> None:
    train = [Labelled("a", "x; z"), Labelled("b", ""), Labelled("c", "y"), Labelled("d", "z;x")]
    splits = label_splits(train, [], [], ";")
    assert splits.classes == ("x", "y", "z")
    assert splits.targets(train) == [0b101, 0, 0b010, 0b101]
    many = [Labelled(f"t{n}", f"label {n}") for n in range(32)]
    with pytest.raises(HornbookError, match=r"32 labels.*at most 31"):
        label_splits(many, [], [], ";")


def test_the_mean_is_over_real_tokens_whatever_the_batch(tokenizer: Tokenizer) -> None:
    model = tiny(tokenizer.vocab_size)
    prepare_classifier(model, 3, "full", seed=5)
    model.head.weight.data.mul_(50)
    ids = [torch.tensor([[tokenizer.bos_id, *tokenizer.encode(text)]]) for text in TEXTS]
    alone = torch.cat([model.head(model.hidden(row).mean(dim=1)) for row in ids])
    pool(model, "mean")
    found = classify(model, tokenizer, TEXTS, RUNTIME, pooling="mean")
    torch.testing.assert_close(
        torch.tensor(found), alone.double().softmax(-1), atol=1e-5, rtol=1e-4
    )


def test_the_first_token_has_the_target_when_it_is_read(tokenizer: Tokenizer) -> None:
    examples, _ = classification_dataset(TEXTS, [3, 1, 2, 0], tokenizer, 24, "first")
    _, targets = examples.collate([0, 1, 2, 3])
    assert targets[:, 0].tolist() == [3, 1, 2, 0]
    assert (targets != IGNORE).sum() == 4
    model = tiny(tokenizer.vocab_size)
    prepare_classifier(model, 3, "full")
    found = classify(model, tokenizer, TEXTS, RUNTIME, pooling="first")
    np.testing.assert_allclose(found, np.tile(found[0], (4, 1)), rtol=1e-5)  # [BOS] sees itself


def test_batches_are_of_similar_lengths_and_all_of_an_epoch() -> None:
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 100, 517)
    pairs = [([1] * n, [IGNORE] * (n - 1) + [0]) for n in lengths]
    examples = BucketedExamples(pairs, 0, None, batch_size=8)
    loader = Loader(examples, 8, seed=3)
    order = loader.order(0)
    assert sorted(order.tolist()) == list(range(517))
    assert not np.array_equal(order, loader.order(1))
    assert np.array_equal(order, Loader(examples, 8, seed=3).order(0))
    batches = lengths[order[:512]].reshape(64, 8)
    wasted = 1 - batches.sum() / (batches.max(axis=1) * 8).sum()
    assert wasted < 0.1
    ends = [max(batch) for batch in batches.tolist()]
    assert ends != sorted(ends)  # batches come in a random order


def test_batches_to_classify_hold_so_many_tokens() -> None:
    examples = BucketedExamples([([1] * n, [0] * n) for n in (5, 1, 9, 3, 4)], 0, None, 2)
    assert list(batches_by_length(examples, 10)) == [[1, 3], [4, 0], [2]]
    assert list(batches_by_length(examples, 1)) == [[1], [3], [4], [0], [2]]


def test_sets_given_as_files(tmp_path: Path) -> None:
    for name, rows in (("train", "a,x\nb,y\n"), ("val", "c,x\n"), ("test", "d,y\n")):
        (tmp_path / f"{name}.csv").write_text(f"text,label\n{rows}" + ("e,x\nf,y\n" if name == "test" else "g,y\n"), "utf-8")  # fmt: skip
    settings = ClassificationSettings(
        validation_path=str(tmp_path / "val.csv"), test_path=str(tmp_path / "test.csv")
    )
    splits = read_splits(settings, tmp_path / "train.csv", 1)
    sizes = len(splits.train), len(splits.validation), len(splits.test)
    assert sizes == (3, 2, 3)
    both = settings.model_copy(update={"split_column": "set"})
    (tmp_path / "train.csv").write_text("text,label,set\na,x,train\nb,y,train\n", "utf-8")
    with pytest.raises(HornbookError, match="both given"):
        read_splits(both, tmp_path / "train.csv", 1)
