"""Training on packed rows is training on the same texts one a row: loss and every gradient."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from tiny_training import CPU

from hornbook.model.config import ModelConfig
from hornbook.model.presets import ModelSettings, resolve
from hornbook.model.transformer import Transformer
from hornbook.sampling.batch import Batch
from hornbook.sampling.dataset import Dataset, Examples
from hornbook.sampling.loader import Loader
from hornbook.sampling.packing import PackedDocuments, PackedExamples
from hornbook.training.acceleration import accelerate
from hornbook.training.gradient import accumulate
from hornbook.training.parallel import ALONE
from hornbook.training.settings import TrainingSettings

VOCAB = 50
LENGTH = 32
SMALL = {"context_length": LENGTH, "embed_dim": 32, "n_layers": 2, "n_heads": 4, "zero_init": False}
SETTINGS = {
    "gpt2": ModelSettings(preset="gpt2-mini", **SMALL),
    "modern": ModelSettings(preset="modern-124m", **SMALL, n_kv_heads=2, hidden_dim=64),
    "mini": ModelSettings(preset="mini", **SMALL),
    "chars": ModelSettings(preset="chars", **SMALL, ngram_rows=128),
}


def config_of(kind: str) -> ModelConfig:
    return resolve(SETTINGS[kind], VOCAB)


def documents() -> list[list[int]]:
    generator = np.random.default_rng(1)
    lengths = [3, 11, 32, 7, 19, 2, 25, 40, 5, 9, 14, 31]
    return [generator.integers(2, VOCAB, length).tolist() for length in lengths]


def whole_epoch(dataset: Dataset) -> Batch:
    [batch] = Loader(dataset, len(dataset), seed=1, drop_last=False).epoch()
    return batch


def trained(
    kind: str, batch: Batch, micro: int | None = None, **settings: bool
) -> tuple[float, int, dict[str, torch.Tensor]]:
    model = Transformer(config_of(kind), torch.Generator().manual_seed(3))
    accelerate(model, TrainingSettings(**settings), CPU, same_width=True)
    model.train()
    loss, count = accumulate(ALONE.objective(model), batch, micro, CPU, ALONE)
    return (
        float(loss),
        count,
        {n: p.grad for n, p in model.named_parameters() if p.grad is not None},
    )


def require_same(
    one: tuple[float, int, dict[str, torch.Tensor]],
    other: tuple[float, int, dict[str, torch.Tensor]],
) -> None:
    assert one[1] == other[1]
    assert one[0] == pytest.approx(other[0], rel=1e-5)
    assert one[2].keys() == other[2].keys()
    for name, gradient in one[2].items():
        torch.testing.assert_close(gradient, other[2][name], atol=1e-5, rtol=1e-5, msg=name)


def conversations() -> Examples:
    """Texts of which a part is trained, up to 32 tokens."""
    pairs = []
    for ids in documents():
        targets = [*ids[1:], 1][:LENGTH]
        pairs.append((ids[:LENGTH], [-100] * (len(targets) // 3) + targets[len(targets) // 3 :]))
    return Examples(pairs, pad_id=0)


def texts() -> tuple[Batch, Batch]:
    """A token store's documents packed, and each of their pieces in a padded row of its own."""
    tokens = np.array([token for document in documents() for token in [*document, 1]])
    starts = np.cumsum([0, *(len(document) + 1 for document in documents())])
    packed = PackedDocuments(tokens, starts, LENGTH, eos_id=1, seed=5)
    pieces = [packed.cuts.piece(number) for number in range(len(packed.cuts.lengths))]
    alone = Examples([(i.tolist(), t.tolist()) for i, t in pieces], pad_id=0)
    return whole_epoch(packed), whole_epoch(alone)


def examples() -> tuple[Batch, Batch]:
    return whole_epoch(PackedExamples(conversations(), LENGTH)), whole_epoch(conversations())


@pytest.mark.parametrize("kind", SETTINGS)
@pytest.mark.parametrize("pair", [texts, examples])
def test_loss_and_gradients_are_those_of_padded_training(
    kind: str, pair: Callable[[], tuple[Batch, Batch]]
) -> None:
    packed, padded = pair()
    assert packed.documents is not None
    assert padded.documents is None
    assert len(packed.inputs) < len(padded.inputs)
    require_same(trained(kind, packed), trained(kind, padded))


def test_micro_batches_and_recomputed_blocks_keep_documents_apart() -> None:
    packed, padded = texts()
    wanted = trained("mini", padded)
    require_same(trained("mini", packed, micro=2), wanted)
    require_same(trained("mini", packed, checkpoint_activations=True), wanted)


def test_without_documents_the_gradients_differ() -> None:
    """What the tests above could not tell if nothing were masked."""
    packed, padded = texts()
    mixed = Batch(packed.inputs, packed.targets, packed.position)
    with pytest.raises(AssertionError):
        require_same(trained("mini", mixed), trained("mini", padded))
