"""The models of one server: a base and its adapters, which share its weights and its engine."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hornbook.errors import HornbookError
from hornbook.inference.constraints import Grammars
from hornbook.inference.engine import Engine
from hornbook.pipeline.models.adapted import adapter_folder, described, load_with_adapter, switched
from hornbook.pipeline.models.bundle import ADAPTER, Bundle, load_bundle
from hornbook.pipeline.models.writing import writing_runtime
from hornbook.runtime import Runtime
from hornbook.serving.errors import ApiError
from hornbook.serving.served import Served
from hornbook.serving.settings import ServerSettings

LONGEST_NAME = 200
"""Characters of a model's name."""


@dataclass(frozen=True)
class Models:
    """What a server has, by name; the first is meant where a request names none."""

    all: Sequence[Served]
    _merged: dict[str, Bundle] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def first(self) -> Served:
        """The base."""
        return self.all[0]

    @property
    def engine(self) -> Engine:
        """The one that writes for all of them."""
        return self.first.engine

    def find(self, name: str) -> Served:
        """The model of a name; the first for none.

        Raises:
            ApiError: there is none of that name.
        """
        for served in self.all:
            if name in ("", served.name):
                return served
        there = ", ".join(repr(served.name) for served in self.all)
        raise ApiError(
            404, f"the model {name!r} does not exist; there is {there}.", "model",
            "model_not_found",
        )  # fmt: skip

    def to_look_into(self, name: str | None) -> Bundle:
        """The model of a name with its adapter merged into it, as the explorer takes it apart.

        Of adapters, the one that was asked for last is kept: each takes the memory of a whole model.

        Raises:
            HornbookError: there is none of that name.
        """
        try:
            served = self.find(name or "")
        except ApiError as error:
            raise HornbookError(error.message) from None
        if served.adapter is None:
            return served.bundle
        with self._lock:
            if served.name not in self._merged:
                self._merged.clear()
                base, folder = self.first.bundle, served.bundle.path
                self._merged[served.name] = load_with_adapter(base.path, folder, base.runtime)
            return self._merged[served.name]

    def card(self, served: Served) -> dict[str, Any]:
        """What /v1/models says of one."""
        own = {
            "id": served.name, "object": "model", "created": served.created,
            "owned_by": "hornbook", "task": served.bundle.task,
            "context_length": served.context_length,
        }  # fmt: skip
        return own if served.adapter is None else {**own, "parent": self.first.name}


def open_models(
    path: Path,
    settings: ServerSettings,
    name: str | None = None,
    adapters: Mapping[str, Path] | None = None,
) -> Models:
    """Load a model's folder, and adapters for it, and make the engine, which is still to be started.

    Raises:
        HornbookError: as `load_bundle` and `serve_bundle`.
    """
    runtime = writing_runtime(settings.weights)
    bundle = load_bundle(path, runtime)
    return serve_bundle(bundle, settings, name or bundle.path.resolve().name, runtime, adapters)


def serve_bundle(
    bundle: Bundle,
    settings: ServerSettings,
    name: str,
    runtime: Runtime,
    adapters: Mapping[str, Path] | None = None,
) -> Models:
    """The same of a model that is loaded already.

    Raises:
        HornbookError: an adapter is not there, damaged, another model's, or cannot share a base; or
            two models have one name.
    """
    given = adapters or {}
    if name in given:
        raise HornbookError(
            f"the model and an adapter are both called {name}; give one of them another name "
            "(--name NAME, or --adapter NAME=FOLDER)."
        )
    model, bank = switched(bundle, given) if given else (bundle.model, None)
    engine = Engine(model, bundle.tokenizer, runtime, settings.engine, settings.weights, bank)
    grammars = Grammars.of(bundle.tokenizer)
    all_of_them = [Served(name, bundle, engine, model, None, bank, grammars=grammars)]
    for adapter, path in given.items():
        assert bank is not None
        own = described(bundle, adapter_folder(path), bank.facts[adapter])
        all_of_them.append(Served(adapter, own, engine, model, adapter, bank, grammars=grammars))
    for served in all_of_them:
        _ = served.drawing  # what cannot be is said now, not in the middle of a request
    return Models(all_of_them)


def named_adapters(given: Sequence[str]) -> dict[str, Path]:
    """Adapters from NAME=FOLDER, or FOLDER alone, whose name is then the adapter's.

    Raises:
        HornbookError: no name, one that is too long or cannot be printed, or one twice.
    """
    found: dict[str, Path] = {}
    for one in given:
        name, equals, folder = one.partition("=")
        if not equals:
            name, folder = "", one
        path = Path(folder)
        name = name.strip() if equals else _name_of(path)
        if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
            raise HornbookError(
                f"--adapter {one}: expected NAME=FOLDER, the name of 1 to {LONGEST_NAME} characters."
            )
        if name in found:
            raise HornbookError(
                f"--adapter {one}: there is an adapter {name} already; give it as NAME=FOLDER."
            )
        found[name] = path
    return found


def _name_of(path: Path) -> str:
    folder = adapter_folder(path).resolve()
    return folder.parent.name if folder.name == ADAPTER else folder.name
