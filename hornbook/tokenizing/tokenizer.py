"""The tokenizer: text to ids and ids to text, under one of four algorithms."""

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import orjson

from hornbook import artifact
from hornbook.errors import HornbookError
from hornbook.tokenizing import foreign
from hornbook.tokenizing.decoding import Stream, TextForm, form_of, printable
from hornbook.tokenizing.encoder import Encoder, Packed
from hornbook.tokenizing.guard import disguise
from hornbook.tokenizing.library import build, encode_texts
from hornbook.tokenizing.settings import TokenizerSettings as TokenizerSettings
from hornbook.tokenizing.special import Role, looks_like_control
from hornbook.tokenizing.trainers import train_tree

TOKENIZER_JSON = "tokenizer.json"
VOCAB_TXT = "vocab.txt"
KIND = "tokenizer"


class Tokenizer:
    """Text to token ids and back; made by `train`, `load`, `from_gpt2` or `from_tokenizer_json`.

    No text is ever turned into a special token because it spells one, unless `encode` is asked
    to with `allow_special=True`. No token is added that the text does not have.
    """

    def __init__(
        self,
        tree: dict[str, Any],
        source: str,
        roles: foreign.Roles | None = None,
        settings: TokenizerSettings | None = None,
        chat_template: str | None = None,
    ) -> None:
        """For this folder's use: a tokenizer of a tokenizer.json's content.

        Args:
            source: where it came from, for error messages.
            roles: which tokens are bos, eos, pad and unk; found by well-known names if not given.
            settings: what it was made by.
            chat_template: how conversations are written for it, in Jinja.
        """
        self.chat_template = chat_template
        """Its own template for conversations, if it has one; rendered in `own_template`."""
        self.settings = settings or TokenizerSettings(load=source)
        self._json, self._source = orjson.dumps(tree), source
        self._library = build(self._json, source)
        self._roles = roles or foreign.roles_of(tree)
        ids: dict[str, int] = self._library.get_vocab(with_added_tokens=True)
        self._tokens = _by_id(ids)
        added = {token["content"]: token for token in tree["added_tokens"]}
        self.special_tokens: dict[str, int] = {
            spelling: ids[spelling] for spelling, token in added.items() if token.get("special")
        }
        """Tokens declared special: those that `decode` can skip."""
        self.control_tokens: dict[str, int] = {
            spelling: ids[spelling]
            for spelling in (*added, *self._roles.values())
            if spelling in ids
            and len(spelling) > 1  # one cannot be told from the character
            and (spelling in self.special_tokens or looks_like_control(spelling))
        }
        """Tokens that ordinary text never becomes: the special ones, and those in brackets that
        were added to the vocabulary or have a role, such as Qwen's <think>."""
        self.swallows_space: frozenset[int] = frozenset(
            ids[spelling] for spelling, token in added.items() if token.get("rstrip")
        )
        """Tokens that white space after them belongs to, such as Phi-3's <|user|>."""

    # What not everybody needs is made when it is first asked for: it takes as long as the rest.

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the tokenizer.json's content: equal ones give equal ids."""
        return artifact.hash_json(self.tree)

    @cached_property
    def _encoder(self) -> Encoder:
        disguised = disguise(self.tree, self.control_tokens)
        library = build(orjson.dumps(disguised), self._source)
        return Encoder(disguised, library, self.control_tokens, self.eos_id)

    @cached_property
    def _form(self) -> TextForm:
        return form_of(self.tree, self._tokens, self._library)

    @classmethod
    def train(
        cls, texts: Iterable[str], settings: TokenizerSettings, total: int | None = None
    ) -> Self:
        """Train on texts; the same texts and settings give the same fingerprint.

        Args:
            texts: not kept; BPE is learnt faster if they can be gone through a second time.
            total: how many there are, for the progress bar.

        Raises:
            HornbookError: no text, a lone surrogate, or `vocab_size` too small.
        """
        tree = train_tree(texts, settings, total)
        return cls(tree, "the trained tokenizer", settings=settings)

    @classmethod
    def from_gpt2(cls, vocab_bpe: Path, encoder_json: Path) -> Self:
        """GPT-2's tokenizer; <|endoftext|> is its beginning, end and padding.

        Raises:
            HornbookError: a file is missing, malformed, or of another model than the other.
        """
        tree = foreign.gpt2_tree(vocab_bpe, encoder_json)
        roles: foreign.Roles = {"bos": foreign.GPT2_EOS, "eos": foreign.GPT2_EOS}
        return cls(tree, str(vocab_bpe.parent), roles)

    @classmethod
    def from_tokenizer_json(cls, path: Path) -> Self:
        """A Hugging Face tokenizer.json (or the folder of one), with exactly the library's ids.

        Those of `encode(text, add_special_tokens=False)`: a beginning-of-text token and the like
        are the caller's to add. A tokenizer_config.json beside it says which token is which.

        Raises:
            HornbookError: the file is missing or the library cannot read it.
        """
        path = path / TOKENIZER_JSON if path.is_dir() else path
        tree = foreign.json_tree(path)
        roles = foreign.roles_of(tree, path.with_name(foreign.TOKENIZER_CONFIG))
        return cls(tree, str(path), roles, None, foreign.chat_template_of(path.parent))

    @classmethod
    def load(cls, path: Path) -> Self:
        """A tokenizer that `save` wrote, its files checked against their hashes.

        Raises:
            HornbookError: not a tokenizer's directory, or a damaged one.
        """
        manifest = artifact.read_manifest(path, KIND)
        tree = foreign.json_tree(path / TOKENIZER_JSON)
        try:
            settings = TokenizerSettings(**manifest.settings)
            roles: foreign.Roles = {role: manifest.facts["roles"][role] for role in _ROLES}
        except (ValueError, KeyError, TypeError):
            raise HornbookError(
                f"{path / artifact.MANIFEST} is damaged: it does not describe a tokenizer."
            ) from None
        return cls(tree, str(path), roles, settings, foreign.chat_template_of(path))

    @classmethod
    def open(cls, path: Path) -> Self:
        """Whichever kind of tokenizer stands at `path`: saved here, GPT-2's or Hugging Face's.

        Raises:
            HornbookError: there is none.
        """
        if path.is_file():
            return cls.from_tokenizer_json(path)
        if (path / artifact.MANIFEST).is_file():
            return cls.load(path)
        if (files := foreign.find_gpt2_files(path)) is not None:
            return cls.from_gpt2(*files)
        if (path / TOKENIZER_JSON).is_file():
            return cls.from_tokenizer_json(path)
        raise HornbookError(
            f"tokenizer.load: no tokenizer at {path}; expected a folder with vocab.bpe and "
            "encoder.json, a tokenizer.json, or a tokenizer that Hornbook saved."
        )

    @classmethod
    def make(
        cls, texts: Iterable[str], settings: TokenizerSettings, total: int | None = None
    ) -> Self:
        """What the settings ask for: the tokenizer at `settings.load`, or one trained on `texts`.

        Raises:
            HornbookError: as `open` or `train`.
        """
        if settings.load is not None:
            return cls.open(Path(settings.load))
        return cls.train(texts, settings, total)

    def save(self, directory: Path) -> None:
        """Write tokenizer.json, a vocab.txt to read (id TAB token), and a manifest."""
        facts = {
            "vocab_size": self.vocab_size,
            "fingerprint": self.fingerprint,
            "roles": {role: self._roles.get(role) for role in _ROLES},
            "tokenizers": version("tokenizers"),
        }
        lines = [f"{i}\t{self.token_text(i)}\n" for i, token in enumerate(self._tokens) if token]
        readable = json.dumps(json.loads(self._json), indent=1, ensure_ascii=False)
        with artifact.new_directory(directory) as work:
            artifact.write_text(work / TOKENIZER_JSON, readable + "\n")
            artifact.write_text(work / VOCAB_TXT, "".join(lines))
            if self.chat_template is not None:
                artifact.write_text(work / foreign.CHAT_TEMPLATE, self.chat_template)
            artifact.write_manifest(work, KIND, self.settings.model_dump(), facts=facts)

    def encode(self, text: str, allow_special: bool = False) -> list[int]:
        """The text's ids. With `allow_special`, spellings of special tokens become those tokens.

        Raises:
            HornbookError: the text has a lone surrogate.
        """
        return self.encode_batch([text], allow_special)[0]

    def encode_batch(self, texts: Sequence[str], allow_special: bool = False) -> list[list[int]]:
        """The ids of each text, worked out in parallel.

        Raises:
            HornbookError: a text has a lone surrogate.
        """
        return encode_texts(self._library if allow_special else self._encoder.library, texts)

    def encode_packed(self, texts: Sequence[str], end: bool = False) -> Packed:
        """The same ids as `encode_batch`'s in two arrays: the quick way for much text.

        By fastokens, where it is installed and gives the ids of the tokenizers library.

        Args:
            end: put `eos_id` behind each text, if there is one.

        Raises:
            HornbookError: a text has a lone surrogate.
        """
        return self._encoder.encode(texts, end)

    def to_json(self) -> str:
        """The content of its tokenizer.json, for libraries that read such a file."""
        return self._json.decode()

    @property
    def slow_reason(self) -> str:
        """Why `encode_packed` works with the tokenizers library; empty while fastokens does."""
        return self._encoder.reason

    def decode(self, ids: Iterable[int], skip_special: bool = False) -> str:
        """The text of ids; with `skip_special`, without the special tokens among them.

        BPE gives any text back exactly, and � for bytes that are no character. Unigram gives back
        all but characters it has no token for. Word and WordPiece put spaces where printed English
        has them: see `words` for what is lost.

        Raises:
            HornbookError: an id is not in the vocabulary.
        """
        checked = [self.check_id(token_id) for token_id in ids]
        if skip_special:
            special = set(self.special_tokens.values())
            checked = [token_id for token_id in checked if token_id not in special]
        return self._form.decode(checked)

    def stream(self) -> Stream:
        """For `StreamDecoder`: a fresh incremental decoder."""
        return self._form.stream()

    def check_id(self, token_id: int) -> int:
        """The id as a plain int, if the vocabulary has it.

        Raises:
            HornbookError: it does not.
        """
        number = int(token_id)
        if not 0 <= number < len(self._tokens) or self._tokens[number] is None:
            raise HornbookError(
                f"Token id {number} is not in the vocabulary of {self.vocab_size} tokens "
                f"(0 to {self.vocab_size - 1}); were these ids made by another tokenizer?"
            )
        return number

    def token_text(self, token_id: int) -> str:
        """One token for a person to read, on one line.

        "·" is a space, "⏎" a line break, "⇥" a tab; other invisible characters and bytes that are
        only part of a character stand as \\xNN. "##" before a WordPiece token goes on with a word.

        Raises:
            HornbookError: the id is not in the vocabulary.
        """
        number = self.check_id(token_id)
        token = self._tokens[number]
        if token in self.control_tokens:
            return printable(token)
        return self._form.show(number)

    def token_id(self, token: str) -> int | None:
        """The id of a token in the vocabulary's own spelling, such as "[EOS]"; None if not there."""
        number: int | None = self._library.token_to_id(token)
        return number

    @property
    def opening_ids(self) -> list[int]:
        """What the tokenizer's own file has put before every text, such as Llama's begin-of-text.

        `encode` does not add it; models that were trained with it need it.
        """
        plain = self._library.encode("a", add_special_tokens=False).ids
        whole = self._library.encode("a").ids
        starts = (n for n in range(len(whole)) if whole[n : n + len(plain)] == plain)
        return list(whole[: next(starts, 0)])

    @property
    def vocab_size(self) -> int:
        """Number of ids: one more than the highest."""
        return len(self._tokens)

    @property
    def bos_id(self) -> int | None:
        """Beginning of text."""
        return self._role_id("bos")

    @property
    def eos_id(self) -> int | None:
        """End of text; stands between documents."""
        return self._role_id("eos")

    @property
    def pad_id(self) -> int | None:
        """Padding; the end-of-text token where there is no own one."""
        own = self._role_id("pad")
        return self.eos_id if own is None else own

    @property
    def unk_id(self) -> int | None:
        """What stands for text that no token covers."""
        return self._role_id("unk")

    def extended(self, spellings: Sequence[str], special: bool = True) -> "Tokenizer":
        """A copy with more tokens, their ids after all others'.

        With `special` ordinary text never becomes them; otherwise they are words that are not split.

        Raises:
            HornbookError: none are given, or one is empty, given twice or there already.
        """
        tree, known = self.tree, set[str]()
        for number, spelling in enumerate(spellings, start=self.vocab_size):
            if not spelling or spelling in known or self.token_id(spelling) is not None:
                raise HornbookError(
                    f"the token {spelling!r} cannot be added: it is empty, given twice, or there "
                    "already."
                )
            known.add(spelling)
            tree["added_tokens"].append(foreign.added_token(spelling, number, special))
        if not spellings:
            raise HornbookError("give at least one token to add.")
        return Tokenizer(
            tree, "the extended tokenizer", self._roles, self.settings, self.chat_template
        )

    @property
    def tree(self) -> dict[str, Any]:
        """The content of its tokenizer.json, a copy."""
        return dict(orjson.loads(self._json))

    @property
    def role_spellings(self) -> dict[str, str]:
        """The spellings of the tokens that have a role, by the names that chat templates use."""
        return {f"{role}_token": name for role, name in self._roles.items() if name is not None}

    def _role_id(self, role: Role) -> int | None:
        spelling = self._roles.get(role)
        return None if spelling is None else self.token_id(spelling)


def _by_id(ids: dict[str, int]) -> list[str | None]:
    tokens: list[str | None] = [None] * (max(ids.values(), default=-1) + 1)
    for token, number in ids.items():
        tokens[number] = token
    return tokens


_ROLES: tuple[Role, ...] = ("bos", "eos", "pad", "unk")
