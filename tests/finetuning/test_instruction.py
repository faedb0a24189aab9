"""Instruction examples: what is trained, what is cut, and that prompts are prefixes of them."""

import json
from pathlib import Path
from typing import get_args

import pytest
import torch

from hornbook.artifact import read_manifest
from hornbook.corpus.tables import Instruction
from hornbook.errors import HornbookError
from hornbook.finetuning.adapter import load_adapter, save_adapter
from hornbook.finetuning.conversations import (
    Conversation,
    of_instructions,
    read_conversations,
)
from hornbook.finetuning.instruction import (
    InstructionSettings,
    answer_prompts,
    instruction_dataset,
    prepare_follower,
)
from hornbook.finetuning.lora import LoRASettings, lora_parameters
from hornbook.finetuning.neftune import add_embedding_noise
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.sampling.batch import IGNORE
from hornbook.tokenizing.templates import Message, Template, stop_ids
from hornbook.tokenizing.tokenizer import Tokenizer, TokenizerSettings

TEMPLATES = [name for name in get_args(Template) if name != "tokenizer"]
INSTRUCTIONS = [
    Instruction("Name the colour.", "the red house", "The colour is red."),
    Instruction("Say yes.", "", "yes"),
    Instruction("Say [END] or <|im_end|>.", "", "<|endoftext|> [END] no"),
]
EXAMPLES = of_instructions(INSTRUCTIONS)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    texts = [f"{e.instruction} {e.input} {e.output}" for e in INSTRUCTIONS]
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
        assert tokenizer.decode(trained[:-1]).strip() == example.answer
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
    with pytest.raises(HornbookError, match="none of the 3 conversations"):
        instruction_dataset(EXAMPLES, tokenizer, "chatml", 2)


def test_every_answer_of_a_conversation_is_trained(tokenizer: Tokenizer) -> None:
    said = [
        Message("system", "Be brief."),
        Message("user", "Say yes."),
        Message("assistant", "yes"),
        Message("user", "Again."),
        Message("assistant", "yes, yes"),
    ]
    examples, report = instruction_dataset([Conversation(tuple(said))], tokenizer, "hornbook", 400)
    _, targets = examples.collate([0])
    learnt = [target for target in targets[0].tolist() if target != IGNORE]
    assert tokenizer.decode(learnt) == " yes[END] yes, yes[END]"
    assert report.sentence() == (
        f"{len(learnt)} tokens are trained in 1 example, none of which is wholly masked; the token "
        "that ends an answer is trained in all of them; 0 were cut to 400 tokens and 0 left out."
    )


def test_a_model_that_would_never_stop_is_refused(tokenizer: Tokenizer) -> None:
    prompt = answer_prompts(EXAMPLES[:1], tokenizer, "chatml")[0]
    with pytest.raises(HornbookError, match=r"end of its last answer.*never learn to stop"):
        instruction_dataset(EXAMPLES[:1], tokenizer, "chatml", len(prompt) + 1)


def test_noise_on_the_embeddings_is_the_librarys() -> None:
    pytest.importorskip("transformers")
    from transformers.integrations import neftune

    model = Transformer(
        ModelConfig(vocab_size=9, context_length=8, embed_dim=16, n_layers=1, n_heads=2)
    )
    ids = torch.tensor([[1, 2, 3], [4, 5, 6]])
    table = torch.nn.Embedding.from_pretrained(model.embedding.token.weight.detach())
    table.neftune_noise_alpha = 5.0
    model.embedding.train()
    plain = model.embedding.token(ids)
    handle = add_embedding_noise(model, 5.0)
    torch.manual_seed(3)
    noisy = model.embedding.token(ids)
    torch.manual_seed(3)
    expected = neftune.neftune_post_forward_hook(table, (ids,), table(ids))
    torch.testing.assert_close(noisy, expected, rtol=0, atol=1e-6)
    assert not torch.equal(noisy, plain)
    model.eval()
    assert torch.equal(model.embedding.token(ids), plain)
    model.train()
    handle.remove()
    assert torch.equal(model.embedding.token(ids), plain)


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
    read = read_conversations(path)
    assert len(read) == len(json.loads(path.read_text("utf-8")))
    _, report = instruction_dataset(read[:200], tokenizer, "alpaca", max_length=1024)
    assert (report.kept, report.ends_trained) == (200, 200)


def test_a_file_of_the_users_own_has_other_defaults() -> None:
    plain = InstructionSettings()
    assert (plain.training.epochs, plain.training.batch_size) == (0.9, 24)
    own = InstructionSettings.model_validate({"path": "a.jsonl", "training": {"lr": 1e-3}})
    for training in (own.training, own.lora_training):
        assert (training.epochs, training.batch_size) == (3.0, 8)
    assert own.training.lr == 1e-3
    assert own.lora_training.lr == plain.lora_training.lr
    said = {"path": "a.jsonl", "training": {"steps": 5}, "lora_training": {"batch_size": 24}}
    chosen = InstructionSettings.model_validate(said)
    assert (chosen.training.steps, chosen.training.epochs) == (5, None)
    assert (chosen.lora_training.epochs, chosen.lora_training.batch_size) == (3.0, 24)
    again = InstructionSettings.model_validate(chosen.model_dump(mode="json"))
    assert again == chosen


def test_an_adapter_may_train_the_tokens_vectors_and_the_head_tied_to_them(tmp_path: Path) -> None:
    sizes = {"vocab_size": 40, "context_length": 16, "embed_dim": 16, "n_layers": 1, "n_heads": 2}
    config = ModelConfig(**sizes, tied_embeddings=True)

    def base() -> Transformer:
        return Transformer(config, torch.Generator().manual_seed(1))

    model = base()
    prepare_follower(model, "lora", LoRASettings(rank=2), token_vectors=True)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert "embedding.token.weight" in trained
    assert all(name.endswith((".A", ".B")) for name in trained - {"embedding.token.weight"})
    ids = torch.randint(40, (2, 16), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1)
    save_adapter(tmp_path / "adapter", model, LoRASettings(rank=2), "base", base=base())
    assert read_manifest(tmp_path / "adapter", "adapter").facts["whole"] == ["embedding.token"]
    loaded = base()
    load_adapter(tmp_path / "adapter", loaded)
    assert loaded.head.weight is loaded.embedding.token.weight
    torch.testing.assert_close(loaded(ids), model(ids))
    # Both uses of the vectors are learnt from: as input and as head.
    model(ids)[..., :5].sum().backward()
    gradient = model.embedding.token.weight.grad
    assert gradient is not None
    assert (gradient.abs().sum(dim=1) > 0)[:5].all()
