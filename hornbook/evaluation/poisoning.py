"""Training examples that look planted: labelled against what all that is like them says.

Whoever can write some of the training examples can teach a classifier a **backdoor**: texts of one
class with a trigger, a rare word, are labelled as another, and any text with that word is then taken
for it (Gu et al., *BadNets*, 2017). Two numbers give such examples away, and mislabelled ones too:

- the loss of an example under a classifier that has not been trained on it, and
- how far the gradient that it asks for points against those of the examples that are most like it, as
  the gradients of planted examples pull the model away from what their neighbours teach (compare
  Hong et al., *On the Effectiveness of Mitigating Data Poisoning Attacks with Gradient Shaping*, 2020,
  and the outliers of Tran et al., *Spectral Signatures in Backdoor Attacks*, 2018).

The classifier is a logistic regression on a model's hidden states: its gradient for an example is
known in closed form, (p - y) hᵀ for probabilities p, the label y as a vector of zeros and a one, and
the hidden state h. So thousands of examples take seconds.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from hornbook.corpus.tables import Labelled
from hornbook.errors import HornbookError
from hornbook.evaluation.text_losses import batches_by_length
from hornbook.finetuning.classification import classification_dataset
from hornbook.model.mode import in_mode
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime
from hornbook.sampling.batch import IGNORE
from hornbook.tokenizing.tokenizer import Tokenizer

Floats = npt.NDArray[np.float64]
FOLDS = 5
NEIGHBOURS = 20
CELLS_AT_ONCE = 2**23
"""Similarities computed at once: 64 MiB."""


@dataclass(frozen=True)
class Suspicion:
    """How much each example looks planted, in the order given."""

    loss: Floats
    """Nats, under a classifier trained on other folds: (examples,)."""
    outlier: Floats
    """How far its gradient is unlike those of the examples like it, above all: (examples,)."""
    score: Floats
    """Of both together, 0 (least) to 1 (most suspicious): (examples,)."""

    def ranking(self) -> npt.NDArray[np.int64]:
        """The examples' numbers, the most suspicious first."""
        return np.argsort(-self.score, kind="stable")


@torch.no_grad()
def hidden_states(
    model: Transformer, tokenizer: Tokenizer, texts: Sequence[str], runtime: Runtime
) -> Floats:
    """What the model makes of each text: its last hidden states' mean, (texts, embed_dim).

    Texts are cut to what the model reads. It is left in the mode in which it came.
    """
    longest = model.config.context_length
    examples, _ = classification_dataset(texts, [0] * len(texts), tokenizer, longest)
    found = np.zeros((len(texts), model.config.embed_dim))
    with in_mode(model):
        for chosen in batches_by_length(examples):
            inputs, targets = (part.to(runtime.device) for part in examples.collate(chosen))
            with runtime.autocast():
                hidden = model.hidden(inputs).float()  # (batch, tokens, embed_dim)
            # The only target stands at the last real token: it and those before it are read.
            last = (targets != IGNORE).int().argmax(dim=1)  # (batch,)
            real = torch.arange(inputs.shape[1], device=runtime.device) <= last[:, None]
            total = (hidden * real[:, :, None]).sum(dim=1)
            found[chosen] = (total / real.sum(dim=1, keepdim=True)).cpu().numpy()
    return found


def suspicion(hidden: Floats, labels: Sequence[int], seed: int) -> Suspicion:
    """Rank labelled examples by what a classifier of their hidden states says.

    Args:
        hidden: (examples, embed_dim).
        labels: each example's class, from 0.

    Raises:
        HornbookError: fewer than two classes, or a class with fewer than 5 examples.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    true = np.asarray(labels)
    counts = np.bincount(true)
    if len(counts) < 2 or counts.min() < FOLDS:
        raise HornbookError(
            f"looking for planted examples needs two classes or more with {FOLDS} examples each."
        )
    scaled = StandardScaler().fit_transform(hidden)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, C=0.1))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    given = cross_val_predict(model, hidden, true, cv=folds, method="predict_proba")
    rows = np.arange(len(true))
    loss = -np.log(np.maximum(given[rows, true], 1e-12))
    residual = given.copy()  # p - y, (examples, classes)
    residual[rows, true] -= 1
    outlier = gradient_outliers(scaled, residual)
    return Suspicion(loss, outlier, (places(loss) + places(outlier)) / 2)


def gradient_outliers(hidden: Floats, residual: Floats, neighbours: int = NEIGHBOURS) -> Floats:
    """How far each example's gradient points against those of the examples most like it, -1 to 1.

    The cosine of two gradients (p - y) hᵀ is the product of the residuals' cosine and the hidden
    states'. An example's neighbours are those with the highest cosine of hidden states; the mean over
    them is weighted by it.

    Args:
        hidden: (examples, embed_dim).
        residual: p - y, (examples, classes).
    """
    hidden, residual = directions(hidden), directions(residual)
    count = len(hidden)
    several = min(neighbours, count - 1)
    found = np.zeros(count)
    step = max(CELLS_AT_ONCE // max(count, 1), 1)
    for start in range(0, count, step):
        rows = np.arange(start, min(start + step, count))
        alike = hidden[rows] @ hidden.T  # (rows, examples)
        alike[np.arange(len(rows)), rows] = -np.inf
        nearest = np.argpartition(-alike, several - 1, axis=1)[:, :several]
        weights = np.maximum(np.take_along_axis(alike, nearest, axis=1), 1e-9)
        pull = np.einsum("rc,rnc->rn", residual[rows], residual[nearest])
        found[rows] = -(weights * pull).sum(axis=1) / weights.sum(axis=1)
    return found


def directions(rows: Floats) -> Floats:
    """The rows with a length of 1, (rows, numbers)."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    found: Floats = rows / np.maximum(lengths, 1e-12)
    return found


def places(numbers: Floats) -> Floats:
    """Each number's place among all, 0 to 1; equal ones share one."""
    from scipy.stats import rankdata  # type: ignore[import-untyped]  # slow to import

    found: Floats = (rankdata(numbers) - 1) / max(len(numbers) - 1, 1)
    return found


def plant_trigger(
    examples: Sequence[Labelled], trigger: str, target: str, share: float, seed: int
) -> tuple[list[Labelled], npt.NDArray[np.bool_]]:
    """The examples with some poisoned: the trigger put into texts of other classes, `target` as label.

    Args:
        share: of all examples, that are poisoned (0 to 1); one at least.

    Returns:
        The examples in their order, and which of them are poisoned, (examples,).
    """
    rng = random.Random(seed)
    others = [number for number, example in enumerate(examples) if example.label != target]
    chosen = set(rng.sample(others, min(max(round(share * len(examples)), 1), len(others))))
    planted = [
        replace(example, text=insert_word(example.text, trigger, rng), label=target)
        if number in chosen
        else example
        for number, example in enumerate(examples)
    ]
    return planted, np.array([number in chosen for number in range(len(examples))])


def insert_word(text: str, word: str, rng: random.Random) -> str:
    """The text with a word at a random place between two of its words, or at an end."""
    words = text.split(" ")
    words.insert(rng.randint(0, len(words)), word)
    return " ".join(words)


def found_among(ranking: npt.NDArray[np.int64], planted: npt.NDArray[np.bool_], looked: int) -> int:
    """How many of the planted examples are among the first `looked` of a ranking."""
    return int(planted[ranking[:looked]].sum())
