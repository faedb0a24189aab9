"""The templates in Jinja give, through `transformers`, the ids that Hornbook's own give."""

import pytest

from hornbook.tokenizing.jinja_templates import go_template, jinja_template
from hornbook.tokenizing.settings import TokenizerSettings
from hornbook.tokenizing.templates import Message, encode_conversation
from hornbook.tokenizing.tokenizer import Tokenizer

TEXTS = ["Once upon a time, Tom said: where is my 2nd ball?\n\nOn the hill!"] * 3
CONVERSATIONS = [
    [Message("user", "Where is Tom?")],
    [Message("system", "Be short."), Message("user", " Hi\n"), Message("assistant", "Hello, you!")],
    [Message("user", "a"), Message("assistant", "b"), Message("user", "c d"), Message("assistant", "e")],
]  # fmt: skip


def with_controls(*spellings: str) -> Tokenizer:
    """A trained tokenizer with more control tokens."""
    tree = Tokenizer.train(TEXTS, TokenizerSettings(vocab_size=300)).tree
    size = max(tree["model"]["vocab"].values()) + 1
    for number, spelling in enumerate(spellings, start=size):
        tree["added_tokens"].append({**tree["added_tokens"][0], "id": number, "content": spelling})
    return Tokenizer(tree, "test")


@pytest.mark.parametrize(
    ("template", "controls"),
    [
        ("alpaca", ()),
        ("hornbook", ()),
        ("phi3", ()),
        ("phi3", ("<|user|>", "<|assistant|>", "<|system|>", "<|end|>")),
        ("chatml", ()),
        ("chatml", ("<|im_start|>", "<|im_end|>")),
        ("llama3", ()),
        ("llama3", ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")),
    ],
)
@pytest.mark.parametrize("messages", CONVERSATIONS)
def test_a_template_in_jinja_writes_the_same_ids(template, controls, messages):
    transformers = pytest.importorskip("transformers")
    tokenizer = with_controls(*controls)
    theirs = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer._library, **tokenizer.role_spellings
    )
    prompt = messages[-1].role != "assistant"
    written = theirs.apply_chat_template(
        [{"role": m.role, "content": m.content} for m in messages],
        chat_template=jinja_template(tokenizer, template),
        add_generation_prompt=prompt,
        tokenize=True,
        return_dict=False,
    )
    assert written == encode_conversation(tokenizer, messages, template, prompt).ids


def test_ollamas_templates_by_hand():
    plain, marked = with_controls(), with_controls("<|im_start|>", "<|im_end|>")
    turn = "{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}"
    rest = "<|im_end|>\n{{ end }}<|im_start|>assistant\n"
    assert go_template(marked, "chatml") == turn + rest
    closed = '{{ if eq .Role "assistant" }}[EOS]{{ end }}'
    assert go_template(plain, "chatml") == turn + closed + rest
    assert go_template(plain, "alpaca").endswith("### Response:\n")
    assert go_template(plain, "tokenizer") is None
