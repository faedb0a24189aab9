"""What the model will see, on a terminal: the tokens of a window and what each is to predict."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hornbook.sampling.batch import IGNORE
from hornbook.sampling.dataset import Dataset

PALETTE = ("cyan", "magenta", "yellow", "blue")
"""Neighbouring tokens differ, so that one sees where a token ends."""
TRAINED = "bold green"
MASKED = "dim"
BORDER = "║"
"""Between two documents of a packed row."""
MARK = "*"
"""Stands beside trained positions, for eyes and terminals without colours."""
SHARE_OF = 1_000
"""Samples looked at, spread over the dataset, to say which share of its positions is trained."""


class Texts(Protocol):
    """The one thing needed of a tokenizer."""

    def token_text(self, token_id: int, /) -> str:
        """A token as a human reads it."""
        ...


class Measured(Dataset, Protocol):
    """A dataset that knows the lengths of its samples: `Windows` and `Examples` both do."""

    def length(self, index: int) -> int:
        """Tokens of a sample, without padding."""
        ...

    @property
    def n_tokens(self) -> int:
        """Tokens of all samples together, without padding."""
        ...

    def describe(self) -> str:
        """How samples are cut, in a few words."""
        ...


class Position(NamedTuple):
    """One position of a sample."""

    read: int
    """The token id that the model reads here."""
    target: int
    """What it is to predict here, or `IGNORE`."""
    begins: bool = False
    """Whether another document than the one before it in a packed row begins here."""


def show_windows(
    tokenizer: Texts,
    dataset: Measured,
    indices: Iterable[int],
    *,
    rows: int = 16,
    target_text: Callable[[int], str] | None = None,
) -> Group:
    """A summary of the dataset, a legend, and the samples of these indices.

    Args:
        tokenizer: tells the text of a token id.
        dataset: `Windows` or `Examples`.
        indices: which samples to show.
        rows: positions of a sample shown one by one in its table, at most; if it has more, some
            from its beginning, some from where training begins, some from its end.
        target_text: tells the text of a target; as a token when not given (a classifier's
            targets are classes).
    """
    names = target_text or tokenizer.token_text
    parts: list[RenderableType] = [_summary(dataset), _legend()]
    for index in indices:
        positions = _positions(dataset, index)
        parts += ["", _title(dataset, index, positions)]
        parts += [_flow("reads  ", _reads(tokenizer, positions))]
        parts += [_flow("learns ", _learns(names, positions))]
        parts += [_table(tokenizer, names, positions, rows)]
    return Group(*parts)


def share_trained(dataset: Measured) -> float:
    """Share of the real positions that are trained, over at most `SHARE_OF` samples."""
    step = -(-len(dataset) // SHARE_OF) or 1
    samples = [_positions(dataset, index) for index in range(0, len(dataset), step)]
    real = sum(len(positions) for positions in samples)
    return sum(map(_trained, samples)) / real if real else 0.0


def _summary(dataset: Measured) -> Text:
    figures = (
        f"{_count(len(dataset), 'window')} ({dataset.describe()})",
        f"{_count(dataset.n_tokens, 'token')} an epoch",
        f"{share_trained(dataset):.1%} of positions trained",
    )
    return Text(" · ".join(figures), style="bold")


def _legend() -> Text:
    return Text.assemble(
        "one colour a token · ",
        (f"{MARK} trained", TRAINED),
        ": a target to learn · ",
        ("masked", MASKED),
        ": read, not learnt",
    )


def _title(dataset: Measured, index: int, positions: Sequence[Position]) -> Text:
    words = f"window {index + 1:,} of {len(dataset):,}"
    counts = f": {_count(len(positions), 'token')}, {_trained(positions):,} trained"
    borders = sum(position.begins for position in positions)
    if borders:
        counts += f", {borders + 1:,} documents between {BORDER}"
    return Text.assemble((words, "bold"), counts)


def _reads(tokenizer: Texts, positions: Sequence[Position]) -> list[tuple[str, str]]:
    pieces: list[tuple[str, str]] = []
    for at, position in enumerate(positions):
        if position.begins:
            pieces.append((BORDER, TRAINED))
        pieces.append((_visible(tokenizer.token_text(position.read)), PALETTE[at % len(PALETTE)]))
    return pieces


def _learns(names: Callable[[int], str], positions: Sequence[Position]) -> list[tuple[str, str]]:
    """Targets in order, each run of masked ones as its number."""
    pieces: list[tuple[str, str]] = []
    for (masked, _), run in itertools.groupby(positions, _runs_of(positions)):
        held = list(run)
        if held[0].begins:
            pieces.append((BORDER, TRAINED))
        if masked:
            pieces.append((f"[{len(held):,} masked]", MASKED))
        else:
            pieces += [(_visible(names(position.target)), TRAINED) for position in held]
    return pieces


def _runs_of(positions: Iterable[Position]) -> Callable[[Position], tuple[bool, int]]:
    """A key, to be asked of each position in turn: masked or not, and the document's number."""
    numbers = itertools.accumulate(position.begins for position in positions)
    return lambda position: (position.target == IGNORE, next(numbers))


def _flow(label: str, pieces: Iterable[tuple[str, str]]) -> Table:
    """Pieces one after another with thin bars between, wrapped beside the label."""
    text, last = Text(), BORDER
    for piece, style in pieces:
        text.append("" if BORDER in (last, piece) else "│", MASKED).append(piece, style)
        last = piece
    line = Table.grid()
    line.add_column(no_wrap=True)
    line.add_column(overflow="fold")
    line.add_row(Text(label, style=MASKED), text)
    return line


def _table(
    tokenizer: Texts, names: Callable[[int], str], positions: Sequence[Position], rows: int
) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("position", "id", "reads", "", "target", "id"):
        table.add_column(name, justify="right" if name in ("position", "id") else "left")
    for at in _chosen(positions, rows):
        if at is None:
            table.add_row("…", "", "", "", "", "", style=MASKED)
        else:
            place = f"{BORDER} {at}" if positions[at].begins else str(at)
            table.add_row(place, *_row(tokenizer, names, positions[at], at))
    return table


def _row(
    tokenizer: Texts, names: Callable[[int], str], position: Position, at: int
) -> list[RenderableType]:
    read = Text(_visible(tokenizer.token_text(position.read)), PALETTE[at % len(PALETTE)])
    if position.target == IGNORE:
        return [str(position.read), read, "", Text("masked", MASKED), ""]
    target = Text(_visible(names(position.target)), TRAINED)
    return [str(position.read), read, f"→ {MARK}", target, str(position.target)]


def _chosen(positions: Sequence[Position], rows: int) -> list[int | None]:
    """The positions to show, with None where some are left out."""
    length = len(positions)
    if length <= rows:
        return list(range(length))
    trained = (at for at, position in enumerate(positions) if position.target != IGNORE)
    begin = max(next(trained, 0) - 1, 0)
    groups = (range(rows // 4), range(begin, begin + rows // 2), range(length - rows // 4, length))
    shown = sorted({at for group in groups for at in group if at < length})
    chosen: list[int | None] = []
    for at in shown:
        if chosen and at - 1 not in shown:
            chosen.append(None)
        chosen.append(at)
    return chosen


def _positions(dataset: Measured, index: int) -> list[Position]:
    inputs, targets = dataset.collate([index])
    real = dataset.length(index)
    documents = dataset.documents([index])
    numbers = [0] * real if documents is None else documents[0, :real].tolist()
    begins = [False, *(a != b for a, b in itertools.pairwise(numbers))][:real]
    columns = inputs[0, :real].tolist(), targets[0, :real].tolist(), begins
    return list(itertools.starmap(Position, zip(*columns, strict=True)))


def _trained(positions: Iterable[Position]) -> int:
    return sum(position.target != IGNORE for position in positions)


def _visible(text: str) -> str:
    """The text with its line breaks and control characters to be seen instead of obeyed."""
    text = text.replace("\n", "⏎").replace("\t", "⇥")
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def _count(number: int, unit: str) -> str:
    return f"{number:,} {unit}{'' if number == 1 else 's'}"
