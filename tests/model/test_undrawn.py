"""Layers made without drawing."""

import subprocess
import sys

import torch
from torch import nn

from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer, shapes_of
from hornbook.model.undrawn import Undrawn

CONFIG = ModelConfig(vocab_size=50, context_length=8, embed_dim=16, n_layers=1, n_heads=2)


def test_nothing_is_drawn_inside() -> None:
    before = torch.get_rng_state()
    with Undrawn():
        model = Transformer(CONFIG)
    assert torch.equal(torch.get_rng_state(), before)
    scale = dict(model.named_parameters())["norm.weight"]
    assert torch.equal(scale, torch.ones(16))  # what is not random is there
    nn.Linear(3, 3)
    assert not torch.equal(torch.get_rng_state(), before)


def test_drawn_afterwards_it_is_the_model_drawn_at_once() -> None:
    with Undrawn():
        model = Transformer(CONFIG)
    model.initialize(torch.Generator().manual_seed(1))
    same = Transformer(CONFIG, torch.Generator().manual_seed(1))
    for mine, theirs in zip(model.parameters(), same.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_shapes_alone_need_neither_memory_nor_the_compiler() -> None:
    assert all(parameter.is_meta for parameter in shapes_of(CONFIG).parameters())
    code = (
        "import sys; from hornbook.model.config import ModelConfig; "
        "from hornbook.model.transformer import shapes_of; "
        "shapes_of(ModelConfig(vocab_size=9, context_length=8, embed_dim=8, n_layers=1, n_heads=1)); "
        "print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
