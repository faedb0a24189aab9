"""Generation against the plainest loop without a cache, and against transformers' generate."""

from itertools import islice
from typing import Any

import pytest
import torch

from hornbook.errors import HornbookError
from hornbook.inference.generate import GenerationSettings, generate, generate_batch
from hornbook.model.config import ModelConfig
from hornbook.model.norm import LayerNorm
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime
from tests.model.references import gpt2_reference, randomize

CONTEXT = 16
GPT2: dict[str, Any] = {
    "vocab_size": 37, "context_length": CONTEXT, "embed_dim": 16, "n_layers": 2, "n_heads": 2,
    "tied_embeddings": False,
}  # fmt: skip
MODERN = {
    **GPT2, "positions": "rotary", "norm": "rmsnorm", "qk_norm": True, "n_kv_heads": 1,
    "mlp": "relu2",
}  # fmt: skip
PROMPTS = [[5], [1, 2, 3], [9, 8, 7, 6, 5, 4], [3, 3, 3], [30], list(range(CONTEXT)), [1, 2, 3]]


def make_model(fields: dict[str, Any] = MODERN) -> Transformer:
    model = Transformer(ModelConfig.model_validate(fields))
    # Strong weights, and no token favoured everywhere: else greedy texts repeat one token.
    randomize(model, 1, std=0.9)
    if isinstance(model.norm, LayerNorm):
        torch.nn.init.zeros_(model.norm.bias)
    return model.eval()


def greedy(max_new_tokens: int) -> GenerationSettings:
    return GenerationSettings(max_new_tokens=max_new_tokens, temperature=0)


def sampled(max_new_tokens: int = 12, **changes: Any) -> GenerationSettings:
    return GenerationSettings.model_validate({"max_new_tokens": max_new_tokens, **changes})


def plain_loop(model: Transformer, prompt: list[int], count: int) -> list[int]:
    """Greedy, everything read again for each token; on overflow the last half stays."""
    window, written = list(prompt), []
    for _ in range(count):
        if len(window) > CONTEXT:
            window = window[-(CONTEXT // 2) :]
        with torch.no_grad():
            token = int(model(torch.tensor([window]))[0, -1].argmax())
        window.append(token)
        written.append(token)
    return written


@pytest.mark.parametrize("fields", [GPT2, MODERN], ids=["gpt2", "modern"])
@pytest.mark.parametrize("prompt", PROMPTS, ids=len)
def test_greedy_equals_the_plain_loop_far_beyond_the_context(
    fields: dict[str, Any], prompt: list[int]
) -> None:
    model = make_model(fields)
    written = list(generate(model, prompt, greedy(3 * CONTEXT)))
    assert written == plain_loop(model, prompt, 3 * CONTEXT)
    assert len(set(written)) > 3


def test_greedy_equals_transformers_generate() -> None:
    model = make_model(GPT2)
    reference, _ = gpt2_reference(model)
    prompt = [1, 2, 3]
    expected = reference.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, 3, dtype=torch.int64),
        max_new_tokens=CONTEXT - 3,
        do_sample=False,
        pad_token_id=0,
    )
    assert list(generate(model, prompt, greedy(CONTEXT - 3))) == expected[0, 3:].tolist()


@pytest.mark.parametrize("fields", [GPT2, MODERN], ids=["gpt2", "modern"])
@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_batch_equals_single(fields: dict[str, Any], batch_size: int) -> None:
    model, settings, stop = make_model(fields), greedy(2 * CONTEXT), {19, 31, 32}
    alone = [list(generate(model, prompt, settings, stop)) for prompt in PROMPTS]
    assert len({len(answer) for answer in alone}) > 2  # rows end at different times
    assert generate_batch(model, PROMPTS, settings, stop, batch_size=batch_size) == alone


def test_many_batches_equal_single() -> None:
    model, settings = make_model(), greedy(10)
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(1, CONTEXT + 1, (200,), generator=generator).tolist()
    prompts = [torch.randint(37, (n,), generator=generator).tolist() for n in lengths]
    answers = generate_batch(model, prompts, settings, {4})
    for index in range(0, 200, 17):
        assert answers[index] == list(generate(model, prompts[index], settings, {4}))


def test_sampled_answers_hang_on_seed_and_place_only() -> None:
    model, settings = make_model(), sampled(seed=3, repetition_penalty=1.1, top_p=0.95)
    whole = generate_batch(model, PROMPTS, settings, batch_size=64)
    assert generate_batch(model, PROMPTS, settings, batch_size=2) == whole
    assert list(generate(model, PROMPTS[0], settings)) == whole[0]
    assert whole[1] != whole[6]  # equal prompts at different places


def test_same_seed_same_text() -> None:
    model = make_model()
    first = list(generate(model, [1, 2], sampled(seed=1)))
    torch.manual_seed(99)  # the global generator has no part in it
    assert list(generate(model, [1, 2], sampled(seed=1))) == first
    assert list(generate(model, [1, 2], sampled(seed=2))) != first


def test_top_k_of_one_is_greedy() -> None:
    model = make_model()
    expected = list(generate(model, [1, 2], greedy(12)))
    assert list(generate(model, [1, 2], sampled(top_k=1, temperature=1.0))) == expected


def test_repetition_penalty_counts_the_prompt() -> None:
    model = make_model()
    settings = GenerationSettings(max_new_tokens=10, temperature=0, repetition_penalty=1e9)
    text = [1, 2, *generate(model, [1, 2], settings)]
    assert len(set(text)) == len(text)


def test_stop_ids_end_the_text_and_stay_out_of_it() -> None:
    model = make_model()
    free = list(generate(model, [1, 2], greedy(12)))
    stop = free[5]
    assert list(generate(model, [1, 2], greedy(12), {stop})) == free[: free.index(stop)]
    assert generate_batch(model, [[1, 2]], greedy(12), [stop]) == [free[: free.index(stop)]]


def test_tokens_come_one_by_one() -> None:
    endless = GenerationSettings(max_new_tokens=10**12)
    assert len(list(islice(generate(make_model(), [1], endless), 40))) == 40


def test_context_of_one_token() -> None:
    model = make_model({**GPT2, "context_length": 1})
    assert len(list(generate(model, [1], greedy(5)))) == 5


def test_model_is_left_as_it_was_found() -> None:
    model = make_model({**GPT2, "dropout": 0.5}).train()
    stream = generate(model, [1, 2], greedy(8))
    first = next(stream)
    assert model.training
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    assert [first, *stream] == list(generate(model.eval(), [1, 2], greedy(8)))


def test_runtime_sets_the_precision() -> None:
    runtime = Runtime(torch.device("cpu"), torch.bfloat16, seed=1, reason="test")
    assert len(list(generate(make_model(), [1, 2], greedy(20), runtime=runtime))) == 20


def test_no_prompts_no_answers() -> None:
    assert generate_batch(make_model(), [], greedy(3)) == []


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ([], "the prompt is empty"),
        ([0] * (CONTEXT + 1), "the prompt is 17 tokens long, but this model reads at most 16"),
        ([37], "a token id outside the model's vocabulary of 37"),
        ([-1], "a token id outside the model's vocabulary of 37"),
    ],
)
def test_bad_prompts_are_refused_before_anything_is_read(prompt: list[int], message: str) -> None:
    model = make_model()
    with pytest.raises(HornbookError, match=message):
        generate(model, prompt, greedy(3))
    with pytest.raises(HornbookError, match=message):
        generate_batch(model, [[1], prompt], greedy(3))


def test_damaged_weights_are_an_error() -> None:
    model = make_model()
    torch.nn.init.constant_(model.norm.weight, torch.nan)
    with pytest.raises(HornbookError, match="not numbers"):
        list(generate(model, [1], greedy(3)))


@pytest.mark.parametrize(
    "field",
    [
        {"max_new_tokens": 0}, {"temperature": -1.0}, {"top_k": 0}, {"top_p": 0.0}, {"top_p": 1.1},
        {"repetition_penalty": 0.0}, {"temperature": float("nan")}, {"top_k": 1.5},
    ],
)  # fmt: skip
def test_senseless_settings_are_refused(field: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(field))):
        GenerationSettings.model_validate(field)
