"""The server as OpenAI's own client sees it."""

import json
from typing import Any

import jsonschema
import numpy as np
import pytest

openai = pytest.importorskip("openai")

from hornbook.finetuning.classification import classify as probabilities_of  # noqa: E402
from hornbook.inference.generate import GenerationSettings, generate  # noqa: E402
from hornbook.tokenizing.templates import Message, encode_conversation  # noqa: E402
from tests.serving.conftest import Running  # noqa: E402

ASKED: list[Any] = [{"role": "user", "content": "Where is the cat?"}]


def client(server: Running) -> Any:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def test_models(pretrain: Running) -> None:
    models = list(client(pretrain).models.list())
    assert [model.id for model in models] == ["pretrain"]
    assert client(pretrain).models.retrieve("pretrain").id == "pretrain"
    with pytest.raises(openai.NotFoundError):
        client(pretrain).models.retrieve("another")


def test_a_completion_is_what_generate_gives(pretrain: Running) -> None:
    bundle = pretrain.served.bundle
    found = client(pretrain).completions.create(
        model="pretrain", prompt="The cat", temperature=0, max_tokens=12
    )
    ids = bundle.tokenizer.encode("The cat")
    greedy = GenerationSettings(temperature=0, max_new_tokens=12)
    expected = list(generate(bundle.model, ids, greedy, {bundle.tokenizer.eos_id or 0}))
    whole = bundle.tokenizer.decode([*ids, *expected])
    assert found.choices[0].text == whole.removeprefix(bundle.tokenizer.decode(ids))
    assert found.choices[0].finish_reason == "length"
    assert found.usage.prompt_tokens == len(ids)
    assert found.usage.completion_tokens == 12


def test_a_chat_answer_is_what_the_model_gives(instruct: Running) -> None:
    bundle = instruct.served.bundle
    found = client(instruct).chat.completions.create(
        model="instruct", messages=ASKED, temperature=0, max_tokens=12
    )
    messages = [Message("user", "Where is the cat?")]
    expected = "".join(
        bundle.answer(messages, GenerationSettings(temperature=0, max_new_tokens=12))
    )
    assert found.choices[0].message.content == expected
    ids = encode_conversation(bundle.tokenizer, messages, "hornbook", add_answer_prompt=True).ids
    assert found.usage.prompt_tokens == len(ids)


@pytest.mark.parametrize("n", [1, 3])
def test_a_stream_is_the_answer_in_pieces(instruct: Running, n: int) -> None:
    settings: dict[str, Any] = {
        "model": "instruct", "messages": ASKED, "seed": 5, "max_tokens": 20, "n": n, "top_p": 0.9,
    }  # fmt: skip
    whole = client(instruct).chat.completions.create(**settings)
    stream = client(instruct).chat.completions.create(
        **settings, stream=True, stream_options={"include_usage": True}
    )
    texts, ended, usage = [""] * n, [None] * n, None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            ended[choice.index] = choice.finish_reason or ended[choice.index]
    assert texts == [choice.message.content for choice in whole.choices]
    assert ended == [choice.finish_reason for choice in whole.choices]
    assert usage == whole.usage
    assert len(set(texts)) == n


def test_stop_strings_stay_out(pretrain: Running) -> None:
    ask = {"model": "pretrain", "prompt": "The cat", "temperature": 0, "max_tokens": 30}
    free = client(pretrain).completions.create(**ask).choices[0].text
    stop = free[10:13]
    found = client(pretrain).completions.create(**ask, stop=[stop, "never this"]).choices[0]
    assert found.text == free[: free.index(stop)]
    assert found.finish_reason == "stop"
    stream = client(pretrain).completions.create(**ask, stop=stop, stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == found.text
    assert pretrain.free()


def test_seeds(pretrain: Running) -> None:
    def ask(**changes: Any) -> str:
        text: str = (
            client(pretrain)
            .completions.create(model="pretrain", prompt="The", max_tokens=20, **changes)
            .choices[0]
            .text
        )
        return text

    assert ask(seed=1) == ask(seed=1)
    assert ask(seed=1) != ask(seed=2)
    assert ask() != ask()


def test_log_probabilities(instruct: Running, pretrain: Running) -> None:
    found = client(instruct).chat.completions.create(
        model="instruct", messages=ASKED, logprobs=True, top_logprobs=3, max_tokens=5, seed=1
    )
    content = found.choices[0].logprobs.content
    assert len(content) == 5
    for entry in content:
        assert entry.logprob <= entry.top_logprobs[0].logprob <= 0
        assert len(entry.top_logprobs) == 3
    completion = client(pretrain).completions.create(
        model="pretrain", prompt="The cat", logprobs=2, max_tokens=5, temperature=0
    )
    logprobs = completion.choices[0].logprobs
    assert [max(top.values()) for top in logprobs.top_logprobs] == logprobs.token_logprobs


def test_an_answer_fits_its_schema(instruct: Running) -> None:
    pytest.importorskip("llguidance")
    schema = {
        "type": "object",
        "properties": {"name": {"enum": ["Ida", "Bär"]}, "age": {"type": "integer", "maximum": 99}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    for seed in range(4):
        found = client(instruct).chat.completions.create(
            model="instruct", messages=ASKED, max_tokens=60, seed=seed, temperature=1.5,
            response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
        )  # fmt: skip
        assert found.choices[0].finish_reason == "stop"
        jsonschema.validate(json.loads(found.choices[0].message.content), schema)
    wrong = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nonsense"}}}
    refused = instruct.post("/v1/chat/completions", messages=ASKED, response_format=wrong)
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "response_format"


def test_embeddings(pretrain: Running) -> None:
    texts = ["The cat", "cats sat on mats", "The cat"]
    found = client(pretrain).embeddings.create(model="pretrain", input=texts)  # base64
    vectors = np.array([entry.embedding for entry in found.data])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(vectors[0], vectors[2])
    floats = client(pretrain).embeddings.create(
        model="pretrain", input=texts, encoding_format="float"
    )
    np.testing.assert_allclose([entry.embedding for entry in floats.data], vectors, atol=1e-7)


def test_classifications(classify: Running) -> None:
    bundle = classify.served.bundle
    texts = ["The cat", "Der Bär aß"]
    found = classify.post("/v1/classifications", model="classify", input=texts).json()
    expected = probabilities_of(
        bundle.model, bundle.tokenizer, texts, bundle.runtime, max_length=64
    )
    np.testing.assert_allclose([entry["probs"] for entry in found["data"]], expected, atol=1e-6)
    assert [entry["label"] for entry in found["data"]] == [
        ("bad", "good")[row.argmax()] for row in expected
    ]


def test_each_model_says_what_it_is_for(classify: Running, pretrain: Running) -> None:
    refused = classify.post("/v1/completions", prompt="x")
    assert refused.status_code == 400
    assert "classifies texts" in refused.json()["error"]["message"]
    refused = pretrain.post("/v1/chat/completions", messages=ASKED)
    assert "continues texts" in refused.json()["error"]["message"]
    assert pretrain.post("/v1/classifications", input="x").status_code == 400


def test_null_is_left_out(pretrain: Running, instruct: Running) -> None:
    names = (
        "model", "max_tokens", "temperature", "top_k", "top_p", "min_p", "logit_bias", "stop", "seed",
        "n", "stream", "stream_options", "response_format", "logprobs", "user", "metadata", "echo",
    )  # fmt: skip
    nulls = dict.fromkeys(names)
    ask = {"prompt": "The cat", "max_tokens": 5, "seed": 1}
    found = pretrain.post("/v1/completions", **{**nulls, **ask}).json()
    assert found["choices"] == pretrain.post("/v1/completions", **ask).json()["choices"]
    asked = client(instruct).chat.completions.create(
        model="instruct", messages=ASKED, tools=None, tool_choice=None, stop=None, seed=2,
        response_format=None, max_tokens=6, logprobs=None, top_logprobs=None,
    )  # fmt: skip
    plain = instruct.post("/v1/chat/completions", messages=ASKED, seed=2, max_tokens=6).json()
    assert asked.choices[0].message.content == plain["choices"][0]["message"]["content"]


def test_what_clients_send_along(instruct: Running) -> None:
    def ask(messages: list[Any], **changes: Any) -> Any:
        return client(instruct).chat.completions.create(
            model="instruct", messages=messages, temperature=0, max_tokens=9, **changes
        )

    first = ask(ASKED)
    as_given = [*ASKED, first.choices[0].message.model_dump(), {"role": "user", "content": "And?"}]
    plain = [*ASKED, {"role": "assistant", "content": first.choices[0].message.content}]
    expected = ask([*plain, {"role": "user", "content": "And?"}]).choices[0].message.content
    assert ask(as_given).choices[0].message.content == expected
    told = [{"role": role, "content": "Be brief."} for role in ("system", "developer")]
    answers = [
        ask([one, *ASKED], tools=[], parallel_tool_calls=True, tool_choice="auto")
        for one in told
    ]  # fmt: skip
    assert answers[0].choices[0].message.content == answers[1].choices[0].message.content
    empty = [*ASKED, {"role": "assistant", "content": None, "tool_calls": []}, *ASKED]
    blank = [*ASKED, {"role": "assistant", "content": ""}, *ASKED]
    assert ask(empty).choices[0].message.content == ask(blank).choices[0].message.content
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    with pytest.raises(openai.BadRequestError, match="there are no tools here") as refused:
        ask(ASKED, tools=[tool])
    assert refused.value.param == "tools"


def test_beyond_a_limit(pretrain: Running, instruct: Running) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        client(pretrain).completions.create(model="pretrain", prompt="The cat", max_tokens=4_000)
    assert refused.value.param == "max_tokens"
    assert refused.value.code == "limit_exceeded"
    assert "at most 96 tokens (the model's context); this request has 4,000" in str(refused.value)
    with pytest.raises(openai.UnprocessableEntityError, match="its answer among them") as refused:
        client(instruct).chat.completions.create(model="instruct", messages=ASKED * 40)
    assert (refused.value.param, refused.value.code) == ("messages", "context_length_exceeded")
    with pytest.raises(openai.UnprocessableEntityError, match="at most 64 texts"):
        client(pretrain).embeddings.create(model="pretrain", input=["x"] * 65)


def test_an_empty_prompt_begins_a_document(pretrain: Running) -> None:
    tokenizer = pretrain.served.tokenizer
    ask = {"temperature": 0, "max_tokens": 8}
    empty = pretrain.post("/v1/completions", prompt="", **ask).json()
    after = pretrain.post("/v1/completions", prompt=[tokenizer.eos_id], **ask).json()
    assert empty["choices"] == after["choices"]
    assert empty["usage"]["prompt_tokens"] == 1
