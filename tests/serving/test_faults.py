"""Whatever is sent: a clear answer in JSON, no crash, no row left in use."""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from hornbook.errors import HornbookError
from hornbook.inference.engine import EngineSettings, Order
from hornbook.inference.settings import GenerationSettings
from hornbook.serving.app import create_app
from hornbook.serving.settings import ServerSettings
from tests.serving.conftest import Running, make_bundle

CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "Where is the cat?"}]}
TEXT: dict[str, Any] = {"prompt": "The cat"}


def endless(server: Running, max_tokens: int = 29_000) -> dict[str, Any]:
    """A request for a text that does not end by itself."""
    bias = {str(number): -100 for number in server.served.ends}
    return {**TEXT, "max_tokens": max_tokens, "logit_bias": bias}


def error_of(response: Any) -> dict[str, Any]:
    error: dict[str, Any] = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


WRONG: list[Any] = [0, -1, 1e12, "3", [], {}, True, 1.5, 10**30]


@pytest.mark.parametrize(
    "field", ["max_tokens", "n", "top_k", "logprobs", "seed", "top_p", "min_p", "temperature"]
)
def test_numbers_that_make_no_sense_are_named(pretrain: Running, field: str) -> None:
    fine = {"seed": [0], "logprobs": [0], "temperature": [0, True, 1.5], "min_p": [0, True],
            "top_p": [True]}.get(field, [])  # fmt: skip
    for value in [*WRONG, -0.5, 10**12]:
        if value in fine and not isinstance(value, bool):
            continue
        many = isinstance(value, int) and value == 10**12
        if many and field in ("seed", "top_k"):  # of which any number makes sense
            continue
        response = pretrain.post("/v1/completions", **TEXT, **{field: value})
        beyond = many and field in ("max_tokens", "n", "logprobs")
        assert response.status_code == (422 if beyond else 400), (field, value)
        assert error_of(response)["param"] == field
        assert error_of(response)["message"].startswith(field)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_no_json(pretrain: Running, value: str) -> None:
    body = f'{{"prompt": "x", "temperature": {value}}}'
    response = pretrain.http.post("/v1/completions", content=body)
    assert response.status_code == 400
    assert "not JSON" in error_of(response)["message"]


@pytest.mark.parametrize(
    "fields",
    [
        {"stop": ""}, {"stop": [""]}, {"stop": [1]}, {"stop": 1}, {"prompt": None}, {"prompt": []},
        {"prompt": [[]]}, {"prompt": [1, "a"]}, {"prompt": [-1]}, {"best_of": 2}, {"best_of": "1"},
        {"prompt": {}}, {"stream": "yes"}, {"logit_bias": {"a": 1}}, {"logit_bias": {"1": 101}},
        {"logit_bias": {"-1": 1}}, {"logit_bias": {"999999": 1}}, {"logit_bias": {"1": None}},
        {"temperatur": 1}, {"echo": True}, {"presence_penalty": 2.1},
        {"frequency_penalty": -2.1}, {"repetition_penalty": 0}, {"stream_options": {"x": 1}},
        {"response_format": {"type": "xml"}}, {"response_format": {"type": "json_schema"}},
    ],
    ids=str,
)  # fmt: skip
def test_fields_that_make_no_sense_are_named(pretrain: Running, fields: dict[str, Any]) -> None:
    response = pretrain.post("/v1/completions", **{**TEXT, **fields})
    assert response.status_code == 400
    parts = str(error_of(response)["param"]).split(".")
    assert parts[0] in fields
    assert "-" not in "".join(parts[1:])  # no branch of a union, such as constrained-str


@pytest.mark.parametrize(
    ("fields", "limit", "sent"),
    [
        ({"max_tokens": 97}, "96 tokens", 97), ({"n": 65}, "64 answers", 65),
        ({"n": 13}, "12 answers", 13), ({"prompt": ["a"] * 7, "n": 2}, "12 answers", 14),
        ({"prompt": ["a"] * 65}, "64 texts", 65), ({"prompt": [[1]] * 65}, "64 texts", 65),
        ({"prompt": [5] * 96}, "95 tokens", 96), ({"prompt": ["a", [5] * 700]}, "95 tokens", 700),
        ({"logprobs": 21}, "20 tokens", 21), ({"stop": ["a"] * 9}, "8 texts", 9),
        ({"stop": "a" * 201}, "200 characters", 201),
        ({"stop": ["b", "a" * 300]}, "200 characters", 300),
        ({"logit_bias": {str(n): 1 for n in range(301)}}, "300 tokens", 301),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_more_than_is_allowed_names_field_limit_and_what_was_sent(
    pretrain: Running, fields: dict[str, Any], limit: str, sent: int
) -> None:
    response = pretrain.post("/v1/completions", **{**TEXT, **fields})
    assert response.status_code == 422
    error = error_of(response)
    field = next(name for name in reversed(fields))
    assert str(error["param"]).split(".")[0] == field
    assert error["message"].startswith(f"{error['param']}: at most {limit}")
    assert error["message"].endswith(f"this request has {sent}.")
    tokens = field == "prompt" and "95" in limit
    assert error["code"] == ("context_length_exceeded" if tokens else "limit_exceeded")
    assert pretrain.free()


def test_what_is_as_much_as_is_allowed(start: Callable[..., Any]) -> None:
    with start("pretrain", engine=EngineSettings(rows=2, queue=2)) as server:
        answer = server.post("/v1/completions", prompt=[5] * 95, n=4, max_tokens=96, best_of=1)
        assert answer.status_code == 200
        assert [choice["finish_reason"] for choice in answer.json()["choices"]] == ["length"] * 4
        assert server.post("/v1/completions", **TEXT, n=5).status_code == 422  # never, not later


def test_conversations_beyond_a_limit(instruct: Running) -> None:
    turn = {"role": "user", "content": "x"}
    for messages, code in (
        ([{"role": "user", "content": "cat " * 200}], "context_length_exceeded"),
        ([turn] * 1001, "limit_exceeded"),
        ([{"role": "user", "content": [{"type": "text", "text": "x"}] * 65}], "limit_exceeded"),
    ):
        response = instruct.post("/v1/chat/completions", messages=messages)
        assert response.status_code == 422
        assert error_of(response)["code"] == code
        assert str(error_of(response)["param"]).startswith("messages")
    for field in ("max_completion_tokens", "max_tokens"):
        response = instruct.post("/v1/chat/completions", **CHAT, **{field: 10_000})
        assert (response.status_code, error_of(response)["param"]) == (422, field)
        assert instruct.post("/v1/chat/completions", **CHAT, **{field: 0}).status_code == 400


def test_what_is_no_text_is_told(instruct: Running) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    parts = [{"type": "text", "text": "What is this?"}, picture]
    response = instruct.post("/v1/chat/completions", messages=[{"role": "user", "content": parts}])
    assert response.status_code == 400
    error = error_of(response)
    assert error["message"] == (
        "messages.0.content.1.type: messages are of text only here; 'image_url' cannot be read."
    )


def test_embeddings_beyond_a_limit(pretrain: Running) -> None:
    for texts, status in (
        (["a"] * 65, 422), ("cat " * 200, 422), ([[5] * 97], 422), ([[320]], 400), ([[]], 400),
    ):  # fmt: skip
        response = pretrain.post("/v1/embeddings", input=texts)
        assert (response.status_code, str(error_of(response)["param"])[:5]) == (status, "input")


def test_no_prompt_at_all_is_told(pretrain: Running) -> None:
    response = pretrain.post("/v1/completions", prompt=[])
    assert "at least 1 item" in error_of(response)["message"]


@pytest.mark.parametrize(
    "messages",
    [None, [], [{}], [{"role": "tool", "content": "x"}], [{"role": "user"}], ["x"],
     [{"role": "user", "content": 1}], [{"role": "assistant", "content": "x"}],
     [{"role": "user", "content": None}], [{"role": "user", "content": " \n"}],
     [{"role": "user", "content": [{"type": "text"}]}]],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_conversations_that_make_no_sense(instruct: Running, messages: Any) -> None:
    response = instruct.post("/v1/chat/completions", messages=messages)
    assert response.status_code == 400
    assert str(error_of(response)["param"]).startswith("messages")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe{}", b'{"prompt": "\xff"}',
        b'{"prompt": "\\ud800"}', b'{"prompt": ' + b"[" * 100_000, b"[" * 500_000,
        b'{"prompt": ' + b"[" * 900 + b"]" * 900 + b"}", b"\x00" * 100,
    ],
    ids=lambda body: str(body[:20]),
)  # fmt: skip
def test_bodies_that_are_no_request(pretrain: Running, body: bytes) -> None:
    response = pretrain.http.post("/v1/completions", content=body)
    assert response.status_code == 400
    error_of(response)


def test_a_large_body_is_refused_declared_or_not(pretrain: Running) -> None:
    head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
    declared = pretrain.raw(head + b"Content-Length: 200000000\r\n\r\n")
    assert declared.startswith(b"HTTP/1.1 413")
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    found = b""
    with socket.create_connection(("127.0.0.1", pretrain.port), 10) as connection:
        connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(100):  # 6.5 MB
                connection.sendall(chunk)
        except OSError:
            pass  # it does not want to read all of this
        try:
            found = connection.recv(1000)
        except OSError:
            return
    assert found.startswith(b"HTTP/1.1 413") or not found


@pytest.mark.parametrize("length", [b"-1", b"1e3", b"9" * 400, b"abc"])
def test_lengths_that_are_none(pretrain: Running, length: bytes) -> None:
    head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
    answer = pretrain.raw(head + length + b"\r\n\r\n{}")
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 413"))


def test_a_body_that_does_not_arrive(start: Callable[..., Any]) -> None:
    with start("pretrain", max_body_seconds=0.3) as server:
        head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n"
        with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
            connection.sendall(head + b"{")
            assert connection.recv(1000).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403), ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": ""}, 403), ({"Host": "localhost:9"}, 200), ({"Host": "[::1]:80"}, 200),
        ({"Origin": "http://evil.example"}, 403), ({"Origin": "null"}, 403),
        ({"Host": "localhost", "Origin": "http://localhost"}, 200),
        ({"Host": "localhost", "Origin": "http://localhost:1"}, 403),
    ],
    ids=str,
)  # fmt: skip
def test_foreign_hosts_and_origins(pretrain: Running, headers: dict[str, str], status: int) -> None:
    response = pretrain.http.get("/v1/models", headers=headers)
    assert response.status_code == status
    assert not any(name.startswith("access-control") for name in response.headers)


def test_other_sites_may_not_ask_before(pretrain: Running) -> None:
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    response = pretrain.http.options("/v1/completions", headers=asked)
    assert response.status_code == 403


def test_a_key_is_asked_for(start: Callable[..., Any]) -> None:
    with start("pretrain", api_key="secret-key-1") as server:
        assert server.post("/v1/completions", **TEXT, max_tokens=1).status_code == 200
        for wrong in ("", "Bearer", "Bearer secret-key-", "secret-key-1", "Bearer ü", "Basic x"):
            headers = {"Authorization": wrong.encode("utf-8")}
            for path in ("/v1/models", "/metrics"):
                response = server.http.get(path, headers=headers)
                assert response.status_code == 401
                assert "secret" not in response.text
        assert server.http.get("/health", headers={"Authorization": ""}).status_code == 200


def test_strangers_need_a_key() -> None:
    for host in ("0.0.0.0", "::", "192.168.1.5", "example.org", "127.0.0.1.nip.io"):
        with pytest.raises(HornbookError, match="--api-key"):
            create_app(None, ServerSettings(host=host))  # type: ignore[arg-type]
    for key in ("short", "with space in it", "schlüssel"):
        with pytest.raises(HornbookError, match="at least 8 ASCII"):
            create_app(None, ServerSettings(), key)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/docs", "/openapi.json", "/v1/models/../../etc/passwd",
             "/v1/models/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "/v1/completions/x"],
)  # fmt: skip
def test_no_path_leads_to_a_file(pretrain: Running, path: str) -> None:
    answer = pretrain.raw(
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    )
    assert b" 404 " in answer.split(b"\r\n")[0]
    assert b"root:" not in answer


def test_wrong_methods_and_models(pretrain: Running) -> None:
    assert pretrain.http.get("/v1/completions").status_code == 405
    response = pretrain.post("/v1/completions", **TEXT, model="../../etc/passwd")
    assert response.status_code == 404
    assert error_of(response)["code"] == "model_not_found"


def test_text_never_becomes_a_special_token(instruct: Running) -> None:
    tokenizer = instruct.served.tokenizer
    spelt = "".join(tokenizer.control_tokens)
    plain = instruct.post("/v1/completions", prompt=spelt, max_tokens=1).json()
    assert plain["usage"]["prompt_tokens"] == len(tokenizer.encode(spelt))
    assert not set(tokenizer.encode(spelt)) & set(tokenizer.control_tokens.values())
    for role in ("user", "system"):
        messages = [{"role": role, "content": spelt}, {"role": "user", "content": "x"}]
        seen = instruct.post("/v1/chat/completions", messages=messages, max_tokens=1).json()
        assert seen["usage"]["prompt_tokens"] > len(tokenizer.encode(spelt))


def hang_up(connection: socket.socket) -> None:
    """Close as a process does that is killed."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_away_frees_its_row(start: Callable[..., Any], stream: bool) -> None:
    with start("pretrain", bundle=make_bundle("pretrain", context_length=30_000)) as server:
        engine = server.served.engine
        body = json.dumps({**endless(server), "stream": stream, "n": 3}).encode()
        head = f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        connection = socket.create_connection(("127.0.0.1", server.port), 10)
        connection.sendall(head.encode() + body)
        while engine.writing < 3:
            time.sleep(0.002)
        hang_up(connection)
        assert server.free()
        assert engine.steps < 20_000


def test_a_full_queue_says_when_to_come_again(start: Callable[..., Any]) -> None:
    with start("pretrain", engine=EngineSettings(rows=1, queue=2)) as server:
        engine, hold = server.served.engine, threading.Event()
        engine.call(hold.wait)  # nothing is written meanwhile
        engine.submit([Order([1], GenerationSettings(max_new_tokens=2), lambda _: None)])
        refused = server.post("/v1/completions", **TEXT, n=3)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0
        assert error_of(refused)["code"] == "busy"
        hold.set()
        assert server.free()
        assert server.post("/v1/completions", **TEXT, n=3, max_tokens=2).status_code == 200


def test_time_is_limited(start: Callable[..., Any]) -> None:
    engine = EngineSettings(rows=1, queue=8, seconds=0.3)
    bundle = make_bundle("pretrain", context_length=30_000)
    with start("pretrain", bundle=bundle, engine=engine) as server:
        late = server.post("/v1/completions", **endless(server))
        assert late.status_code == 200
        assert late.json()["choices"][0]["finish_reason"] == "length"
        assert late.json()["usage"]["completion_tokens"] < 29_000
        waited = server.post("/v1/completions", **endless(server), n=2)  # of which one has no row
        assert waited.status_code == 429
        assert server.free()


def test_a_failed_engine_says_so_to_everybody(
    start: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    bundle = make_bundle("pretrain", context_length=30_000)
    with start("pretrain", bundle=bundle) as server:
        found: list[Any] = []

        def ask() -> None:
            found.append(server.post("/v1/completions", **endless(server)))

        asking = threading.Thread(target=ask)
        asking.start()
        while not server.served.engine.writing:
            time.sleep(0.002)
        assert server.http.get("/health").status_code == 200
        with caplog.at_level("CRITICAL"):  # its traceback is for the log
            written_with = server.served.engine._decoder.model  # a copy with packed weights
            written_with.norm.register_forward_hook(lambda *_: 1 / 0)  # type: ignore[arg-type]
            asking.join()
        assert found[0].status_code == 503
        assert "ZeroDivisionError" in error_of(found[0])["message"]
        assert server.http.get("/health").status_code == 503
        assert server.post("/v1/completions", **TEXT).status_code == 503
        assert server.post("/v1/embeddings", input="x").status_code == 503
        assert "hornbook_alive 0.0" in server.http.get("/metrics").text


def test_figures(pretrain: Running) -> None:
    pretrain.post("/v1/completions", **TEXT, max_tokens=1)
    pretrain.http.get("/no/such/path")
    text = pretrain.http.get("/metrics").text
    assert 'hornbook_requests_total{path="/v1/completions",status="200"}' in text
    assert 'hornbook_requests_total{path="other",status="404"}' in text
    assert "hornbook_writing 0.0" in text
    assert "/no/such/path" not in text


def test_slow_readers_are_given_up(start: Callable[..., Any]) -> None:
    bundle = make_bundle("pretrain", context_length=30_000)
    with start("pretrain", bundle=bundle, max_unread_seconds=0.3) as server:
        asked = {**endless(server), "stream": True, "logprobs": 20}
        body = json.dumps(asked).encode()
        head = f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", server.port))
            connection.sendall(head.encode() + body)
            while not server.served.engine.writing:
                time.sleep(0.002)
            assert server.free(within=60)
            assert server.served.engine.steps < 20_000  # given up long before the end
        assert server.post("/v1/completions", **TEXT, max_tokens=1).status_code == 200
