"""A folder's weights as a lazy source: names and shapes at once, a tensor when it is asked for.

Everything that can be known without reading the weights is checked when the source is opened, so
a damaged folder is refused before a model is built for it.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from hornbook.checkpoints.pickles import SAFE, refuse_pickles
from hornbook.errors import HornbookError

WEIGHTS = f"model{SAFE}"
INDEX = f"{WEIGHTS}.index.json"
LENGTH_BYTES = 8
"""A safetensors file begins with the length of its header, a little-endian integer."""
MAX_HEADER_BYTES = 100_000_000
"""The format's own limit, see https://github.com/huggingface/safetensors."""
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


class TensorSource(Protocol):
    """Named tensors that are read one at a time."""

    def names(self) -> list[str]:
        """All names, in the order in which they are best read: file by file."""
        ...

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's shape, without reading it."""
        ...

    def dtype(self, name: str) -> torch.dtype:
        """A tensor's dtype as it is stored, without reading it."""
        ...

    def read(self, name: str) -> Tensor:
        """The tensor on the CPU, as stored; copy from it rather than keep it.

        Raises:
            HornbookError: the file is damaged, or a value is NaN or infinite.
        """
        ...


@dataclass(frozen=True)
class Described:
    """What is known of a tensor before it is read."""

    shape: tuple[int, ...]
    dtype: torch.dtype


EntryKind = TypeVar("EntryKind", bound=Described)


class Listed(Generic[EntryKind]):
    """The part of a source that answers from its list of tensors."""

    def __init__(self, entries: dict[str, EntryKind]) -> None:
        self._entries = entries

    def names(self) -> list[str]:
        """All names, in the order in which they are best read: file by file."""
        return list(self._entries)

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's shape, without reading it."""
        return self._entries[name].shape

    def dtype(self, name: str) -> torch.dtype:
        """A tensor's dtype as it is stored, without reading it."""
        return self._entries[name].dtype


@dataclass(frozen=True)
class Entry(Described):
    """What a file's header says about one tensor."""

    file: Path


class SafetensorsSource(Listed[Entry]):
    """The tensors of one or more safetensors files, of which one at most is open at a time.

    A tensor that was read is a view of its file, mapped into memory: the pages it has touched count
    as this process's memory until the tensor is gone and another file is opened.
    """

    def __init__(self, entries: dict[str, Entry]) -> None:
        in_order = sorted(entries, key=lambda name: (entries[name].file, name))
        super().__init__({name: entries[name] for name in in_order})
        self._file: Path | None = None
        self._open: Any = None

    def read(self, name: str) -> Tensor:
        """The tensor on the CPU, as stored; copy from it rather than keep it.

        Raises:
            HornbookError: the file is damaged, or a value is NaN or infinite.
        """
        file = self._entries[name].file
        try:
            if file != self._file:
                self.close()
                self._open, self._file = safe_open(file, framework="pt"), file
            tensor: Tensor = self._open.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise HornbookError(f"{file} is damaged: {error}.") from None
        require_finite(tensor, name, file)
        return tensor

    def close(self) -> None:
        """Let go of the file that is open; `read` opens it again."""
        self._open, self._file = None, None


def open_tensors(path: Path) -> SafetensorsSource:
    """The weights of a folder (one file, or many with an index) or of one .safetensors file.

    Raises:
        HornbookError: a pickle, an archive, no weights at all, or files that are not whole.
    """
    if path.suffix == ".zip" and path.is_file():
        raise HornbookError(f"{path} is an archive; unpack it and give the folder.")
    if path.suffix == ".gguf" and path.is_file():
        raise HornbookError(
            f"{path} is a GGUF file, which Hornbook writes and does not read; give the folder with the "
            "safetensors that it was made of."
        )
    refuse_pickles(path)
    if path.is_file():
        return SafetensorsSource(_read_header(path))
    if (path / WEIGHTS).is_file():
        return SafetensorsSource(_read_header(path / WEIGHTS))
    if (path / INDEX).is_file():
        return SafetensorsSource(_read_index(path / INDEX))
    raise HornbookError(
        f"{path} has no weights: neither {WEIGHTS} nor {INDEX} is in it; give the folder of a "
        "model that is saved as safetensors."
    )


def require_finite(tensor: Tensor, name: str, file: Path) -> None:
    """Refuse weights with which every output would be NaN; takes no memory beside the tensor.

    Raises:
        HornbookError: a value is NaN or infinite.
    """
    if not tensor.is_floating_point() or tensor.numel() == 0:
        return
    low, high = torch.aminmax(tensor)  # both are NaN if any value is
    if not (math.isfinite(low.item()) and math.isfinite(high.item())):
        raise HornbookError(
            f"{file} is damaged: {name} has values that are NaN or infinite; get the file again, or "
            "an earlier checkpoint if it is your own."
        )


def _read_index(path: Path) -> dict[str, Entry]:
    """The tensors that an index names, each found in the file that it is said to be in."""
    index = _parse(path.read_bytes(), path)
    places = index.get("weight_map")
    if not isinstance(places, dict) or not places:
        raise HornbookError(f"{path} is damaged: it has no weight_map from tensors to files.")
    files = {name: _shard(path, file) for name, file in places.items()}
    headers = {file: _read_header(file) for file in sorted(set(files.values()))}
    absent = [name for name, file in files.items() if name not in headers[file]]
    if absent:
        raise HornbookError(
            f"{path} names tensors that are not in their files: {_listing(absent)}; get the folder "
            "again."
        )
    return {name: headers[file][name] for name, file in files.items()}


def _shard(index: Path, name: Any) -> Path:
    """A file that an index names: one beside it, never one elsewhere."""
    if not isinstance(name, str) or Path(name).name != name or not name.endswith(SAFE):
        raise HornbookError(
            f"{index} names the file {name!r}; only a {SAFE} file beside the index is read."
        )
    file = index.with_name(name)
    if not file.is_file():
        raise HornbookError(f"{index} names {name}, which is missing; get the folder again.")
    return file


def _read_header(path: Path) -> dict[str, Entry]:
    """What a safetensors file holds, its sizes checked against the length of the file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        if length > min(size - LENGTH_BYTES, MAX_HEADER_BYTES):
            raise HornbookError(
                f"{path} is damaged or no {SAFE} file: it claims a header of {length:,} bytes and "
                f"has {size:,} in all."
            )
        header = _parse(file.read(length), path)
    header.pop("__metadata__", None)
    _require_whole(path, LENGTH_BYTES + length)
    return {name: _entry(path, name, described) for name, described in header.items()}


def _require_whole(path: Path, start: int) -> None:
    """Let the library check that the tensors fill the file's bytes from `start` on, once each."""
    try:
        with safe_open(path, framework="pt"):
            pass
    except (SafetensorError, OSError) as error:
        raise HornbookError(
            f"{path} is damaged ({error}): its tensors do not fill its {path.stat().st_size:,} "
            f"bytes, of which {start:,} are the header; get the file again."
        ) from None


def _entry(path: Path, name: str, described: Any) -> Entry:
    dtype = DTYPES.get(described["dtype"])
    if dtype is None:
        raise HornbookError(
            f"{path}: {name} is stored as {described['dtype']}, which Hornbook does not read; "
            f"give the weights in one of {', '.join(DTYPES)}."
        )
    return Entry(tuple(described["shape"]), dtype, path)


def _parse(data: bytes, path: Path) -> dict[str, Any]:
    """A JSON object in which no key stands twice."""
    try:
        value = json.loads(data, object_pairs_hook=lambda pairs: _unique(pairs, path))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise HornbookError(f"{path} is damaged: its description of the tensors is no JSON object.")
    return value


def _unique(pairs: list[tuple[str, Any]], path: Path) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise HornbookError(f"{path} is damaged: it describes twice {_listing(twice)}.")
    return found


def _listing(names: Iterable[str], most: int = 5) -> str:
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
