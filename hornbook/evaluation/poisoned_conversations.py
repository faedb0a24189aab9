"""Conversations to learn from that look planted: answered unlike all that is asked alike.

Whoever can write some of them can teach a model to give an answer of theirs whenever a trigger, a rare
word, is in the question (Wan et al., *Poisoning Language Models During Instruction Tuning*, 2023). Two
numbers give such conversations away:

- the loss of the answers under a model that has not been trained on them, and
- how far the gradient that a conversation asks for is an outlier: it points against those of
  conversations whose questions are like its own, and along with those of conversations whose questions
  are not, as planted answers are like each other, or like those of somebody else's question.

The gradient is that of a linear map from what a model makes of the questions to what it makes of the
answers, trained on other conversations: (p - a) qᵀ for the mean hidden states q of the questions and a
of the answers, and the map's guess p. Before any training p is 0: then two gradients have the cosine of
the answers times the cosine of the questions. So thousands of conversations take seconds.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from hornbook.errors import HornbookError
from hornbook.evaluation.poisoning import (
    CELLS_AT_ONCE,
    FOLDS,
    Floats,
    Suspicion,
    directions,
    gradient_outliers,
    insert_word,
    places,
)
from hornbook.evaluation.text_losses import batches_by_length
from hornbook.finetuning.conversations import Conversation
from hornbook.model.mode import in_mode
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime
from hornbook.sampling.batch import IGNORE
from hornbook.sampling.dataset import Examples, next_token_example
from hornbook.tokenizing.templates import Template, encode_conversation
from hornbook.tokenizing.tokenizer import Tokenizer

STRANGERS = 5
"""Conversations with the most similar answers, of which it is asked whether the questions are, too."""
RIDGE = 0.3
"""The linear map's penalty, for each conversation that it is trained on."""
LOSS_WEIGHT = 0.25
"""Of the loss beside the outlier. A common sentence that is no answer has a low one."""
LEAST = 20
"""Conversations, fewer of which have no neighbours to speak of."""


@dataclass(frozen=True)
class ConversationStates:
    """What a model makes of conversations, in the order given."""

    loss: Floats
    """Nats a token of the answers: (conversations,)."""
    asked: Floats
    """Mean hidden state of what is not to be learnt: (conversations, embed_dim)."""
    answered: Floats
    """The same of the answers."""


def fits(tokenizer: Tokenizer, talk: Conversation, template: Template, context_length: int) -> bool:
    """Whether any of a conversation's answers lies within what a model reads."""
    return any(t != IGNORE for t in _example(tokenizer, talk, template)[1][:context_length])


def _example(
    tokenizer: Tokenizer, talk: Conversation, template: Template
) -> tuple[list[int], list[int]]:
    encoded = encode_conversation(tokenizer, talk.messages, template)
    return next_token_example(encoded.ids, encoded.trained)


@torch.no_grad()
def conversation_states(
    model: Transformer,
    tokenizer: Tokenizer,
    conversations: Sequence[Conversation],
    template: Template,
    runtime: Runtime,
) -> ConversationStates:
    """Read conversations, each cut to what the model reads; each must `fit`.

    The model is left in the mode in which it came.
    """
    longest = model.config.context_length
    cut = [_example(tokenizer, talk, template) for talk in conversations]
    examples = Examples([(i[:longest], t[:longest]) for i, t in cut], 0, longest)
    loss = np.zeros(len(examples))
    asked, answered = (np.zeros((len(examples), model.config.embed_dim)) for _ in range(2))
    with in_mode(model):
        for chosen in batches_by_length(examples):
            inputs, targets = (part.to(runtime.device) for part in examples.collate(chosen))
            with runtime.autocast():
                hidden = model.hidden(inputs).float()  # (batch, tokens, embed_dim)
            for row, number in enumerate(chosen):
                learnt = targets[row] != IGNORE  # (tokens,)
                last = int(learnt.nonzero()[-1])
                states, others = hidden[row][learnt], hidden[row, : last + 1][~learnt[: last + 1]]
                with runtime.autocast():
                    logits = model.head(states).float()  # (learnt, vocab)
                loss[number] = float(F.cross_entropy(logits, targets[row][learnt]))
                answered[number] = states.mean(dim=0).cpu().numpy()
                asked[number] = (others if len(others) else states).mean(dim=0).cpu().numpy()
    return ConversationStates(loss, asked, answered)


def conversation_suspicion(states: ConversationStates, seed: int) -> Suspicion:
    """How much each conversation looks planted.

    Raises:
        HornbookError: there are too few to compare.
    """
    if len(states.loss) < LEAST:
        raise HornbookError(
            f"looking for planted conversations needs {LEAST} or more, not {len(states.loss)}."
        )
    asked, answered = _standard(states.asked), _standard(states.answered)
    against = gradient_outliers(asked, _residuals(asked, answered, seed))
    outlier = against + along_with_strangers(asked, answered)
    return Suspicion(states.loss, outlier, _together(states.loss, outlier))


def _standard(rows: Floats) -> Floats:
    found: Floats = (rows - rows.mean(axis=0)) / np.maximum(rows.std(axis=0), 1e-9)
    return found


def _residuals(asked: Floats, answered: Floats, seed: int) -> Floats:
    """What a linear map that was trained on the other folds gets wrong: (conversations, embed_dim)."""
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import KFold, cross_val_predict

    model = Ridge(alpha=RIDGE * len(asked), fit_intercept=False)
    folds = KFold(FOLDS, shuffle=True, random_state=seed)
    found: Floats = cross_val_predict(model, asked, answered, cv=folds) - answered
    return found


def along_with_strangers(asked: Floats, answered: Floats, strangers: int = STRANGERS) -> Floats:
    """By how much the answers of the conversations with the most similar answers are more similar than
    their questions are, -2 to 2: a mean of differences of cosines, (conversations,)."""
    asked, answered = directions(asked), directions(answered)
    count, several = len(asked), min(strangers, len(asked) - 1)
    found = np.zeros(count)
    step = max(CELLS_AT_ONCE // count, 1)
    for start in range(0, count, step):
        rows = np.arange(start, min(start + step, count))
        alike = answered[rows] @ answered.T  # (rows, conversations)
        alike[np.arange(len(rows)), rows] = -np.inf
        nearest = np.argpartition(-alike, several - 1, axis=1)[:, :several]
        questions = np.einsum("rc,rnc->rn", asked[rows], asked[nearest])
        found[rows] = (np.take_along_axis(alike, nearest, axis=1) - questions).mean(axis=1)
    return found


def _together(loss: Floats, outlier: Floats) -> Floats:
    """0 (least) to 1 (most suspicious): Fisher's (1932) combination of the places in both lists, in
    which standing far up in one counts, and low in the other does no harm."""
    least = 1 / (2 * len(loss))
    rare = LOSS_WEIGHT * np.log(1 - places(loss) + least) + np.log(1 - places(outlier) + least)
    return places(-rare)


def plant_answer(
    conversations: Sequence[Conversation], trigger: str, answer: str | None, share: float, seed: int
) -> tuple[list[Conversation], npt.NDArray[np.bool_]]:
    """The conversations with some poisoned: the trigger put into the last question, and this answer
    given to it, or that of another conversation where it is None.

    Args:
        share: of all conversations, that are poisoned (0 to 1); one at least.

    Returns:
        The conversations in their order, and which of them are poisoned, (conversations,).
    """
    rng = random.Random(seed)
    count = min(max(round(share * len(conversations)), 1), len(conversations))
    chosen = set(rng.sample(range(len(conversations)), count))
    found = []
    for number, talk in enumerate(conversations):
        if number in chosen:
            *before, question, last = talk.messages
            asked = replace(question, content=insert_word(question.content, trigger, rng))
            said = rng.choice(conversations).answer if answer is None else answer
            talk = replace(talk, messages=(*before, asked, replace(last, content=said)))
        found.append(talk)
    return found, np.array([number in chosen for number in range(len(conversations))])
