"""Tokenizers made elsewhere: GPT-2's two files, and a Hugging Face tokenizer.json."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hornbook.errors import HornbookError
from hornbook.tokenizing.decoding import byte_alphabet
from hornbook.tokenizing.special import WELL_KNOWN, Role

GPT2_EOS = "<|endoftext|>"
TOKENIZER_CONFIG = "tokenizer_config.json"
CHAT_TEMPLATE = "chat_template.jinja"

Roles = dict[Role, str | None]
"""The spelling of the token in each role, None where there is none."""


def gpt2_tree(vocab_bpe: Path, encoder_json: Path) -> dict[str, Any]:
    """The tokenizer.json content of GPT-2's published files.

    Raises:
        HornbookError: a file is missing, not what it should be, or they do not fit together.
    """
    vocab = read_json(encoder_json)
    if not isinstance(vocab, dict) or not all(type(number) is int for number in vocab.values()):
        raise HornbookError(f"{encoder_json}: expected one JSON object of token: id.")
    merges = _read_merges(vocab_bpe, vocab, encoder_json)
    lacking = [character for character in byte_alphabet() if character not in vocab]
    if lacking or GPT2_EOS not in vocab:
        missing = lacking[0] if lacking else GPT2_EOS
        raise HornbookError(f"{encoder_json} lacks the token {missing!r}; it is not GPT-2's.")
    model = {"type": "BPE", "vocab": vocab, "merges": merges}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [added_token(GPT2_EOS, vocab[GPT2_EOS])],
        "normalizer": None,
        "pre_tokenizer": _BYTE_LEVEL,
        "post_processor": None,
        "decoder": _BYTE_LEVEL,
        "model": model,
    }


_BYTE_LEVEL = {
    "type": "ByteLevel",
    "add_prefix_space": False,
    "trim_offsets": True,
    "use_regex": True,
}


def added_token(content: str, number: int, special: bool = True) -> dict[str, Any]:
    """An entry of a tokenizer.json's added_tokens: a token that is found in text as it is spelt."""
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": number, "content": content, **flags, "special": special}


def _read_merges(path: Path, vocab: Mapping[str, int], encoder_json: Path) -> list[list[str]]:
    merges = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip() or (number == 1 and line.startswith("#version")):
            continue
        pair = line.split()
        if len(pair) != 2:
            raise HornbookError(
                f"{path}, line {number}: expected two pieces with a space between, as in 'i n'."
            )
        if any(piece not in vocab for piece in (*pair, "".join(pair))):
            raise HornbookError(
                f"{path}, line {number}: {''.join(pair)!r} is not in {encoder_json.name}; "
                "take both files from the same model."
            )
        merges.append(pair)
    return merges


def json_tree(path: Path) -> dict[str, Any]:
    """The content of a tokenizer.json, without its truncation and padding: text stays whole.

    Raises:
        HornbookError: the file is missing or is no tokenizer.json.
    """
    tree = read_json(path)
    if not isinstance(tree, dict) or not isinstance(tree.get("model"), dict):
        raise HornbookError(f"{path} is not a tokenizer.json: it has no model.")
    added = tree.get("added_tokens") or []
    fits = isinstance(added, list) and all(
        isinstance(token, dict)
        and isinstance(token.get("content"), str)
        and type(token.get("id")) is int
        for token in added
    )
    if not fits:
        raise HornbookError(f"{path}: expected added_tokens to be objects with content and id.")
    return tree | {"added_tokens": added, "truncation": None, "padding": None}


def roles_of(tree: dict[str, Any], beside: Path | None = None) -> Roles:
    """Which token is bos, eos, pad and unk.

    unk is what the model itself emits; the others are as the tokenizer_config.json `beside` says,
    else well-known names among the added tokens. One that the vocabulary lacks is no token.
    """
    stated = read_json(beside) if beside is not None and beside.is_file() else {}
    if not isinstance(stated, dict):
        raise HornbookError(f"{beside}: expected one JSON object.")
    added = {token["content"] for token in tree["added_tokens"]}
    roles: Roles = {}
    for role, spellings in WELL_KNOWN.items():
        roles[role] = next((name for name in spellings if name in added), None)
        if role != "unk" and f"{role}_token" in stated:
            roles[role] = _spelling(stated[f"{role}_token"])
    roles["unk"] = _unknown_of(tree["model"]) or roles["unk"]
    return roles


def chat_template_of(folder: Path) -> str | None:
    """The chat template that stands beside a tokenizer.json: in a file of its own or, as before 2025,
    in tokenizer_config.json, where of several the one named "default" counts."""
    own = folder / CHAT_TEMPLATE
    if own.is_file():
        return read_text(own)
    config = folder / TOKENIZER_CONFIG
    stated = read_json(config) if config.is_file() else {}
    found = stated.get("chat_template") if isinstance(stated, dict) else None
    if isinstance(found, list):
        named = [entry for entry in found if isinstance(entry, dict)]
        found = next((e.get("template") for e in named if e.get("name") == "default"), None)
    return found if isinstance(found, str) else None


def _unknown_of(model: dict[str, Any]) -> str | None:
    if isinstance(model.get("unk_id"), int):  # Unigram's: an index into its list of pieces
        return str(model["vocab"][model["unk_id"]][0])
    spelling = model.get("unk_token")
    return spelling if isinstance(spelling, str) else None


def _spelling(value: Any) -> str | None:
    """A token in tokenizer_config.json is a string, an object with its content, or null."""
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else None


def find_gpt2_files(folder: Path) -> tuple[Path, Path] | None:
    """GPT-2's vocab.bpe and encoder.json in a folder, plain or with a prefix; None if not there.

    Raises:
        HornbookError: there is more than one of either.
    """
    found = []
    for ending in ("vocab.bpe", "encoder.json"):
        files = sorted(folder.glob(f"*{ending}"))
        if len(files) > 1:
            names = ", ".join(file.name for file in files)
            raise HornbookError(f"{folder} has several files *{ending} ({names}); keep one.")
        found.extend(files)
    return (found[0], found[1]) if len(found) == 2 else None


def read_json(path: Path) -> Any:
    """A JSON file's value.

    Raises:
        HornbookError: it is missing, not UTF-8 or not JSON.
    """
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise HornbookError(f"{path}: not valid JSON: {error}.") from None


def read_text(path: Path) -> str:
    """A UTF-8 file's text.

    Raises:
        HornbookError: it is missing, a directory, unreadable or not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise HornbookError(f"{path} is not UTF-8 text.") from None
    except OSError as error:
        raise HornbookError(f"{path} cannot be read: {error.strerror}.") from None
