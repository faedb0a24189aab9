"""A tokenizer's own chat template: the ids of the reference, exact masks, and nothing that gets out."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizer_examples import foreign_library

from hornbook.errors import HornbookError
from hornbook.tokenizing import own_template
from hornbook.tokenizing.own_template import OwnTemplate
from hornbook.tokenizing.templates import Message, encode_conversation, stop_ids
from hornbook.tokenizing.tokenizer import Tokenizer

CHATML = """{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}"""
TRIMMED = """{%- for message in messages -%}
<|im_start|>{{ message['content'] | trim }}<|im_end|>
{% endfor -%}"""
MERGED = """{%- if messages[0]['role'] == 'system' -%}
    {%- set system = messages[0]['content'] + '\\n\\n' -%}
    {%- set messages = messages[1:] -%}
{%- else -%}{%- set system = '' -%}{%- endif -%}
{%- for m in messages -%}
    {%- if loop.first -%}{%- set said = system + m['content'] -%}{%- else -%}{%- set said = m['content'] -%}{%- endif -%}
    {%- if m['role'] == 'user' -%}<|im_start|>{{ said }}
    {%- else -%}{% generation %}{{ ' ' + said + '<|im_end|>' }}{% endgeneration %}
    {%- endif -%}
{%- endfor -%}"""
CHAT = [
    Message("system", "Be kind."),
    Message("user", "  Hello there\n"),
    Message("assistant", "Hi. "),
    Message("user", "Bye"),
    Message("assistant", "See you."),
]


def _tokenizer(template: str | None) -> Tokenizer:
    tree = json.loads(foreign_library("byte-bpe").to_str())
    return Tokenizer(tree, "test", chat_template=template)


def _library_ids(template: str, messages: list[Message], prompt: bool = False) -> list[int]:
    """The ids that transformers gives."""
    transformers = pytest.importorskip("transformers")
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=foreign_library("byte-bpe"))
    chat = [{"role": m.role, "content": m.content} for m in messages]
    return fast.apply_chat_template(
        chat, chat_template=template, add_generation_prompt=prompt, return_dict=False
    )


@pytest.mark.parametrize("template", [CHATML, TRIMMED, MERGED])
def test_text_is_the_librarys(template: str) -> None:
    tokenizer = _tokenizer(template)
    encoded = encode_conversation(tokenizer, CHAT, "tokenizer")
    assert tokenizer.decode(encoded.ids) == tokenizer.decode(_library_ids(template, CHAT))


def test_a_prompts_ids_are_the_librarys() -> None:
    tokenizer = _tokenizer(CHATML)
    encoded = encode_conversation(tokenizer, CHAT[:4], "tokenizer", add_answer_prompt=True)
    whole = encode_conversation(tokenizer, CHAT, "tokenizer")
    assert encoded.ids == _library_ids(CHATML, CHAT[:4], prompt=True)
    assert whole.ids[: len(encoded.ids)] == encoded.ids


@pytest.mark.parametrize("template", [CHATML, TRIMMED, MERGED])
def test_trained_is_what_the_assistant_says_and_its_end(template: str) -> None:
    tokenizer = _tokenizer(template)
    encoded = encode_conversation(tokenizer, CHAT, "tokenizer")
    runs = [[]]
    for token, trained in zip(encoded.ids, encoded.trained, strict=True):
        if trained:
            runs[-1].append(token)
        elif runs[-1]:
            runs.append([])
    said = [tokenizer.decode(run) for run in runs if run]
    assert [text.replace(" <", "<") for text in said] == ["Hi.<|im_end|>", "See you.<|im_end|>"]
    assert stop_ids(tokenizer, "tokenizer") >= {tokenizer.token_id("<|im_end|>")}


def test_what_stands_before_the_end_is_trained_too() -> None:
    broken = CHATML.replace("message.content + '<|im_end|>'", "message.content + '\\n<|im_end|>'")
    tokenizer = _tokenizer(broken)
    encoded = encode_conversation(tokenizer, CHAT[1:3], "tokenizer")
    learnt = [i for i, trained in zip(encoded.ids, encoded.trained, strict=True) if trained]
    assert tokenizer.decode(learnt) == "Hi. \n<|im_end|>"


def test_it_is_the_built_in_chatml() -> None:
    tokenizer = _tokenizer(CHATML)
    assert encode_conversation(tokenizer, CHAT, "tokenizer") == encode_conversation(
        tokenizer, CHAT, "chatml"
    )


@given(data=st.data())
@settings(max_examples=25)
def test_no_text_breaks_out(data: st.DataObject) -> None:
    tokenizer = _tokenizer(CHATML)
    spellings = [*tokenizer.control_tokens, "{{ 7 }}", "{% raw %}", "\0", " ", "\n", "n0x", "a"]
    nasty = st.lists(st.sampled_from(spellings), min_size=1, max_size=5).map("".join)
    messages = [Message(message.role, data.draw(nasty)) for message in CHAT]
    encoded = encode_conversation(tokenizer, messages, "tokenizer")
    assert encoded.ids.count(tokenizer.token_id("<|im_start|>")) == len(CHAT)
    assert encoded.ids.count(tokenizer.token_id("<|im_end|>")) == len(CHAT)
    assert encoded == encode_conversation(tokenizer, messages, "chatml")


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ 'a' * 10**9 }}", "does not work"),
        ("{{ '%1000000000d' % 1 }}", "does not work"),
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "than"),
        ("{{ messages.__class__.__mro__ }}", "does not work"),
        ("{% for %}", "TemplateSyntaxError"),
        ("{{ raise_exception('only one turn') }}", "refuses: only one turn"),
        ("{{ messages[0].content | upper }}<|im_end|>", "changes what a message says"),
        ("{% for m in messages %}{{ m.content }}{% endfor %}", "no special token"),
    ],
)
def test_templates_that_are_no_good(
    template: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_template, "PATIENCE_S", 1.5)
    with pytest.raises(HornbookError, match=said):
        encode_conversation(_tokenizer(template), CHAT, "tokenizer")


def test_a_template_goes_on_after_what_was_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_template, "PATIENCE_S", 1.5)
    template = OwnTemplate("{{ 'a' * (10 ** messages | length) }}{{ messages[0].content }}", {})
    with pytest.raises(HornbookError):
        template.parts([("user", "b")] * 10, False)
    assert "".join(part.text for part in template.parts([("user", "b")], False)) == "a" * 10 + "b"


def test_a_tokenizer_without_a_template() -> None:
    with pytest.raises(HornbookError, match=r"brings a chat template along.*alpaca, phi3"):
        encode_conversation(_tokenizer(None), CHAT, "tokenizer")


@pytest.mark.parametrize("how", ["file", "config", "named"])
def test_where_a_template_is_found(tmp_path: Path, how: str) -> None:
    foreign_library("byte-bpe").save(str(tmp_path / "tokenizer.json"))
    if how == "file":
        (tmp_path / "chat_template.jinja").write_text(CHATML, "utf-8")
    else:
        several = [{"name": "tool_use", "template": "x"}, {"name": "default", "template": CHATML}]
        config = {"chat_template": CHATML if how == "config" else several}
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
    tokenizer = Tokenizer.open(tmp_path)
    assert tokenizer.chat_template == CHATML
    tokenizer.save(tmp_path / "saved")
    assert Tokenizer.load(tmp_path / "saved").chat_template == CHATML
