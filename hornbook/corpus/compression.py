"""Files as bytes, plain or compressed with gzip or Zstandard, in bounded memory.

What comes out of a compressed file is counted beside what went in: a file of some kilobytes that
would come out as gigabytes (a decompression bomb) is refused.
"""

import contextlib
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from hornbook.errors import HornbookError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

COMPRESSED = (".gz", ".zst")
MAX_RATIO = 500
"""Bytes that may come out for one that went in. Text reaches 3 to 10, repeated log lines 200."""
RATIO_FROM = 2**24
"""Bytes out from which the ratio is looked at: below, no harm is done."""
WINDOW = 2**27
"""Largest Zstandard window accepted: what `zstd --long` writes at most, and memory to hold it."""
STEP = 1_024
"""Compressed Zstandard bytes decoded at a time: at 128 KiB a block of 4 bytes, 32 MiB at most."""
BUFFER = 2**18


class UnreadableFileError(HornbookError):
    """A whole file cannot be read: never a matter of a bad line, and always the end of the run."""


@contextlib.contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """A file's bytes, decompressed where its name ends in .gz or .zst.

    Memory: a buffer of 256 KiB, and for Zstandard the window that the file asks for, 128 MiB at
    most, and one step's output, 32 MiB at most.

    Raises:
        UnreadableFileError: no such file, a directory, not readable; while reading: cut off, damaged, or
            a decompression bomb.
    """
    try:
        with path.open("rb", buffering=BUFFER) as raw:
            suffix = path.suffix.lower()
            if suffix in COMPRESSED:
                yield io.BufferedReader(_Decompressed(raw, path, suffix), BUFFER)
            else:
                yield raw
    except FileNotFoundError:
        raise UnreadableFileError(f"{path}: no such file; check the path.") from None
    except IsADirectoryError:
        raise UnreadableFileError(f"{path} is a directory; give the path of a file.") from None
    except OSError as error:
        raise UnreadableFileError(f"{path} cannot be read: {error.strerror or error}.") from None


class _Decompressed(io.RawIOBase):
    """What a compressed file holds, as a stream."""

    def __init__(self, raw: IO[bytes], path: Path, suffix: str) -> None:
        self._raw, self._path = raw, path
        self._source = gzip.GzipFile(fileobj=raw) if suffix == ".gz" else _Zstandard(raw)
        self._out = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer).cast("B")
        try:
            data = self._source.read(len(view))
        except EOFError:
            raise UnreadableFileError(
                f"{self._path} is cut off: its compressed data ends too early; copy it again."
            ) from None
        except (zlib.error, gzip.BadGzipFile, _DamagedError) as error:
            raise UnreadableFileError(
                f"{self._path} is damaged: {str(error) or 'it cannot be decompressed'}; copy it "
                "again."
            ) from None
        view[: len(data)] = data
        self._out += len(data)
        if self._out > max(RATIO_FROM, MAX_RATIO * self._raw.tell()):
            raise UnreadableFileError(
                f"{self._path} grows more than {MAX_RATIO}-fold when decompressed, as no text "
                "does; decompress it yourself if it is meant."
            )
        return len(data)


class _DamagedError(Exception):
    """The compressed data are not what they should be."""


class _Zstandard:
    """Frames of Zstandard one after another; unlike the library's reader, it sees a cut-off one."""

    def __init__(self, raw: IO[bytes]) -> None:
        try:
            import zstandard
        except ImportError:
            raise UnreadableFileError(
                'to read .zst files, install zstandard: pip install "hornbook[corpus]".'
            ) from None
        self._raw, self._error = raw, zstandard.ZstdError
        self._decoder = zstandard.ZstdDecompressor(max_window_size=WINDOW)
        self._frame: Any = None
        self._waiting = b""
        self._ready = io.BytesIO()

    def read(self, size: int) -> bytes:
        while not (data := self._ready.read(size)) and self._more():
            pass
        return data

    def _more(self) -> bool:
        """Decode one step further; False at the end."""
        chunk = self._waiting or self._raw.read(STEP)
        self._waiting = b""
        if not chunk:
            if self._frame is not None:
                raise EOFError
            return False
        self._frame = self._frame or self._decoder.decompressobj()
        try:
            self._ready = io.BytesIO(self._frame.decompress(chunk))
        except self._error as error:
            raise _DamagedError(str(error)) from None
        if self._frame.eof:
            self._waiting, self._frame = self._frame.unused_data, None
        return True
