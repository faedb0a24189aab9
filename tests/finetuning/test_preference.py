"""DPO, SimPO and ORPO: against float64 by hand, against TRL, and in training."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from hornbook.errors import HornbookError
from hornbook.finetuning import preference
from hornbook.finetuning.pairs import PreferencePair, examine_pairs, read_pairs
from hornbook.finetuning.preference import (
    Method,
    PreferenceLoss,
    log_probabilities,
    preference_dataset,
    without_dropout,
)
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime
from hornbook.sampling.batch import IGNORE, Batch
from hornbook.sampling.loader import Loader
from hornbook.tokenizing.templates import Message
from hornbook.tokenizing.tokenizer import Tokenizer, TokenizerSettings
from hornbook.training.evaluation import evaluate
from hornbook.training.gradient import accumulate
from hornbook.training.loop import train_steps
from hornbook.training.optimizer import Optimizer
from hornbook.training.parallel import ALONE
from hornbook.training.schedule import plan_training
from hornbook.training.settings import TrainingSettings

CPU = Runtime(torch.device("cpu"), torch.float32, 0, "test")
METHODS: tuple[Method, ...] = ("dpo", "simpo", "orpo")
ANIMALS = ["cat", "dog", "cow", "owl", "fox", "hen"]
PAIRS = [
    PreferencePair((Message("user", f"The {animal}?"),), "kind and warm", "mean")
    for animal in ANIMALS
] + [
    PreferencePair(
        (
            Message("system", "Be kind."),
            Message("user", "Hi"),
            Message("assistant", "Yes?"),
            Message("user", "Who?"),
        ),
        "warm",
        "cold and mean",
    )
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    texts = [f"The {a}? kind and warm cold and mean Be kind. Hi Yes? Who?" for a in ANIMALS] * 3
    return Tokenizer.train(texts, TokenizerSettings(vocab_size=320))


def tiny(dropout: float = 0.0) -> Transformer:
    config = ModelConfig(
        vocab_size=320, context_length=32, embed_dim=32, n_layers=2, n_heads=2, dropout=dropout
    )
    return Transformer(config, torch.Generator().manual_seed(1))


def test_a_row_is_a_pair(tokenizer: Tokenizer) -> None:
    examples, report = preference_dataset(PAIRS, tokenizer, "hornbook", 32)
    assert (report.kept, report.dropped, report.shortened) == (7, 0, 0)
    inputs, targets = examples.collate([6, 0])
    assert inputs.shape == targets.shape == (2, 2 * examples.widest // 2)
    for row, pair in zip(targets.tolist(), (PAIRS[6], PAIRS[0]), strict=True):
        for half, answer in ((0, pair.chosen), (1, pair.rejected)):
            wanted = [t for t in row[half * len(row) // 2 :][: len(row) // 2] if t != IGNORE]
            assert tokenizer.decode(wanted) == f" {answer}[END]"


@torch.no_grad()
def by_hand(model: Transformer, examples: Any, index: int) -> tuple[list[float], list[int]]:
    """log p of both answers of a pair in float64, each conversation read by itself."""
    inputs, targets = examples.collate([index])
    said, counts = [], []
    for ids, wanted in zip(inputs[0].chunk(2), targets[0].chunk(2), strict=True):
        logits = model.double()(ids[None])[0]
        at = (wanted != IGNORE).nonzero().squeeze(1)
        probabilities = logits.softmax(dim=-1)[at, wanted[at]]
        said.append(float(probabilities.log().sum()))
        counts.append(len(at))
    model.float()
    return said, counts


def expected_loss(method: str, said: list[float], counts: list[int], other: list[float]) -> float:
    """The papers' equations, in plain floats."""
    sigmoid = lambda x: 1 / (1 + math.exp(-x))  # noqa: E731
    if method == "dpo":
        return -math.log(sigmoid(0.5 * (said[0] - other[0]) - 0.5 * (said[1] - other[1])))
    mean = [s / n for s, n in zip(said, counts, strict=True)]
    if method == "simpo":
        return -math.log(sigmoid(0.5 * mean[0] - 0.5 * mean[1] - 0.3))
    odds = [math.exp(m) / (1 - math.exp(m)) for m in mean]
    return -mean[0] - 0.5 * math.log(sigmoid(math.log(odds[0] / odds[1])))


@pytest.mark.parametrize("method", METHODS)
def test_the_loss_is_the_papers(tokenizer: Tokenizer, method: Method) -> None:
    model = tiny()
    examples, _ = preference_dataset(PAIRS, tokenizer, "hornbook", 32)
    reference = torch.linspace(-40, -20, 14).view(7, 2)
    examples.set_reference(reference)
    loss = PreferenceLoss(method, beta=0.5, gamma=0.3)
    [batch] = list(Loader(examples, 7, 0, shuffle=False).epoch())
    figures = loss.figures(model, batch)
    hand = [by_hand(model, examples, i) for i in range(7)]
    wanted = [
        expected_loss(method, said, counts, reference[i].tolist())
        for i, (said, counts) in enumerate(hand)
    ]
    assert figures["loss"].sum().item() == pytest.approx(sum(wanted), rel=1e-5)
    assert int(loss.count(batch)) == 7
    found, counts = log_probabilities(model, batch)
    assert counts.tolist() == [n for _, n in hand]
    torch.testing.assert_close(found.double(), torch.tensor([s for s, _ in hand]).double())
    if method == "dpo":
        rewards = 0.5 * (torch.tensor([s for s, _ in hand]) - reference)
        margins = rewards[:, 0] - rewards[:, 1]
        assert figures["margin"].sum().item() == pytest.approx(float(margins.sum()), rel=1e-4)
        assert figures["accuracy"].sum().item() == float((margins > 0).sum())


SAID = [[-12.5, -9.25], [-3.0, -21.5], [-7.75, -7.5]]
COUNTS = [[7, 4], [2, 9], [5, 6]]
REFERENCE = [[-13.0, -8.75], [-3.5, -19.0], [-7.0, -7.25]]
TRL = {
    "dpo": [0.4740769863128662, 0.20141328871250153, 0.825939416885376],
    "simpo": [0.7116182446479797, 0.6235307455062866, 0.9432489275932312],
    "orpo": [2.003387451171875, 1.6506582498550415, 2.0062105655670166],
}
"""What TRL 1.16.0 makes of those log-probabilities, with beta 0.5 and SimPO's gamma 0.3, in
`DPOTrainer._compute_loss`, `CPOTrainer.cpo_loss` and `ORPOTrainer.odds_ratio_loss` (less the mean
log-probability of the chosen answer). Written down because importing TRL takes 10 seconds."""


@pytest.mark.parametrize("method", METHODS)
def test_the_loss_is_trls(method: Method) -> None:
    loss = PreferenceLoss(method, 0.5, 0.3)
    losses, _ = loss.losses(*(torch.tensor(part) for part in (SAID, COUNTS, REFERENCE)))
    torch.testing.assert_close(losses, torch.tensor(TRL[method]))


@pytest.mark.parametrize("method", METHODS)
def test_micro_batches_and_chunks_change_nothing(
    tokenizer: Tokenizer, method: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples, _ = preference_dataset(PAIRS, tokenizer, "hornbook", 32)
    [batch] = list(Loader(examples, 7, 0, shuffle=False).epoch())
    batch = Batch(batch.inputs, batch.targets, 1, reference=torch.randn(7, 2) - 20)
    loss = PreferenceLoss(method, 0.5)
    whole, parts = tiny(), tiny()
    for model, micro in ((whole, None), (parts, 2)):
        if micro:
            monkeypatch.setattr(preference, "LOGITS_AT_ONCE", 320 * 3)
        accumulate(ALONE.objective(model, loss), batch, micro, CPU, ALONE, loss.count)
    for mine, theirs in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_training_prefers_what_was_chosen(tokenizer: Tokenizer, method: Method) -> None:
    model = tiny(dropout=0.2)
    without_dropout(model)
    examples, _ = preference_dataset(PAIRS, tokenizer, "hornbook", 32)
    loader = Loader(examples, 7, 0, shuffle=False)
    with torch.no_grad():
        [batch] = list(loader.epoch())
        examples.set_reference(log_probabilities(model, batch)[0])
    loss = PreferenceLoss(method, beta=0.5)
    before = evaluate(model, loader.epoch(), CPU, loss=loss)
    if method == "dpo":
        assert before.loss == pytest.approx(math.log(2), abs=1e-6)
        assert before.others["margin"] == pytest.approx(0, abs=1e-6)
    settings = TrainingSettings(steps=15, batch_size=7, lr=3e-3, optimizer="adamw")
    plan = plan_training(settings, 1, 1)
    steps = list(
        train_steps(
            *(model, Optimizer(model, settings), loader.batches(), settings, CPU, plan), loss=loss
        )
    )
    assert all(step.tokens == 7 for step in steps)
    after = evaluate(model, loader.epoch(), CPU, loss=loss)
    assert after.loss < before.loss
    assert after.others["accuracy"] == 1
    assert after.others["margin"] > before.others["margin"] + 0.1
    assert set(after.as_dict()) >= {"loss", "margin", "accuracy"}


def test_a_pair_that_fills_up_a_batch_does_not_count(tokenizer: Tokenizer) -> None:
    examples, _ = preference_dataset(PAIRS, tokenizer, "hornbook", 32)
    batch = next(iter(Loader(examples, 7, 0, shuffle=False).epoch()))
    targets = batch.targets.clone()
    targets[5:] = IGNORE
    loss = PreferenceLoss("simpo", 1.0)
    short = loss.figures(tiny(), Batch(batch.inputs, targets, 1))
    first = loss.figures(tiny(), batch.rows(0, 5))
    assert int(loss.count(Batch(batch.inputs, targets, 1))) == 5
    for name, value in short.items():
        torch.testing.assert_close(value[:5], first[name])
        assert not value[5:].any()


def test_long_pairs_are_cut_or_dropped(tokenizer: Tokenizer) -> None:
    _, report = preference_dataset(PAIRS, tokenizer, "hornbook", 9)
    assert report.dropped == 1
    assert report.shortened > 0
    with pytest.raises(HornbookError, match="none of the 7 pairs"):
        preference_dataset(PAIRS, tokenizer, "hornbook", 2)


USER = {"role": "user", "content": "Hi"}


def says(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


@pytest.mark.parametrize(
    "record",
    [
        {"prompt": "Hi", "chosen": "a", "rejected": "b"},
        {"prompt": [USER], "chosen": [says("a")], "rejected": "b"},
        {"chosen": [USER, says("a")], "rejected": [USER, says("b")]},
        {
            "input": {"messages": [USER]},
            "preferred_output": [says("a")],
            "non_preferred_output": [says("b")],
        },
    ],
)
def test_every_form_is_read(tmp_path: Path, record: dict[str, Any]) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(record), "utf-8")
    [pair] = read_pairs(path)
    assert [(m.role, m.content) for m in pair.asked] == [("user", "Hi")]
    assert (pair.chosen, pair.rejected) == ("a", "b")


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"prompt": "Hi", "chosen": "a"}, "line 1: no field 'rejected'"),
        ({"prompt": "Hi", "chosen": "a", "rejected": "a "}, "say the same"),
        ({"prompt": "Hi", "chosen": "", "rejected": "a"}, "'chosen' is empty"),
        ({"chosen": [USER, says("a")], "rejected": [says("b")]}, "'rejected' must be a conv"),
        (
            {"chosen": [USER, says("a")], "rejected": [{**USER, "content": "x"}, says("b")]},
            "differ before their last message",
        ),
        ({"prompt": [says("a")], "chosen": "a", "rejected": "b"}, "message 1: expected the user"),
        ({"prompt": [USER], "chosen": [USER], "rejected": "b"}, "must be one message, the assist"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, record: dict[str, Any], said: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(record), "utf-8")
    with pytest.raises(HornbookError, match=said):
        read_pairs(path)


def test_every_fault_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    good = {"prompt": "Hi", "chosen": "a", "rejected": "b"}
    records = [good, {**good, "rejected": "a"}, good, {"prompt": "Hi", "chosen": "a"}]
    lines = [json.dumps(record) for record in records]
    path.write_text("\n".join([*lines[:3], "{no json", *lines[3:]]), "utf-8")
    examined = examine_pairs(path)
    assert len(examined.pairs) == 2
    for fault, said in zip(
        examined.faults, ("line 2: chosen and", "line 4", "line 5: no field"), strict=True
    ):
        assert said in fault
    with pytest.raises(HornbookError, match=r"line 2: .* 2 more records have faults: see hornbook"):
        read_pairs(path)
    path.write_text("\n", "utf-8")
    with pytest.raises(HornbookError, match=r"has no pairs|is empty"):
        read_pairs(path)


def test_dpo_is_the_logistic_loss_of_the_margin() -> None:
    said, other = torch.randn(5, 2), torch.randn(5, 2)
    losses, rewards = PreferenceLoss("dpo", 0.1).losses(said, torch.ones(5, 2), other)
    wanted = F.binary_cross_entropy_with_logits(rewards[:, 0] - rewards[:, 1], torch.ones(5))
    torch.testing.assert_close(losses.mean(), wanted)
