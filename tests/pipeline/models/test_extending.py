"""New tokens: ids after the others', old answers as they were."""

import pytest
import torch

from hornbook.errors import HornbookError
from hornbook.model.vocabulary import extend_vocabulary
from hornbook.pipeline.models.bundle import default_runtime, load_bundle
from hornbook.pipeline.models.extending import extend
from tests.pipeline.models.exported_models import TEXT, random_model, save_instruct, small_config

IDS = torch.randint(0, 300, (2, 20), generator=torch.Generator().manual_seed(1))
NEW = ["<|im_start|>", "<|im_end|>"]


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("spare", [0, 1, 10])
def test_old_logits_stay_and_new_tokens_take_their_bounded_share(tied, spare):
    known = 300
    model = random_model(small_config("gpt2-mini", known + spare, tied_embeddings=tied))
    with torch.no_grad():
        before = model(IDS)[..., :known]
        mean = model.embedding.token.weight[:known].mean(dim=0)
        extend_vocabulary(model, known, known + 4)
        after = model(IDS)
    size = max(known + 4, known + spare)
    assert model.config.vocab_size == size == after.shape[-1]
    assert torch.equal(after[..., :known], before)
    assert torch.allclose(model.embedding.token.weight[known:], mean.expand(size - known, -1))
    assert (model.head.weight is model.embedding.token.weight) == tied
    taken = after.softmax(dim=-1)[..., known:].sum(dim=-1)
    assert (taken <= (size - known) / size * 1.0001).all()  # Jensen: exp of the mean is least
    after = model.requires_grad_(True)(IDS).sum()
    after.backward()
    assert model.embedding.token.weight.grad is not None


def test_a_model_with_more_tokens_is_one_like_any(tmp_path):
    model = save_instruct(tmp_path / "run" / "instruct")
    known, wanted = extend(tmp_path / "run" / "instruct", tmp_path / "out", NEW)
    bundle = load_bundle(tmp_path / "out", default_runtime())
    assert (wanted - known, bundle.tokenizer.vocab_size) == (2, wanted)
    assert [bundle.tokenizer.special_tokens[token] for token in NEW] == [known, known + 1]
    assert known not in bundle.tokenizer.encode(f"{TEXT}{NEW[0]}")
    assert bundle.tokenizer.encode(NEW[0], allow_special=True) == [known]
    assert torch.equal(bundle.model(IDS)[..., :known], model(IDS))
    assert bundle.facts["template"] == "hornbook"
    with pytest.raises(HornbookError, match="overwrites nothing"):
        extend(tmp_path / "run" / "instruct", tmp_path / "out", NEW)


def test_words_that_are_not_split_are_ordinary_text(tmp_path):
    save_instruct(tmp_path / "run" / "instruct")
    known, _ = extend(tmp_path / "run" / "instruct", tmp_path / "out", ["Hornbook"], special=False)
    tokenizer = load_bundle(tmp_path / "out", default_runtime()).tokenizer
    assert known in tokenizer.encode("the Hornbook is open")
    assert tokenizer.decode(tokenizer.encode("the Hornbook is open")) == "the Hornbook is open"


@pytest.mark.parametrize("tokens", [[], [""], ["[EOS]"], ["<x>", "<x>"]])
def test_tokens_that_cannot_be_added_are_refused(tmp_path, tokens):
    save_instruct(tmp_path / "run" / "instruct")
    with pytest.raises(HornbookError, match=r"cannot be added|at least one"):
        extend(tmp_path / "run" / "instruct", tmp_path / "out", tokens)
    assert not (tmp_path / "out").exists()


def test_a_vocabulary_cannot_shrink_nor_a_classifier_grow():
    model = random_model(small_config("gpt2-mini", 300))
    with pytest.raises(HornbookError, match="cannot be extended to 300"):
        extend_vocabulary(model, 300, 300)
    model.head = torch.nn.Linear(64, 2)
    with pytest.raises(HornbookError, match="outputs are classes"):
        extend_vocabulary(model, 300, 302)
