"""A corpus read by Ray Data: the same parts as on one machine, made by whatever Ray has.

Every process must see the corpus and the run's directory under the same paths: on several machines
they lie on a shared file system. What compares documents stays in the process that asked.
"""

import contextlib
import logging
import os
from collections.abc import Iterator
from functools import partial
from typing import Any

from hornbook.errors import HornbookError
from hornbook.pipeline.corpora.parts import DONE, Parts, make_part

CPUS = 0.5
"""Of a part, so that Ray Data's own work never waits for those that read."""


def by_ray(parts: Parts) -> Iterator[int]:
    """The engine of a Ray cluster: the one of RAY_ADDRESS, or one of this machine, started now.

    Raises:
        HornbookError: Ray is not installed, a part cannot be read, or a process has died.
    """
    missing = parts.missing()
    if not missing:
        return
    try:
        import ray
        import ray.data
    except ImportError:
        raise HornbookError(
            'run.engine "ray" needs Ray; install it with pip install "hornbook[ray]".'
        ) from None
    started = not ray.is_initialized()
    if started:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    make = partial(_make, parts=parts, folder=os.getcwd())
    rows = ray.data.from_items(
        [{"number": number} for number in missing], override_num_blocks=len(missing)
    )
    try:
        for row in rows.map(make, num_cpus=CPUS).iter_rows():
            yield _made(row, parts)
    except ray.exceptions.RayError as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1].removesuffix(".")
        raise HornbookError(f"Ray cannot read the corpus: {reason}.") from None
    finally:
        if started:
            ray.shutdown()


def _make(row: dict[str, Any], parts: Parts, folder: str) -> dict[str, Any]:
    """In one of Ray's processes; an error is sent as its sentence, without Ray's traceback."""
    number = int(row["number"])
    error = ""
    with contextlib.chdir(folder):
        try:
            make_part(parts, number)
        except HornbookError as found:
            error = str(found)
    return {"number": number, "error": error}


def _made(row: dict[str, Any], parts: Parts) -> int:
    number = int(row["number"])
    if row["error"]:
        raise HornbookError(row["error"])
    if not parts.path(number, DONE).exists():
        raise HornbookError(
            f"{parts.folder} has not what a process of Ray wrote there; let run.directory and the "
            "corpus lie on a file system that all machines of the cluster share."
        )
    return number
