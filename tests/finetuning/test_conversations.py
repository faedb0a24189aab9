"""Data sets of conversations: every form is read, and what is wrong is said in one sentence."""

import json
from pathlib import Path
from typing import Any

import pytest

from hornbook.corpus.tables import Instruction, split_examples
from hornbook.errors import HornbookError
from hornbook.finetuning.conversations import (
    Conversation,
    examine,
    of_instructions,
    overlap,
    read_conversations,
    repeated,
)
from hornbook.finetuning.pairs import holds_pairs
from hornbook.tokenizing.templates import Message

ALPACA = {"instruction": "Add.", "input": "1 2", "output": "3", "category": "sums"}
SHAREGPT = {
    "id": "x",
    "system": "Be kind.",
    "conversations": [
        {"from": "human", "value": "Hi"},
        {"from": "gpt", "value": "Hello."},
        {"from": "human", "value": "Bye"},
        {"from": "gpt", "value": "See you."},
    ],
}
OPENAI = {
    "messages": [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "H"}, {"type": "text", "text": "i"}]},
        {"role": "assistant", "content": "Hello.", "weight": 0},
        {"role": "user", "content": "Bye"},
        {"role": "assistant", "content": "See you."},
    ]
}
COMPLETION = {"prompt": "Hi", "completion": "Hello."}
TURNS = (
    Message("system", "Be kind."),
    Message("user", "Hi"),
    Message("assistant", "Hello."),
    Message("user", "Bye"),
    Message("assistant", "See you."),
)


def write(path: Path, *records: Any) -> Path:
    if path.suffix == ".json":
        path.write_text(json.dumps(list(records)), "utf-8")
    else:
        path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    return path


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_every_form_is_read(tmp_path: Path, name: str) -> None:
    [alpaca] = read_conversations(write(tmp_path / name, ALPACA))
    assert alpaca.messages == (Message("user", "Add.", "1 2"), Message("assistant", "3"))
    assert (alpaca.category, alpaca.question, alpaca.answer) == ("sums", "Add.\n1 2", "3")
    [shared] = read_conversations(write(tmp_path / name, SHAREGPT))
    assert shared.messages == TURNS
    assert shared.turns == 2
    assert shared.asked == TURNS[:4]
    [openai] = read_conversations(write(tmp_path / name, OPENAI))
    unweighted = (*TURNS[:2], Message("assistant", "Hello.", trained=False), *TURNS[3:])
    assert openai.messages == unweighted
    [pair] = read_conversations(write(tmp_path / name, COMPLETION))
    assert pair.messages == TURNS[1:3]


def test_a_table_of_prompts_and_completions(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('prompt,completion,note\n"Say ""hi"",\nplease",hi,x\nBye,bye,\n', "utf-8")
    examined = examine(path)
    assert examined.form == "prompt/completion"
    assert [c.messages[0].content for c in examined.conversations] == ['Say "hi",\nplease', "Bye"]
    path.write_text("instruction,input,output\nAdd.,1 2,3\n", "utf-8")
    assert examine(path).form == "Alpaca"
    path.write_text("prompt,completion\nonly one\n", "utf-8")
    with pytest.raises(HornbookError, match="line 2: 1 fields where the header names 2 columns"):
        read_conversations(path)


def turns(*roles: str) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": "x"} for role in roles]}


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"text": "x"}, r"entry 1: its fields \(text\) are of no known form"),
        ({"instruction": "x", "output": "  "}, "entry 1: 'output' is empty"),
        ({"instruction": "x"}, "entry 1: no field 'output'"),
        ({"prompt": "x", "completion": ""}, "entry 1: 'completion' is empty"),
        ({"prompt": "x", "completion": None}, "'completion' must be a string, found null"),
        ({"messages": []}, "'messages' must be a list of messages"),
        ({"messages": ["x"]}, "message 1: expected an object, found a string"),
        (turns("user", "user"), "message 2: expected the assistant, found the user"),
        (turns("assistant", "user"), "message 1: expected the user, found the assistant"),
        (turns("user", "system", "assistant"), "message 2: expected the assistant, found the sys"),
        (turns("user", "assistant", "user"), "it ends with what the user says"),
        (turns("system"), "nobody asks and nobody answers"),
        (turns("user", "tool"), "message 2: 'role' is 'tool'; expected one of system"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "message 1: its content has a part of type 'image_url'",
        ),
        (
            {"messages": [{"role": "assistant", "content": None, "tool_calls": [1]}]},
            "message 1: it calls a tool",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": "x"},
                    {"role": "assistant", "content": "x", "weight": 0},
                ]
            },
            "every answer has weight 0",
        ),
        (
            {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": " "}]},
            "message 2: 'value' is empty",
        ),
        ({"conversations": [{"from": "cat", "value": "a"}]}, "'from' is 'cat'"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, record: dict[str, Any], said: str) -> None:
    path = write(tmp_path / "a.json", record)
    with pytest.raises(HornbookError, match=said):
        read_conversations(path)


def test_all_faults_are_counted_and_the_first_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", COMPLETION, {"prompt": "x"}, COMPLETION, {"prompt": ""})
    examined = examine(path)
    assert len(examined.conversations) == 2
    assert len(examined.faults) == 2
    with pytest.raises(HornbookError, match=r"line 2: no field 'completion'.* 1 more record has a"):
        read_conversations(path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", 'no\n{"prompt": "x", "completion": "y"}\n[1]\n{"prompt": "x"}\n'),
        ("a.json", '["no", {"prompt": "x", "completion": "y"}, [1], {"prompt": "x"}]'),
        ("a.csv", "prompt,completion\nx\nx,y\nx,y,z\nx,\n"),
    ],
)
def test_records_that_cannot_be_read_do_not_hide_the_other_faults(
    tmp_path: Path, name: str, text: str
) -> None:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    examined = examine(path)
    assert len(examined.conversations) == 1
    assert len(examined.faults) == 3
    assert not holds_pairs(path)
    path.write_text(text.split("\n")[0] if name == "a.jsonl" else text[:5], "utf-8")
    with pytest.raises(HornbookError, match=name):
        examine(path)


def test_what_stands_on_both_sides_of_a_split_is_counted() -> None:
    train = of_instructions([Instruction("Add.", "1 2", "3"), Instruction("Add.", "1 2", "3")])
    test = of_instructions([Instruction("add. ", "1  2", "four"), Instruction("Add.", "2 2", "4")])
    assert repeated(train) == 1
    assert overlap(train, test) == 1


def test_a_split_is_the_same_in_whichever_form_the_data_come() -> None:
    plain = [Instruction(f"Say {n}.", "", str(n)) for n in range(50)]
    talks = of_instructions(plain)
    of_plain = split_examples(plain, 1, 0.1, 0.2)
    of_talks = split_examples(talks, 1, 0.1, 0.2, content=lambda talk: talk.content)
    assert of_talks == tuple(of_instructions(part) for part in of_plain)
    assert Conversation(TURNS).content == Conversation(TURNS)
