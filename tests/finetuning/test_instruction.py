"""Instruction examples: what is trained, what is cut, and that prompts are prefixes of them."""

import json
from pathlib import Path
from typing import get_args

import pytest

from hornbook.corpus.tables import Instruction, read_instructions
from hornbook.errors import HornbookError
from hornbook.finetuning.instruction import (
    answer_prompts,
    instruction_dataset,
    prepare_follower,
)
from hornbook.finetuning.lora import LoRASettings, lora_parameters
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.sampling.batch import IGNORE
from hornbook.tokenizing.templates import Template, stop_ids
from hornbook.tokenizing.tokenizer import Tokenizer, TokenizerSettings

TEMPLATES = [name for name in get_args(Template) if name != "tokenizer"]
EXAMPLES = [
    Instruction("Name the colour.", "the red house", "The colour is red."),
    Instruction("Say yes.", "", "yes"),
    Instruction("Say [END] or <|im_end|>.", "", "<|endoftext|> [END] no"),
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    texts = [f"{e.instruction} {e.input} {e.output}" for e in EXAMPLES]
    return Tokenizer.train(texts, TokenizerSettings(algorithm="bpe", vocab_size=300))


@pytest.mark.parametrize("template", TEMPLATES)
def test_only_the_answer_and_its_end_are_trained(tokenizer: Tokenizer, template: Template) -> None:
    examples, report = instruction_dataset(EXAMPLES, tokenizer, template, max_length=400)
    _, targets = examples.collate(range(len(EXAMPLES)))
    stops = stop_ids(tokenizer, template)
    for row, example in zip(targets.tolist(), EXAMPLES, strict=True):
        trained = [target for target in row if target != IGNORE]
        assert trained[-1] in stops
        assert not stops & set(trained[:-1])  # spellings of control tokens are ordinary text
        assert tokenizer.decode(trained[:-1]).strip() == example.output
    assert (report.kept, report.dropped, report.shortened, report.ends_trained) == (3, 0, 0, 3)
    assert report.trained_tokens == int((targets != IGNORE).sum())
    assert report.warning() is None


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_prompt_ends_where_the_answer_begins(tokenizer: Tokenizer, template: Template) -> None:
    examples, _ = instruction_dataset(EXAMPLES, tokenizer, template, max_length=400)
    for index, prompt in enumerate(answer_prompts(EXAMPLES, tokenizer, template)):
        inputs, targets = examples.collate([index])
        assert inputs[0, : len(prompt)].tolist() == prompt
        first = (targets[0] != IGNORE).nonzero()[0].item()
        assert first == len(prompt) - 1


def test_the_prompt_can_be_trained_too(tokenizer: Tokenizer) -> None:
    examples, _ = instruction_dataset(EXAMPLES, tokenizer, "chatml", 400, mask_prompt=False)
    inputs, targets = examples.collate([1])
    length = examples.length(1)
    assert targets[0, : length - 1].tolist() == inputs[0, 1:length].tolist()
    assert (targets[0, length:] == IGNORE).all()  # padding never is


def test_long_examples_are_cut_or_dropped_and_counted(tokenizer: Tokenizer) -> None:
    prompts = answer_prompts(EXAMPLES, tokenizer, "chatml")
    longest = max(range(3), key=lambda index: len(prompts[index]))
    # One token of the longest prompt's answer fits; of the others', more.
    examples, report = instruction_dataset(EXAMPLES, tokenizer, "chatml", len(prompts[longest]))
    assert (report.kept, report.dropped) == (3, 0)
    assert report.ends_trained < 3
    assert report.shortened >= 1
    _, targets = examples.collate([longest])
    assert (targets != IGNORE).sum() == 1
    _, report = instruction_dataset(EXAMPLES, tokenizer, "chatml", len(prompts[longest]) - 1)
    assert report.dropped == 1
    assert "1 dropped of 3 examples" in (report.warning() or "")
    with pytest.raises(HornbookError, match="none of the 3 instructions"):
        instruction_dataset(EXAMPLES, tokenizer, "chatml", 2)


def test_a_follower_is_trained_whole_or_by_lora() -> None:
    config = ModelConfig(
        vocab_size=300, context_length=16, embed_dim=16, n_layers=1, n_heads=2, mlp="swiglu"
    )
    model = Transformer(config)
    assert prepare_follower(model, "full") == []
    assert all(p.requires_grad for p in model.parameters())
    assert len(prepare_follower(model, "lora", LoRASettings(rank=2))) == 7
    trained = [p for p in model.parameters() if p.requires_grad]
    assert {id(p) for p in trained} == {id(p) for p in lora_parameters(model)}


def test_on_real_instructions(tokenizer: Tokenizer) -> None:
    path = Path(__file__).parents[3] / "shared/data/instruction-data.json"
    if not path.is_file():
        pytest.skip("no ../shared/data")
    read = read_instructions(path)
    assert len(read) == len(json.loads(path.read_text("utf-8")))
    _, report = instruction_dataset(read[:200], tokenizer, "alpaca", max_length=1024)
    assert (report.kept, report.ends_trained) == (200, 200)
