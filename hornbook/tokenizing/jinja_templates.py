"""The templates of `templates.py` in the languages of other programs: Jinja, and Go's for Ollama.

Where those programs find a control token's spelling in what a user says, most take it for the
token, which Hornbook never does: that part of its safety does not travel in a template.
"""

import json

from hornbook.errors import HornbookError
from hornbook.tokenizing.special import ASSISTANT, END, SYSTEM, USER
from hornbook.tokenizing.templates import ALPACA_HEADER, END_OF_TURN, Template
from hornbook.tokenizing.tokenizer import Tokenizer

HEADINGS: dict[Template, tuple[str, str, str]] = {
    "phi3": ("<|", "|>\n", "\n"),
    "chatml": ("<|im_start|>", "\n", "\n"),
    "llama3": ("<|start_header_id|>", "<|end_header_id|>\n\n", ""),
}
"""Before and behind a role's name, and after a turn's end."""
BEGIN = "<|begin_of_text|>"


def jinja_template(tokenizer: Tokenizer, template: Template) -> str:
    """A template that writes what `encode_conversation` does, for a tokenizer.

    Raises:
        HornbookError: the tokenizer has no template of its own, where that is asked for, or no
            end-of-text token, where one is needed.
    """
    if template == "tokenizer":
        if tokenizer.chat_template is None:
            raise HornbookError("the tokenizer brings no chat template along.")
        return tokenizer.chat_template
    if template == "alpaca":
        return _alpaca(_text(_end_of_text(tokenizer)))
    if template == "hornbook":
        return _hornbook()
    return _marked(tokenizer, template)


def go_template(tokenizer: Tokenizer, template: Template) -> str | None:
    """The same in Go's template language, for Ollama; None for a tokenizer's own.

    Without a beginning-of-text token, which Ollama puts there itself.

    Source: ollama/ollama, docs/template.md.

    Raises:
        HornbookError: the tokenizer has no end-of-text token, where one is needed.
    """
    if template == "tokenizer":
        return None
    if template == "alpaca":
        end = _end_of_text(tokenizer)
        return (
            "{{ $seen := false }}{{ range .Messages }}"
            '{{ if eq .Role "assistant" }}### Response:\n{{ .Content }}' + end + "\n\n"
            '{{ else if eq .Role "system" }}{{ .Content }}\n\n'
            "{{ else }}{{ if not $seen }}" + ALPACA_HEADER + "{{ end }}{{ $seen = true }}"
            "### Instruction:\n{{ .Content }}\n\n{{ end }}{{ end }}### Response:\n"
        )
    if template == "hornbook":
        mark = (
            '{{ if eq .Role "user" }}' + USER + '{{ else if eq .Role "assistant" }}' + ASSISTANT
        ) + ("{{ else }}" + SYSTEM + "{{ end }}")
        return "{{ range .Messages }}" + mark + " {{ .Content }}" + END + "{{ end }}" + ASSISTANT
    before, behind, after = HEADINGS[template]
    closing = END_OF_TURN[template]
    end = ""
    if closing not in tokenizer.control_tokens:
        end = '{{ if eq .Role "assistant" }}' + _end_of_text(tokenizer) + "{{ end }}"
    turn = before + "{{ .Role }}" + behind + "{{ .Content }}" + end + closing + after
    return "{{ range .Messages }}" + turn + "{{ end }}" + f"{before}assistant{behind}"


def _marked(tokenizer: Tokenizer, template: Template) -> str:
    before, behind, after = HEADINGS[template]
    closing = END_OF_TURN[template]
    content = "message['content']"
    begin = ""
    if template == "llama3":
        content += " | trim"
        begin = "{{ " + _text(BEGIN) + " }}" if BEGIN in tokenizer.control_tokens else ""
    end = ""
    if closing not in tokenizer.control_tokens:  # then end of text closes the assistant's turn
        spelling = _text(_end_of_text(tokenizer))
        end = "{% if message['role'] == 'assistant' %}{{ " + spelling + " }}{% endif %}"
    return (
        begin + "{% for message in messages %}"
        "{{ " + _text(before) + " + message['role'] + " + _text(behind) + " }}"
        "{{ " + content + " }}" + end + "{{ " + _text(closing + after) + " }}"
        "{% endfor %}{% if add_generation_prompt %}{{ "
        + _text(f"{before}assistant{behind}")
        + " }}{% endif %}"
    )


def _hornbook() -> str:
    marks = {"system": SYSTEM, "user": USER, "assistant": ASSISTANT}
    return (
        "{% set marks = " + json.dumps(marks) + " %}{% for message in messages %}"
        "{{ marks[message['role']] + ' ' + message['content'] + " + _text(END) + " }}{% endfor %}"
        "{% if add_generation_prompt %}{{ " + _text(ASSISTANT) + " }}{% endif %}"
    )


def _alpaca(end: str) -> str:
    return (
        "{% set seen = namespace(header=false) %}{% for message in messages %}"
        "{% if message['role'] == 'assistant' %}"
        "{{ '### Response:\\n' + message['content'] + " + end + " }}"
        "{% if not loop.last %}{{ '\\n\\n' }}{% endif %}"
        "{% elif message['role'] == 'system' %}{{ message['content'] + '\\n\\n' }}"
        "{% else %}{% if not seen.header %}{{ " + _text(ALPACA_HEADER) + " }}"
        "{% set seen.header = true %}{% endif %}"
        "{{ '### Instruction:\\n' + message['content'] + '\\n\\n' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '### Response:\\n' }}{% endif %}"
    )


def _end_of_text(tokenizer: Tokenizer) -> str:
    spelling = tokenizer.role_spellings.get("eos_token")
    if spelling is None:
        raise HornbookError("the tokenizer has no end-of-text token, so no answer could end.")
    return spelling


def _text(value: str) -> str:
    """A string as Jinja writes one."""
    return json.dumps(value, ensure_ascii=False)
