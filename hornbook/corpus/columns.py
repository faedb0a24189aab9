"""Documents from parquet files and from Hugging Face datasets: rows of named columns."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from hornbook import artifact
from hornbook.corpus.compression import COMPRESSED, UnreadableFileError
from hornbook.corpus.document import Document
from hornbook.corpus.formats import Cut, Reading, require_columns
from hornbook.errors import HornbookError

HUB = "hf:"
"""What a source begins with that is a Hugging Face dataset."""
ROWS_AT_ONCE = 64
"""Rows of a parquet file decoded at a time."""
PAGES = 2**20
"""Bytes of a parquet file read at a time."""


def read_parquet(
    stream: IO[bytes], path: Path, name: str, reading: Reading, cut: Cut | None = None
) -> Iterator[Document]:
    """One document a row; only the columns that are asked for, and `id`, are read.

    Memory: one page of each column and 64 rows. A compressed file is first decompressed to disk,
    for parquet is read from its end.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UnreadableFileError(
            'to read .parquet files, install pyarrow: pip install "hornbook[corpus]".'
        ) from None
    with contextlib.ExitStack() as open_files:
        if path.suffix.lower() in COMPRESSED:
            whole = open_files.enter_context(tempfile.TemporaryFile())
            shutil.copyfileobj(stream, whole)
            stream = whole
        try:
            file = pyarrow.parquet.ParquetFile(stream, buffer_size=PAGES, pre_buffer=False)
            columns = _columns(file.schema_arrow.names, path, reading)
            groups = range(cut.start, cut.stop) if cut else range(file.num_row_groups)
            batches = file.iter_batches(ROWS_AT_ONCE, row_groups=list(groups), columns=columns)
            rows = (row for batch in batches for row in _rows_of(batch))
            yield from _read_rows(rows, str(path), name, reading, cut.first if cut else 1)
        except (pyarrow.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0].removesuffix(".")
            raise UnreadableFileError(f"{path} is no whole parquet file: {reason}.") from None


def parquet_records(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a parquet file by column, each with where it stands.

    Raises:
        UnreadableFileError: pyarrow is not installed, or the file is no whole parquet file.
        HornbookError: a column is not there.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UnreadableFileError(
            'to read .parquet files, install pyarrow: pip install "hornbook[corpus]".'
        ) from None
    try:
        file = pyarrow.parquet.ParquetFile(path, pre_buffer=False)
        names = file.schema_arrow.names
        for name in columns:
            if name not in names:
                raise HornbookError(
                    f"{path} has no column {name!r}; its columns are: {', '.join(names)}."
                )
        rows = (
            row
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=list(columns))
            for row in _rows_of(batch)
        )
        for number, row in enumerate(rows, start=1):
            yield f"{path}, row {number}", row
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0].removesuffix(".")
        raise UnreadableFileError(f"{path} is no whole parquet file: {reason}.") from None


def _columns(names: list[str], path: Path, reading: Reading) -> list[str]:
    require_columns(names, path, reading)
    wanted = (reading.text_field, *reading.metadata_fields, *(["id"] if "id" in names else []))
    return list(dict.fromkeys(wanted))


def _rows_of(batch: Any) -> Iterator[dict[str, Any]]:
    """The rows of an Arrow batch; a text that is not UTF-8 stays bytes."""
    names = batch.schema.names
    for row in zip(*map(_values, batch.columns), strict=True):
        yield dict(zip(names, row, strict=True))


def _values(column: Any) -> list[Any]:
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        return [_value(scalar) for scalar in column]
    return values


def _value(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return scalar.as_buffer().to_pybytes()


def cut_groups(path: Path, unit_bytes: int) -> Iterator[Cut]:
    """Between row groups, whenever they have `unit_bytes` unpacked; none where it cannot be read."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        return
    try:
        whole = pyarrow.parquet.read_metadata(path)
    except (pyarrow.ArrowException, OSError):  # said by whoever reads it
        return
    start, first, row, size = 0, 1, 1, 0
    for number in range(whole.num_row_groups):
        group = whole.row_group(number)
        row, size = row + group.num_rows, size + group.total_byte_size
        if size >= unit_bytes or number + 1 == whole.num_row_groups:
            yield Cut(start, number + 1, first)
            start, first, size = number + 1, row, 0


def _read_rows(
    rows: Iterable[Mapping[str, Any]], shown: str, name: str, reading: Reading, first: int = 1
) -> Iterator[Document]:
    for number, row in enumerate(rows, start=first):
        where = f"{shown}, row {number}"
        try:
            if isinstance(row.get(reading.text_field), bytes):
                raise HornbookError(f"{where}: {reading.text_field!r} is not UTF-8 text.")
            document = reading.document(row, where, name, number)
        except HornbookError as error:
            reading.quarantine.refuse(name, number, error)
            continue
        reading.quarantine.keep()
        yield document


def read_hub(reading: Reading, revision: str | None = None) -> Iterator[Document]:
    """Documents of a Hugging Face dataset, "hf:NAME[:CONFIG][:SPLIT]", streamed.

    NAME is a dataset on the hub, a folder of data files, or one that `save_to_disk` wrote. CONFIG
    may be left empty, and SPLIT is "train" where it is not given. No code of the dataset is run.
    Memory is bounded by what `datasets` holds: a row group of parquet.

    Raises:
        UnreadableFileError: `datasets` is not installed, or it cannot find or read the dataset.
    """
    name, config, split = parts_of(reading.source)
    try:
        import datasets
    except ImportError:
        raise UnreadableFileError(
            'to read Hugging Face datasets, install datasets: pip install "hornbook[corpus]".'
        ) from None
    try:
        rows = _open_dataset(datasets, name, config, split, revision)
        yield from _read_rows(rows, reading.source, name, reading)
    except HornbookError:
        raise
    except Exception as error:  # of whichever of its many libraries
        reason = (str(error).splitlines() or [type(error).__name__])[0].removesuffix(".")
        raise UnreadableFileError(f"{reading.source} cannot be read: {reason}.") from None


def parts_of(source: str) -> tuple[str, str | None, str]:
    """Name, configuration and split of "hf:NAME[:CONFIG][:SPLIT]".

    Raises:
        HornbookError: it is not of this form.
    """
    name, *rest = source.removeprefix(HUB).split(":")
    if not name or len(rest) > 2:
        raise HornbookError(f"corpus.source {source!r}: expected hf:NAME[:CONFIG][:SPLIT].")
    config, split = ([*rest, "", ""])[:2]
    return name, config or None, split or "train"


def _open_dataset(
    datasets: Any, name: str, config: str | None, split: str, revision: str | None
) -> Any:
    """The rows of a split, as mappings."""
    saved = Path(name)
    if (saved / "dataset_dict.json").is_file():
        saved = saved / split
    if (saved / "state.json").is_file():  # of save_to_disk; memory-mapped
        return datasets.load_from_disk(str(saved))
    return datasets.load_dataset(name, config, split=split, streaming=True, revision=revision)


def hub_inputs(source: str) -> dict[str, str]:
    """What a Hugging Face dataset is made of: SHA-256 of a folder's files, the hub's commit else.

    Raises:
        UnreadableFileError: the hub cannot be asked.
    """
    name, _, _ = parts_of(source)
    if files := hub_files(name):
        return {inner: artifact.hash_file(path) for inner, path in files.items()}
    try:
        from huggingface_hub import HfApi

        return {source: str(HfApi().dataset_info(name).sha)}
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].removesuffix(".")
        raise UnreadableFileError(f"{source} cannot be found: {reason}.") from None


def hub_files(name: str) -> dict[str, Path]:
    """The files of a dataset that is a folder, by their paths in it; none of one on the hub."""
    folder = Path(name)
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    return {
        path.relative_to(folder).as_posix(): path for path in files if not path.name.startswith(".")
    }
