"""A trained model ready for use: weights, tokenizer, and what it was trained to do."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from hornbook.artifact import MANIFEST, Manifest, read_manifest
from hornbook.checkpoints.export.huggingface import exportable
from hornbook.checkpoints.families.family import Family
from hornbook.checkpoints.families.known import FAMILIES
from hornbook.checkpoints.loading.folders import CONFIG, is_folder
from hornbook.checkpoints.loading.hub import HUB, fetch_model, is_hub_model
from hornbook.checkpoints.loading.tensors import INDEX, WEIGHTS
from hornbook.checkpoints.store import LoadedModel, load_model, save_checkpoint
from hornbook.config import validate
from hornbook.errors import HornbookError
from hornbook.finetuning.adapter import load_adapter, save_adapter
from hornbook.finetuning.classification import classify
from hornbook.finetuning.lora import LoRASettings, merge_lora
from hornbook.finetuning.peft_folder import is_peft_folder, load_peft, read_peft_config
from hornbook.finetuning.pooling import pool
from hornbook.inference.answers import ends_of_answer
from hornbook.inference.generate import GenerationSettings, generate, generate_batch
from hornbook.inference.text import decoded, prompt_ids, stream_text
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.pipeline.models.foreign import drawn_as_made, open_foreign
from hornbook.runtime import Runtime
from hornbook.tokenizing.templates import Message, encode_conversation
from hornbook.tokenizing.tokenizer import Tokenizer

MODEL, ADAPTER, TOKENIZER = "model", "adapter", "tokenizer"
"""The parts of a model's folder; it has a model, or an adapter for another folder's model."""


@dataclass(frozen=True)
class Bundle:
    """A model with all that is needed to use it."""

    path: Path
    model: Transformer
    """In evaluation mode; a LoRA adapter is merged into it."""
    tokenizer: Tokenizer
    manifest: Manifest
    """Of the checkpoint, or of the adapter."""
    runtime: Runtime
    base: Path | None = None
    """Folder of the model that its LoRA adapter was merged into; None without an adapter."""

    @property
    def facts(self) -> dict[str, Any]:
        """What training noted: "task", and "labels" or "template" as the task has them."""
        return self.manifest.facts

    @property
    def task(self) -> str:
        """ "pretrain", "classify" or "instruct"."""
        return str(self.facts["task"])

    @property
    def labels(self) -> list[str]:
        """A classifier's classes.

        Raises:
            HornbookError: the model is not a classifier.
        """
        self.require_task("classify", "classify texts")
        return list(self.facts["labels"])

    @property
    def stop_ids(self) -> list[int]:
        """Tokens that a model made elsewhere ends its texts with, besides the tokenizer's own."""
        return list(self.facts.get("stop_ids", ()))

    @property
    def opening_ids(self) -> list[int]:
        """Tokens that a model made elsewhere was trained to read before every text."""
        return list(self.facts.get("opening_ids", ()))

    def require_task(self, task: str, purpose: str) -> None:
        """Make sure that the model was trained for `task`.

        Raises:
            HornbookError: it was not; names the command for what it can do.
        """
        if self.task != task:
            use = {
                "pretrain": "continues a text (hornbook generate)",
                "classify": "classifies texts (hornbook classify)",
                "instruct": "answers requests (hornbook chat)",
            }[self.task]
            raise HornbookError(f"{self.path} cannot {purpose}: this model {use}.")

    def require_language_model(self) -> None:
        """Make sure that the model's outputs are tokens, not classes.

        Raises:
            HornbookError: it is a classifier.
        """
        if self.task == "classify":
            self.require_task("pretrain", "write text")

    def classify(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Probability of each of `labels` for each text, float64 (texts, labels), calibrated.

        Raises:
            HornbookError: the model is not a classifier.
        """
        self.require_task("classify", "classify texts")
        return classify(
            self.model,
            self.tokenizer,
            texts,
            self.runtime,
            max_length=self.facts["max_length"],
            pooling=self.facts.get("pooling", "last"),
            many=self.many,
            temperature=self.facts.get("temperature", 1.0),
        )

    @property
    def thresholds(self) -> list[float]:
        """From which probability on each of `labels` is given, where texts can be of several."""
        return list(self.facts.get("thresholds", [0.5] * len(self.labels)))

    @property
    def many(self) -> bool:
        """Whether a classifier's texts can be of several classes."""
        return bool(self.facts.get("many"))

    @property
    def separator(self) -> str | None:
        """What stands between the labels of one text in a table; None where each has one."""
        return str(self.facts.get("separator", ";")) if self.many else None

    @property
    def ends(self) -> set[int]:
        """Tokens before which a text of the model ends: the end of text, and of an answer."""
        end = self.tokenizer.eos_id
        ends = {*self.stop_ids, *(() if end is None else (end,))}
        if self.task != "instruct":
            return ends
        return ends_of_answer(self.tokenizer, self.facts["template"], ends)

    def drawing(self, given: GenerationSettings, **unstated: Any) -> GenerationSettings:
        """Settings, of which those that are not given are as the model's makers have them.

        Those that neither has are `unstated`, or else the defaults.

        Raises:
            HornbookError: the makers have stated what cannot be.
        """
        own = given.model_dump(exclude_unset=True)
        tree = {**unstated, **drawn_as_made(self.facts), **own}
        return validate(GenerationSettings, tree, f"{self.path}: generation_config.json")

    def prompt_ids(self, prompt: str) -> list[int]:
        """The ids of a text to go on from; an empty one begins a new document.

        Raises:
            HornbookError: it is empty, and the tokenizer has no token that separates documents.
        """
        return prompt_ids(self.tokenizer, prompt, self.opening_ids)

    def conversation_ids(self, messages: Sequence[Message]) -> list[int]:
        """The ids of a conversation, up to where the answer begins.

        Raises:
            HornbookError: as `encode_conversation`.
        """
        template = self.facts["template"]
        return encode_conversation(self.tokenizer, messages, template, add_answer_prompt=True).ids

    def complete(self, prompt: str, settings: GenerationSettings) -> Iterator[str]:
        """Pieces of text that continue `prompt`."""
        self.require_language_model()
        stops, opening = self.ends, self.opening_ids
        return stream_text(
            self.model, self.tokenizer, prompt, settings, stops, self.runtime, opening
        )

    def complete_all(self, prompts: Sequence[str], settings: GenerationSettings) -> list[str]:
        """What continues each of many texts, written side by side."""
        self.require_language_model()
        ids = [self.prompt_ids(prompt) for prompt in prompts]
        written = generate_batch(self.model, ids, settings, self.ends, self.runtime)
        return [
            "".join(decoded(self.tokenizer, iter(found), after, settings.stop))
            for found, after in zip(written, ids, strict=True)
        ]

    def answer(self, messages: Sequence[Message], settings: GenerationSettings) -> Iterator[str]:
        """Pieces of the assistant's answer to a conversation.

        Raises:
            HornbookError: the model does not follow instructions, or the conversation is too long.
        """
        self.require_task("instruct", "answer requests")
        prompt = self.conversation_ids(messages)
        ids = generate(self.model, prompt, settings, self.ends, self.runtime)
        return decoded(self.tokenizer, ids, stop=settings.stop, strip=True)


def save_bundle(
    folder: Path,
    model: Transformer,
    tokenizer: Tokenizer,
    facts: dict[str, Any],
    stored: Path | None = None,
) -> Manifest:
    """Write a model and its tokenizer into a stage's folder.

    `stored` is a checkpoint that holds the same weights, whose file can be shared.
    """
    tokenizer.save(folder / TOKENIZER)
    fingerprint = tokenizer.fingerprint
    return save_checkpoint(
        folder / MODEL, model, tokenizer_fingerprint=fingerprint, facts=facts, stored=stored
    )


def save_adapter_bundle(
    folder: Path,
    model: Transformer,
    tokenizer: Tokenizer,
    facts: dict[str, Any],
    lora: LoRASettings,
    base: LoadedModel,
) -> Manifest:
    """Write a LoRA adapter alone, with the way to its base model, into a stage's folder."""
    tokenizer.save(folder / TOKENIZER)
    base_path = base.directory.resolve().relative_to(folder.resolve().parent)
    return save_adapter(
        folder / ADAPTER,
        model,
        lora,
        base.manifest.fingerprint,
        {**facts, "base": f"../{base_path.as_posix()}"},
        base.model,
    )


def load_bundle(path: Path, runtime: Runtime) -> Bundle:
    """Open a model's folder, such as runs/quickstart/instruct-full; everything is verified.

    Folders that others wrote are opened, too: of the Hugging Face hub (`hf:ORG/NAME` fetches one),
    or GPT-2 as OpenAI published it.

    Raises:
        HornbookError: there is no model, a file is damaged, or the tokenizer is another one.
    """
    path = fetch_model(path) if is_hub_model(path) else Path(path)
    if is_peft_folder(path):
        return _load_peft(path, runtime)
    if path.name in (MODEL, ADAPTER) and (path / MANIFEST).is_file():
        path = path.parent
    if not path.exists():
        raise HornbookError(f"{path}: no such model; give a folder such as runs/NAME/pretrain.")
    if (path / ADAPTER).is_dir():
        return _load_adapted(path, runtime)
    if not (path / MODEL).is_dir() and (path.is_file() or is_folder(path)):
        model, tokenizer, manifest = open_foreign(path, runtime)
        return Bundle(path, model, tokenizer, manifest, runtime)
    if not (path / MODEL).is_dir():
        if (path / WEIGHTS).is_file() or (path / INDEX).is_file():
            raise HornbookError(f"{path} has weights and no {CONFIG}; get the whole folder.")
        raise HornbookError(
            f"{path} holds no model; expected a folder with {MODEL}/ or {ADAPTER}/ in it"
            f"{_models_inside(path)}."
        )
    tokenizer = Tokenizer.load(path / TOKENIZER)
    loaded = load_model(path / MODEL, runtime.device)
    loaded.require_tokenizer(tokenizer.fingerprint)
    pool(loaded.model, loaded.facts.get("pooling", "last"))
    return Bundle(path, loaded.model, tokenizer, loaded.manifest, runtime)


def load_adapted(path: Path, device: torch.device | str) -> tuple[LoadedModel, Tokenizer, Manifest]:
    """The base model of an adapter's folder with the adapter on it, not merged.

    Raises:
        HornbookError: the base is not there, or a file is damaged or of another model.
    """
    facts = read_manifest(path / ADAPTER, ADAPTER).facts
    base_path = path / str(facts.get("base", ""))
    if not base_path.is_dir():
        raise HornbookError(
            f"{path / ADAPTER} adapts the model {base_path}, which is not there; put it back."
        )
    base = load_model(base_path, device)
    tokenizer = Tokenizer.load(path / TOKENIZER)
    base.require_tokenizer(tokenizer.fingerprint)
    return base, tokenizer, load_adapter(path / ADAPTER, base.model)


def _load_adapted(path: Path, runtime: Runtime) -> Bundle:
    base, tokenizer, manifest = load_adapted(path, runtime.device)
    merge_lora(base.model)
    pool(base.model, manifest.facts.get("pooling", "last"))
    return Bundle(
        path, base.model.eval(), tokenizer, manifest, runtime, path / manifest.facts["base"]
    )


def _load_peft(path: Path, runtime: Runtime) -> Bundle:
    """An adapter of peft's on its base model, which is beside it, at a path, or on the hub."""
    stated = read_peft_config(path).base_model_name_or_path or ""
    beside = path.parent / stated
    local = next((p for p in (Path(stated), beside) if stated and p.is_dir()), None)
    bundle = load_bundle(local or Path(f"{HUB}{stated}"), runtime)
    bundle.require_language_model()
    load_peft(path, bundle.model, family_of(bundle.model.config, bundle.facts.get("family")))
    merge_lora(bundle.model)
    facts = {**bundle.facts, "adapter": str(path)}
    manifest = replace(bundle.manifest, facts=facts, files={})
    model = bundle.model.eval()
    return replace(bundle, path=path, model=model, manifest=manifest, base=bundle.path)


def family_of(config: ModelConfig, name: str | None) -> Family:
    """The family that a model came from, or the first that can express it.

    Raises:
        HornbookError: none can.
    """
    return FAMILIES[name] if name in FAMILIES else exportable(config, FAMILIES)


def _models_inside(path: Path) -> str:
    """The models of a run, when the run's folder was given instead of one of them."""
    names = [
        str(folder)
        for folder in sorted(path.iterdir() if path.is_dir() else ())
        if (folder / MODEL).is_dir() or (folder / ADAPTER).is_dir()
    ]
    return f"; there are {', '.join(names)}" if names else ""


def default_runtime() -> Runtime:
    """Float32 on the CPU: exact, and quick enough to use a small model one text at a time."""
    return Runtime(torch.device("cpu"), torch.float32, 1, "cpu, float32")
