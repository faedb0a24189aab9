"""OpenAI's GPT-2 as it was published: a TensorFlow checkpoint, read without TensorFlow.

A checkpoint ("tensor bundle") is two files. `model.ckpt.index` is a sorted table of names, each
with a small record that says where the tensor lies; `model.ckpt.data-00000-of-00001` is the
tensors' bytes, one after the other. No light library reads them: TensorFlow itself is 600 MB.

Sources: tensorflow/core/util/tensor_bundle/tensor_bundle.h and tensor_bundle.proto for the
records, tensorflow/core/lib/io/table_format.txt (LevelDB's) for the table. Only what GPT-2's files
use is read: one data file, little-endian, uncompressed; anything else is refused by name.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hornbook.checkpoints.loading.extras import require_extra
from hornbook.checkpoints.loading.tensors import Described, Listed, require_finite
from hornbook.errors import HornbookError

INDEX = ".index"
HPARAMS = "hparams.json"
FOOTER_BYTES = 48
MAGIC = 0xDB4775248B80FB57
"""The last 8 bytes of every such table."""
TRAILER_BYTES = 5
"""After each block: a byte for its compression, 4 for its checksum."""
MASK = 0xA282EAD8
"""Checksums are stored rotated and with this added (crc32c.h), as they stand among data that is
summed itself."""
DTYPES = {1: torch.float32, 3: torch.int32, 9: torch.int64, 14: torch.bfloat16, 19: torch.float16}
"""By their numbers in tensorflow/core/framework/types.proto."""

Fields = dict[int, list[int | bytes]]
"""A protocol buffer's values by field number."""


@dataclass(frozen=True)
class Entry(Described):
    """Where a tensor lies in the data file."""

    offset: int
    size: int
    checksum: int
    """CRC-32C of its bytes, masked."""


class BundleSource(Listed[Entry]):
    """The tensors of a TensorFlow checkpoint under TensorFlow's names, read one at a time."""

    def __init__(self, index: Path) -> None:
        self._index = index
        self._data = index.with_name(f"{index.name.removesuffix(INDEX)}.data-00000-of-00001")
        super().__init__(_read_index(index))
        self._require_whole()

    def read(self, name: str) -> Tensor:
        """The tensor on the CPU, its checksum compared.

        Raises:
            HornbookError: the bytes are not those that were written, or not finite.
        """
        entry = self._entries[name]
        data = bytearray(entry.size)
        with self._data.open("rb") as file:
            file.seek(entry.offset)
            file.readinto(data)
        if _masked_checksum(data) != entry.checksum:
            raise HornbookError(f"{self._data} is damaged: the checksum of {name} differs.")
        flat = torch.frombuffer(data, dtype=entry.dtype) if data else torch.empty(0)
        tensor = flat.reshape(entry.shape)
        require_finite(tensor, name, self._data)
        return tensor

    def _require_whole(self) -> None:
        expected = max((e.offset + e.size for e in self._entries.values()), default=0)
        found = self._data.stat().st_size if self._data.is_file() else None
        if found is None:
            raise HornbookError(f"{self._data} is missing; put it beside {self._index.name}.")
        if found != expected:
            raise HornbookError(
                f"{self._data} is damaged: it has {found:,} bytes, and {self._index.name} speaks "
                f"of {expected:,}; get the file again."
            )


def find_bundle(folder: Path) -> Path | None:
    """The .index file of the TensorFlow checkpoint in a folder; None where there is none.

    Raises:
        HornbookError: there are several, and no `checkpoint` file says which one is meant.
    """
    found = sorted(folder.glob(f"*{INDEX}"))
    if len(found) > 1 and (note := folder / "checkpoint").is_file():
        text = note.read_text(encoding="utf-8", errors="replace")
        latest = re.search(r'^model_checkpoint_path: "(?:[^"]*/)?([^"/]+)"', text, re.MULTILINE)
        if latest is not None:
            found = [path for path in found if path.name == latest[1] + INDEX]
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise HornbookError(f"{folder} has several checkpoints ({names}); keep one of them.")
    return found[0] if found else None


class GPT2Source:
    """OpenAI's tensors under the names and shapes of GPT-2's Hugging Face folder.

    `model/h3/attn/c_attn/w` (1, width, 3 x width) becomes `h.3.attn.c_attn.weight` (width,
    3 x width): both keep matrices as (inputs, outputs).
    """

    def __init__(self, bundle: BundleSource) -> None:
        self._bundle = bundle
        self._theirs = {_gpt2_name(name): name for name in bundle.names()}

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._theirs)

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's shape, without reading it."""
        return _squeezed(self._bundle.shape(self._theirs[name]))

    def dtype(self, name: str) -> torch.dtype:
        """A tensor's dtype as it is stored, without reading it."""
        return self._bundle.dtype(self._theirs[name])

    def read(self, name: str) -> Tensor:
        """The tensor on the CPU, its checksum compared.

        Raises:
            HornbookError: the bytes are not those that were written, or not finite.
        """
        return self._bundle.read(self._theirs[name]).reshape(self.shape(name))


def open_gpt2(folder: Path) -> tuple[dict[str, Any], GPT2Source]:
    """A folder such as gpt2/124M: what its Hugging Face config.json would say, and its tensors.

    Raises:
        HornbookError: a file is missing or damaged, or the checkpoint is of another model.
    """
    index = find_bundle(folder)
    if index is None:
        raise HornbookError(f"{folder} has no TensorFlow checkpoint: no file *{INDEX}.")
    source = GPT2Source(BundleSource(index))
    return _gpt2_config(folder / HPARAMS), source


def _gpt2_config(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        sizes = {name: found[name] for name in ("n_vocab", "n_ctx", "n_embd", "n_head", "n_layer")}
    except FileNotFoundError:
        raise HornbookError(f"{path} is missing; put it beside the checkpoint.") from None
    except (ValueError, KeyError, TypeError):
        sizes = {}
    if not sizes or any(type(size) is not int or size < 1 for size in sizes.values()):
        raise HornbookError(
            f"{path}: expected whole numbers for n_vocab, n_ctx, n_embd, n_head and n_layer."
        )
    named = {"vocab_size": sizes.pop("n_vocab"), "n_positions": sizes["n_ctx"], **sizes}
    ends = {"bos_token_id": named["vocab_size"] - 1, "eos_token_id": named["vocab_size"] - 1}
    kinds = {"activation_function": "gelu_new", "layer_norm_epsilon": 1e-5}
    return {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], **named, **kinds, **ends}


def _gpt2_name(name: str) -> str:
    """`model/h3/ln_1/g` as `h.3.ln_1.weight`."""
    matched = re.fullmatch(r"model/(?:h(\d+)/)?((?:\w+/)*?)(\w+)", name)
    if matched is None:
        raise HornbookError(f"the checkpoint's tensor {name!r} is none of GPT-2's.")
    layer, middle, last = matched.groups()
    leaf = {"w": "weight", "g": "weight", "b": "bias"}.get(last, f"{last}.weight")  # wte and wpe
    return (f"h.{layer}." if layer else "") + middle.replace("/", ".") + leaf


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """OpenAI keeps matrices as convolutions of width 1."""
    return shape[1:] if len(shape) == 3 and shape[0] == 1 else shape


def _read_index(path: Path) -> dict[str, Entry]:
    """The records of all tensors."""
    try:
        pairs = list(_table(path.read_bytes()))
        if not pairs or pairs[0][0]:
            raise ValueError("it has no header")
        header = _fields(pairs[0][1])
        if header.get(1) != [1] or header.get(2, [0]) != [0]:
            raise ValueError("it is not one little-endian data file")
        return {name.decode(): _entry(name.decode(), record) for name, record in pairs[1:]}
    except (ValueError, IndexError, TypeError) as error:
        raise HornbookError(
            f"{path} is damaged or no TensorFlow checkpoint ({error}); get the file again."
        ) from None


def _entry(name: str, record: bytes) -> Entry:
    """A BundleEntryProto."""
    fields = _fields(record)
    numbers = {key: _last_number(fields, key) for key in (1, 3, 4, 5, 6)}
    dtype = DTYPES.get(numbers[1])
    if dtype is None:
        raise ValueError(f"{name} has the dtype number {numbers[1]}, which GPT-2 has not")
    if numbers[3] or 7 in fields:
        raise ValueError(f"{name} is in several parts")
    shape = tuple(
        _last_number(_fields(dim), 1)
        for described in fields.get(2, [])
        for dim in _fields(described).get(2, [])
    )
    if numbers[5] != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{name} has {numbers[5]} bytes for the shape {shape}")
    return Entry(shape, dtype, numbers[4], numbers[5], numbers[6])


def _last_number(fields: Fields, key: int) -> int:
    """A number, which is left out when it is 0."""
    value = fields.get(key, [0])[-1]
    if not isinstance(value, int):
        raise ValueError(f"field {key} is no number")
    return value


def _table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a table, in the order of the keys."""
    if len(data) < FOOTER_BYTES or int.from_bytes(data[-8:], "little") != MAGIC:
        raise ValueError("it does not end as a table does")
    footer = data[-FOOTER_BYTES:]
    _, _, after = _handle(footer, 0)  # of the table of filters, which is empty
    offset, size, _ = _handle(footer, after)
    for _, handle in _block(data, offset, size):
        yield from _block(data, *_handle(handle, 0)[:2])


def _block(data: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of one block; of each key only the end is stored that differs from the last."""
    block, trailer = data[offset : offset + size], data[offset + size :][:TRAILER_BYTES]
    if len(block) < max(size, 4) or len(trailer) < TRAILER_BYTES:
        raise ValueError("it is cut short")
    if trailer[0] != 0:
        raise ValueError("it is compressed")
    if _masked_checksum(block + trailer[:1]) != int.from_bytes(trailer[1:], "little"):
        raise ValueError("its checksum differs")
    restarts = int.from_bytes(block[-4:], "little")
    end, at, key = size - 4 * (restarts + 1), 0, b""
    while at < end:
        shared, at = _varint(block, at)
        added, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + added]
        yield key, block[at + added : at + added + length]
        at += added + length


def _handle(data: bytes, at: int) -> tuple[int, int, int]:
    """Where a block begins, its size, and where the bytes go on."""
    offset, at = _varint(data, at)
    size, at = _varint(data, at)
    return offset, size, at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number in groups of 7 bits, lowest first, and where the bytes go on."""
    number = 0
    for shift in range(0, 70, 7):
        number |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return number, at
    raise ValueError("a number never ends")


def _fields(data: int | bytes) -> Fields:
    """A protocol buffer's values by field number (protobuf.dev/programming-guides/encoding)."""
    if isinstance(data, int):
        raise ValueError("a record is a number")
    found: Fields = {}
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        value: int | bytes
        if tag & 7 == 0:
            value, at = _varint(data, at)
        elif tag & 7 == 2:
            length, at = _varint(data, at)
            value, at = data[at : at + length], at + length
        elif tag & 7 == 5:
            value, at = int.from_bytes(data[at : at + 4], "little"), at + 4
        else:
            raise ValueError(f"a record has a field of kind {tag & 7}")
        found.setdefault(tag >> 3, []).append(value)
    return found


def _masked_checksum(data: bytes | bytearray) -> int:
    """CRC-32C as it is stored."""
    crc32c = require_extra("google_crc32c", "reading TensorFlow checkpoints")
    checksum = int(crc32c.value(bytes(data) if isinstance(data, bytearray) else data))
    return ((checksum >> 15 | checksum << 17) + MASK) & 0xFFFFFFFF
