"""Tensors of which each process writes its own parts, and reads those that it needs.

The files are safetensors; where in its tensor a part belongs stands in their headers. They are
written and read by torch's distributed checkpointing (DCP) in its Hugging Face format, since DCP's
own has an index that is pickled. A checkpoint read by as many processes as wrote it, by fewer or
more, or by processes that divide the model in another way, gives the same tensors.
"""

import functools
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from hornbook.artifact import hash_file
from hornbook.divided import local
from hornbook.errors import HornbookError

DIGEST_BYTES = 32
"""Of a SHA-256."""


def shard_name(rank: int) -> str:
    """The file that a process writes."""
    return f"shard-{rank + 1:05d}-model-00001-of-00001.safetensors"


def is_sharded(files: Mapping[str, str]) -> bool:
    """Whether there are shards among a manifest's files."""
    return any(name.startswith("shard-") for name in files)


def room_for(tensor: Tensor) -> Tensor:
    """Memory on the CPU for this process's part of a tensor, divided as it is, page-locked for
    copies from a GPU. All processes must ask for the same tensors in the same order."""
    part = local(tensor)
    room = torch.empty(part.shape, dtype=part.dtype, pin_memory=part.is_cuda)
    if part is tensor:
        return room
    from torch.distributed.tensor import DTensor

    divided: Any = tensor
    mesh = _mesh_of_cpus(divided.device_mesh)
    whole: Tensor = DTensor.from_local(
        room, mesh, divided.placements, run_check=False, shape=tensor.shape, stride=tensor.stride()
    )
    return whole


@functools.cache
def _mesh_of_cpus(mesh: Any) -> Any:
    """The same processes in the same places, with their CPUs."""
    from torch.distributed.device_mesh import DeviceMesh

    names = mesh.mesh_dim_names
    return mesh if mesh.device_type == "cpu" else DeviceMesh("cpu", mesh.mesh, mesh_dim_names=names)


def write_shard(folder: Path, tensors: Mapping[str, Tensor], rank: int, group: Any) -> str:
    """Write this process's parts of `tensors`; give its file's SHA-256, "" if it has none.

    All processes of torch's process `group` must call it together. Of a tensor that all have whole,
    one writes it.

    Raises:
        OSError: the disk is full or cannot be written to.
    """
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
    from torch.distributed.checkpoint.state_dict_saver import save

    logging.getLogger("torch.distributed.checkpoint").setLevel(logging.ERROR)
    try:
        save(
            {name: tensor.detach() for name, tensor in tensors.items()},
            storage_writer=HuggingFaceStorageWriter(str(folder), save_distributed=True),
            process_group=group,
        )
    except CheckpointException as error:  # which is no Exception
        raise OSError(_reason(error)) from None
    path = folder / shard_name(rank)
    return hash_file(path) if path.exists() else ""


def read_parts(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Fill this process's parts of `tensors`, divided or whole, from a folder of safetensors.

    Raises:
        HornbookError: one is not there, has another shape, or a file is damaged.
    """
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.state_dict_loader import load

    stored = stored_shapes(folder)
    for name, tensor in tensors.items():
        if name not in stored or stored[name][0] != tensor.shape:
            raise HornbookError(
                f"{folder} does not fit: {name} has shape {tuple(tensor.shape)} here, and is "
                f"{tuple(stored[name][0]) if name in stored else 'absent'} there."
            )
    try:
        with warnings.catch_warnings():  # that it is for this process alone is meant
            warnings.filterwarnings("ignore", message=".*intent is to load in a single process")
            load(
                {name: tensor.detach() for name, tensor in tensors.items()},
                storage_reader=HuggingFaceStorageReader(str(folder)),
                no_dist=True,
            )
    except (CheckpointException, SafetensorError) as error:
        raise HornbookError(f"{folder} cannot be read: {_reason(error)}.") from None


def read_whole(folder: Path) -> dict[str, Tensor]:
    """Every tensor in a folder of safetensors, put together from its parts, on the CPU.

    Raises:
        HornbookError: a file is damaged.
    """
    tensors = {
        n: torch.empty(shape, dtype=dtype) for n, (shape, dtype) in stored_shapes(folder).items()
    }
    read_parts(folder, tensors)
    return tensors


def stored_shapes(folder: Path) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """Shape and type of each tensor in a folder of safetensors, by name.

    Raises:
        HornbookError: a file is damaged.
    """
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata

    try:
        stored = HuggingFaceStorageReader(str(folder)).read_metadata().state_dict_metadata
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise HornbookError(f"{folder} is damaged: {error}.") from None
    return {
        name: (about.size, about.properties.dtype)
        for name, about in stored.items()
        if isinstance(about, TensorStorageMetadata)
    }


def _reason(error: BaseException) -> str:
    """What went wrong in the first process that failed."""
    failures = getattr(error, "failures", {})
    first = next(iter(failures.values()), None)
    return str(first[0] if isinstance(first, tuple) else first or error)
