"""Large compressed files, unpacked beside the parts: of a compressed file only the beginning can be
read first, so that one process would have all the work."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from hornbook import artifact
from hornbook.console import meter
from hornbook.corpus import units
from hornbook.corpus.compression import COMPRESSED, UnreadableFileError, open_bytes
from hornbook.corpus.readers import kind_of
from hornbook.corpus.units import READERS

MANY = 8
"""So many files are shared out as they are."""
AT_ONCE = 2**20


def unpack(files: Sequence[tuple[Path, str]], folder: Path, done: str) -> dict[str, Path]:
    """Where the content of each large compressed file lies, by its name; none where files are many.

    Args:
        files: all of the corpus, each with its name.
        folder: where to unpack them. What lies there unpacked is not unpacked again.
        done: how the name of a file ends that stands for something complete.

    Raises:
        UnreadableFileError: a file is cut off or damaged, or there is no room for what is in it.
    """
    chosen = [(n, path, name) for n, (path, name) in enumerate(files) if _is_worth_it(path)]
    if len(files) >= MANY:
        return {}
    unpacked = {}
    for number, path, name in chosen:
        target = folder / f"{number}{kind_of(path)}"
        if not target.with_suffix(done).exists():
            _unpack(path, target)
            artifact.write_text(target.with_suffix(done), "{}")
        unpacked[name] = target
    return unpacked


def _is_worth_it(path: Path) -> bool:
    compressed = path.suffix.lower() in COMPRESSED
    cut = kind_of(path) in READERS and kind_of(path) != ".parquet"
    return compressed and cut and path.stat().st_size > units.UNIT_BYTES


def _unpack(path: Path, target: Path) -> None:
    with meter("unpack", None, "MB") as shown, open_bytes(path) as stream:
        try:
            with artifact.new_file(target) as file:
                while block := stream.read(AT_ONCE):
                    file.write(block)
                    shown.advance()
        except OSError as error:
            free = shutil.disk_usage(target.parent).free / 1e6
            raise UnreadableFileError(
                f"{path} cannot be unpacked into {target.parent}, where {free:,.0f} MB are free: "
                f"{error.strerror}; make room, or give several smaller files."
            ) from None
