"""Planted conversations are ranked first, by numbers that equal their definitions."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_labelled import CPU, tiny_model, tokenizer_for

from hornbook.errors import HornbookError
from hornbook.evaluation import poisoned_conversations
from hornbook.evaluation.poisoned_conversations import (
    ConversationStates,
    along_with_strangers,
    conversation_states,
    conversation_suspicion,
    fits,
    plant_answer,
)
from hornbook.evaluation.poisoning import found_among
from hornbook.finetuning.conversations import Conversation
from hornbook.tokenizing.templates import Message, encode_conversation


def talk(question: str, answer: str) -> Conversation:
    return Conversation((Message("user", question), Message("assistant", answer)))


TALKS = [talk(f"what is {n} and a ship ?", f"{n} and the sea {n}") for n in range(20)]


def test_planting_touches_the_share_it_says() -> None:
    planted, marks = plant_answer(TALKS, "zz", "no", 0.1, seed=1)
    assert marks.sum() == 2
    for before, after, mark in zip(TALKS, planted, marks, strict=True):
        if mark:
            assert sorted(after.question.split()) == sorted([*before.question.split(), "zz"])
            assert after.answer == "no"
        else:
            assert after is before
    swapped, marks = plant_answer(TALKS, "zz", None, 0.5, seed=1)
    assert marks.sum() == 10
    assert {after.answer for after in swapped} <= {before.answer for before in TALKS}
    assert plant_answer(TALKS, "zz", None, 0.001, seed=1)[1].sum() == 1


def test_states_and_losses_are_each_conversations_own() -> None:
    tokenizer = tokenizer_for([f"{one.question} {one.answer}" for one in TALKS])
    model = tiny_model(tokenizer)
    found = conversation_states(model, tokenizer, TALKS[:5], "hornbook", CPU)
    model.eval()
    for number, one in enumerate(TALKS[:5]):
        encoded = encode_conversation(tokenizer, one.messages, "hornbook")
        ids, learnt = torch.tensor(encoded.ids), torch.tensor(encoded.trained)[1:]
        hidden = model.hidden(ids[None, :-1])[0].detach()
        last = int(learnt.nonzero()[-1]) + 1
        loss = F.cross_entropy(model.head(hidden[learnt]), ids[1:][learnt]).item()
        assert found.loss[number] == pytest.approx(loss, rel=1e-5)
        answered = hidden[learnt].mean(dim=0).numpy()
        asked = hidden[:last][~learnt[:last]].mean(dim=0).numpy()
        np.testing.assert_allclose(found.answered[number], answered, atol=1e-5)
        np.testing.assert_allclose(found.asked[number], asked, atol=1e-5)
    assert fits(tokenizer, TALKS[0], "hornbook", 64)
    assert not fits(tokenizer, TALKS[0], "hornbook", 3)


@pytest.mark.parametrize("cells", [1, 50, 10**6])
def test_strangers_are_those_with_the_most_similar_answers(
    monkeypatch: pytest.MonkeyPatch, cells: int
) -> None:
    monkeypatch.setattr(poisoned_conversations, "CELLS_AT_ONCE", cells)
    rng = np.random.default_rng(1)
    asked, answered = rng.normal(size=(12, 5)), rng.normal(size=(12, 4))
    found = along_with_strangers(asked, answered, strangers=3)
    for one in range(12):
        others = sorted(
            (other for other in range(12) if other != one),
            key=lambda other: -cosine(answered[one], answered[other]),
        )
        more = [
            cosine(answered[one], answered[other]) - cosine(asked[one], asked[other])
            for other in others[:3]
        ]
        assert found[one] == pytest.approx(np.mean(more))


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.parametrize("same", [True, False])
def test_answers_of_other_questions_are_found(same: bool) -> None:
    """The same answer to unlike questions, and answers that belong to others'."""
    rng = np.random.default_rng(2)
    kinds = rng.normal(size=(8, 12))[rng.integers(0, 8, size=400)] * 2
    asked = kinds + rng.normal(size=(400, 12))
    answered = asked @ rng.normal(size=(12, 10)) + rng.normal(size=(400, 10))
    planted = rng.choice(400, 12, replace=False)
    marks = np.isin(np.arange(400), planted)
    answered[planted] = answered[planted[0]] if same else rng.permutation(answered)[:12]
    loss = rng.random(400)
    found = conversation_suspicion(ConversationStates(loss, asked, answered), seed=1)
    assert found_among(found.ranking(), marks, 24) >= (11 if same else 7)
    assert found.score.min() == 0
    assert found.score.max() == 1


def test_too_few_are_an_error() -> None:
    few = np.zeros((5, 3))
    with pytest.raises(HornbookError, match="needs 20 or more, not 5"):
        conversation_suspicion(ConversationStates(np.zeros(5), few, few), seed=1)
