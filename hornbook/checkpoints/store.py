"""A checkpoint: a model, and what is needed to go on training it, in one directory.

    model.safetensors       the weights; a matrix that two modules share is stored once
    guard.safetensors       the states that a spike guard would go back to (only to resume from)
    optimizer.safetensors   the optimizer's tensors and torch's random states (only to resume from;
                            a training that has ended leaves them out)
    config.json             the model's config and facts about it (classes of a classifier ...)
    state.json              where training stood, its plan and recipe (only to resume from)
    manifest.json           SHA-256 of these files, fingerprint of the tokenizer

Nothing is pickled: a pickle can run code when it is read.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hornbook.artifact import Manifest, new_directory, read_manifest, write_manifest, write_text
from hornbook.checkpoints.pickles import refuse_pickles
from hornbook.checkpoints.random_state import PREFIX as RANDOM_PREFIX
from hornbook.checkpoints.random_state import random_state, set_random_state
from hornbook.checkpoints.shards import is_sharded, read_whole
from hornbook.config import validate
from hornbook.errors import HornbookError
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer, shapes_of
from hornbook.model.undrawn import Undrawn

KIND = "checkpoint"
WEIGHTS, OPTIMIZER = "model.safetensors", "optimizer.safetensors"
GUARD = "guard.safetensors"
CONFIG, STATE = "config.json", "state.json"
OPTIMIZER_PREFIX, GUARD_PREFIX = "optimizer.", "guard."
ENDED = "ended"
"""In the state: all steps are done, and no optimizer's state is stored."""


class HasState(Protocol):
    """What a checkpoint asks of an optimizer: its state as named tensors."""

    def state_dict(self) -> dict[str, Tensor]:
        """Everything to go on from."""
        ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take it back."""
        ...


@dataclass(frozen=True)
class LoadedModel:
    """A model read from a checkpoint, and what the checkpoint says about it."""

    model: Transformer
    """In evaluation mode; of several processes' runs its form only, on the meta device."""
    manifest: Manifest
    facts: dict[str, Any]
    """What was given to `save_checkpoint`; a classifier's has "labels"."""
    directory: Path

    @property
    def labels(self) -> list[str] | None:
        """Names of a classifier's classes in the order of the head's outputs; else None."""
        return self.facts.get("labels")

    @property
    def tokenizer_fingerprint(self) -> str:
        """Fingerprint of the tokenizer that the model was trained with."""
        return self.manifest.inputs.get("tokenizer", "")

    def require_tokenizer(self, fingerprint: str) -> None:
        """Make sure that the model reads the ids it was trained on.

        Raises:
            HornbookError: the tokenizer at hand is another one.
        """
        if self.tokenizer_fingerprint != fingerprint:
            raise HornbookError(
                f"checkpoint {self.directory} was trained with another tokenizer "
                f"(fingerprint {self.tokenizer_fingerprint[:12]}, this one's is "
                f"{fingerprint[:12]}); give the tokenizer of the run that made it."
            )


@dataclass(frozen=True)
class Content:
    """What a checkpoint will hold. The tensors are the model's own until they are copied."""

    tensors: dict[str, dict[str, Tensor]]
    """By file, then by name; on any device."""
    texts: dict[str, str]
    """JSON by file: written out when the content was gathered, so nothing changes it later."""
    settings: dict[str, Any]
    inputs: dict[str, str]
    facts: dict[str, Any]

    def with_tensors(self, tensors: dict[str, dict[str, Tensor]]) -> "Content":
        """The same with other tensors under the same names."""
        return Content(tensors, self.texts, self.settings, self.inputs, self.facts)


def gather_content(
    model: Transformer,
    *,
    tokenizer_fingerprint: str,
    optimizer: HasState | None = None,
    state: Mapping[str, Any] | None = None,
    facts: Mapping[str, Any] | None = None,
    inputs: Mapping[str, str] | None = None,
    guard: Mapping[str, Tensor] | None = None,
    rank: int = 0,
) -> Content:
    """All that `save_checkpoint` writes, with tensors that still change as training goes on.

    `guard` is what a spike guard keeps, to be read by `load_guard`. `rank` names the random state,
    where several processes save together. A `state` without an
    optimizer is that of a training at its end: two thirds of a checkpoint's bytes are then saved.
    """
    _require_labels(model, facts or {})
    config = model.config.model_dump()
    tensors = {WEIGHTS: {name: tensor.detach() for name, tensor in named_once(model)}}
    texts = {CONFIG: _json({"model": config, "facts": facts or {}})}
    if optimizer is not None:
        own = {f"{OPTIMIZER_PREFIX}{n}": t.detach() for n, t in optimizer.state_dict().items()}
        tensors[OPTIMIZER] = {**own, **random_state(rank)}
    if guard:
        tensors[GUARD] = {f"{GUARD_PREFIX}{name}": tensor for name, tensor in guard.items()}
    if optimizer is not None or state is not None:
        texts[STATE] = _json(state or {})
    inputs = {"tokenizer": tokenizer_fingerprint, **(inputs or {})}
    return Content(tensors, texts, config, inputs, json.loads(_json(facts or {})))


def write_content(directory: Path, content: Content, stored: Path | None = None) -> Manifest:
    """Write a checkpoint whole or not at all; one that stood at `directory` is replaced.

    `stored` is a checkpoint with the same weights, to take them from.

    Raises:
        HornbookError: the disk is full or cannot be written to; nothing has changed then.
    """
    try:
        with new_directory(directory) as work:
            known = _linked(stored, work) if stored is not None else {}
            for name, tensors in content.tensors.items():
                if name not in known:
                    save_file(_storable(tensors), work / name)
            for name, text in content.texts.items():
                write_text(work / name, text)
            return write_manifest(
                work, KIND, content.settings, content.inputs, content.facts, known
            )
    except (OSError, SafetensorError) as error:
        raise HornbookError(
            f"the checkpoint {directory} could not be written ({error}); earlier ones are "
            "untouched: make room and run the same command again to go on from the last."
        ) from error


def _linked(stored: Path, work: Path) -> dict[str, str]:
    """Give the weights of a checkpoint a second name in `work`; their SHA-256 by file.

    Files of artifacts are replaced, never changed, so two of them can share one.
    """
    known = read_manifest(stored, KIND, verify=False).files
    if WEIGHTS not in known:
        return {}  # written by several processes
    try:
        os.link(stored / WEIGHTS, work / WEIGHTS)
    except OSError:  # a file system without links
        shutil.copyfile(stored / WEIGHTS, work / WEIGHTS)
    return {WEIGHTS: known[WEIGHTS]}


def save_checkpoint(
    directory: Path,
    model: Transformer,
    *,
    tokenizer_fingerprint: str,
    optimizer: HasState | None = None,
    state: Mapping[str, Any] | None = None,
    facts: Mapping[str, Any] | None = None,
    inputs: Mapping[str, str] | None = None,
    stored: Path | None = None,
) -> Manifest:
    """Write a checkpoint whole or not at all; one that stood at `directory` is replaced.

    Args:
        directory: where to; its parents are made.
        model: its config and weights are stored. A head that is not the config's needs
            facts["labels"], one name for each of its outputs.
        tokenizer_fingerprint: `Tokenizer.fingerprint`.
        optimizer: to resume from the checkpoint; torch's random state is then stored too.
        state: to resume; plain JSON values, such as {"step": 300, "position": 302}.
        facts: anything worth knowing about the model, as plain JSON values.
        inputs: fingerprints of more that it was made from, by role, such as the token store's.
        stored: a checkpoint that holds this model's weights as they are: they are not written, nor
            hashed, a second time.

    Raises:
        HornbookError: the disk is full or cannot be written to; nothing has changed then.
    """
    content = gather_content(
        model,
        tokenizer_fingerprint=tokenizer_fingerprint,
        optimizer=optimizer,
        state=state,
        facts=facts,
        inputs=inputs,
    )
    return write_content(directory, content, stored)


def load_model(directory: Path, device: torch.device | str = "cpu") -> LoadedModel:
    """Read the model of a checkpoint, its files verified; the random state stays as it is.

    On the device "meta" it has its shapes only: what is known of a model, in no memory.

    Raises:
        HornbookError: not a checkpoint, a pickle, a damaged file, or weights that do not fit.
    """
    refuse_pickles(directory)
    manifest = read_manifest(directory, KIND)
    described = _read_json(directory, CONFIG, manifest)
    source = str(directory / CONFIG)
    if not isinstance(described.get("model"), dict):
        raise HornbookError(f"{source} is damaged: it does not describe a model.")
    config = validate(ModelConfig, described["model"], source)
    facts = described.get("facts", {})
    if torch.device(device).type == "meta":
        return LoadedModel(shapes_of(config).eval(), manifest, facts, directory)
    tensors = _read_tensors(directory, WEIGHTS, manifest)
    with Undrawn():  # all is read
        model = Transformer(config)
    if "labels" in facts:
        bias = "head.bias" in tensors
        with Undrawn():
            model.head = nn.Linear(config.embed_dim, len(facts["labels"]), bias=bias)
    _fill(model, tensors, directory / WEIGHTS)
    return LoadedModel(model.to(device).eval(), manifest, facts, directory)


def load_weights(directory: Path, model: nn.Module) -> None:
    """Read a checkpoint's weights into a model of the same shape, adapters and new heads included.

    Raises:
        HornbookError: not a checkpoint, a damaged file, or weights that do not fit.
    """
    refuse_pickles(directory)
    manifest = read_manifest(directory, KIND)
    _fill(model, _read_tensors(directory, WEIGHTS, manifest), directory / WEIGHTS)


def load_training_state(directory: Path, optimizer: HasState) -> dict[str, Any]:
    """Put back the optimizer's state and torch's random state; give the `state` that was saved.

    A training that has ended has left only the latter.

    Raises:
        HornbookError: the checkpoint is damaged, cannot be resumed from, or is of another model.
    """
    refuse_pickles(directory)
    manifest = read_manifest(directory, KIND)
    if STATE not in manifest.files:
        raise HornbookError(
            f"{directory} holds a model only, without the optimizer's state; training can start "
            "from it, but not resume."
        )
    state = _read_json(directory, STATE, manifest)
    if not state.get(ENDED):
        tensors = _read_tensors(directory, OPTIMIZER, manifest)
        optimizer.load_state_dict(
            {
                name.removeprefix(OPTIMIZER_PREFIX): tensor
                for name, tensor in tensors.items()
                if name.startswith(OPTIMIZER_PREFIX)
            }
        )
        set_random_state(tensors)
    return state


def load_guard(directory: Path, tensors: Mapping[str, Tensor]) -> None:
    """Fill what a spike guard keeps from a checkpoint that `load_training_state` has verified.

    Raises:
        HornbookError: the file is damaged, or has not all of them.
    """
    if not tensors:
        return
    stored = _read_tensors(directory, GUARD, read_manifest(directory, KIND, verify=False))
    for name, tensor in tensors.items():
        kept = stored.get(f"{GUARD_PREFIX}{name}")
        if kept is None or kept.shape != tensor.shape:
            raise HornbookError(f"{directory}/{GUARD} has no {name} that fits this training.")
        tensor.copy_(kept)


def named_once(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers to be stored; of a shared one, the first name only."""
    stored = model.state_dict(keep_vars=True)
    seen: set[int] = set()
    for name, tensor in stored.items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            yield name, tensor


def _storable(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous, on the CPU, and each in memory of its own.

    Momenta of one shape are slices of one tensor, which safetensors takes for shared memory.
    """
    ready = {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}
    whole = {n: t.untyped_storage().nbytes() == t.numel() * t.itemsize for n, t in ready.items()}
    return {name: tensor if whole[name] else tensor.clone() for name, tensor in ready.items()}


@torch.no_grad()
def _fill(model: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    expected = dict(named_once(model))
    for name in sorted(expected.keys() ^ tensors.keys()):
        problem = "is missing" if name in expected else "has no place in the model"
        raise HornbookError(f"{path} does not fit its {CONFIG}: {name} {problem}.")
    for name, tensor in expected.items():
        if tensor.shape != tensors[name].shape:
            raise HornbookError(
                f"{path} does not fit its {CONFIG}: {name} has shape "
                f"{tuple(tensors[name].shape)}, expected {tuple(tensor.shape)}."
            )
        tensor.copy_(tensors[name])


def _require_labels(model: Transformer, facts: Mapping[str, Any]) -> None:
    outputs = model.head.out_features
    labels = facts.get("labels")
    if labels is None and outputs != model.config.vocab_size:
        raise ValueError(f"a head of {outputs} outputs needs facts['labels'], the classes' names")
    if labels is not None and len(labels) != outputs:
        raise ValueError(f"{len(labels)} labels for a head of {outputs} outputs")


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n"


def _read_json(directory: Path, name: str, manifest: Manifest) -> dict[str, Any]:
    path = _listed(directory, name, manifest)
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise HornbookError(f"{path} is damaged: it is not a JSON object.")
    return value


def _read_tensors(directory: Path, name: str, manifest: Manifest) -> dict[str, Tensor]:
    if is_sharded(manifest.files):
        return _from_shards(directory, name)
    path = _listed(directory, name, manifest)
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise HornbookError(f"{path} is damaged: {error}.") from None
    return tensors


def _from_shards(directory: Path, name: str) -> dict[str, Tensor]:
    """What would stand in the file `name`, had one process written the checkpoint."""
    prefixes = {OPTIMIZER: (OPTIMIZER_PREFIX, RANDOM_PREFIX), GUARD: (GUARD_PREFIX,)}
    tensors = read_whole(directory)
    if name in prefixes:
        return {n: t for n, t in tensors.items() if n.startswith(prefixes[name])}
    others = tuple(prefix for some in prefixes.values() for prefix in some)
    return {n: t for n, t in tensors.items() if not n.startswith(others)}


def _listed(directory: Path, name: str, manifest: Manifest) -> Path:
    """A file that the manifest vouches for."""
    if name not in manifest.files:
        raise HornbookError(f"{directory} is incomplete: its manifest does not list {name}.")
    return directory / name
