"""How many megabytes a second each quality filter looks at, and all of them together.

    python bench/cleaning.py [--megabytes 40] [--text FILE] [--documents 4000] [--workers N]

The text (Shakespeare's plays when not given, its verses joined to paragraphs) is cut into documents of
4,000 characters and repeated with changed words until it is as large as wished. Each filter is timed
alone in one process (CPU time, best of three, words and lines found beforehand), then what they share,
then all together in one process; then the whole step is timed in the given number of processes, by the clock. The peer is datatrove, where it is installed: its
filters of the same papers, in one process, on the same documents.
"""

import argparse
import importlib.util
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.table import Table

from hornbook.console import console
from hornbook.corpus.document import Document
from hornbook.corpus.quality.filtering import Filters, judge_all
from hornbook.corpus.quality.settings import GROUPS, QualitySettings, quality_judges
from hornbook.corpus.quality.view import Judge, View

SHAKESPEARE = Path(__file__).parents[1] / "../shared/data/tinyshakespeare.txt"
LENGTH = 4_000
SAMPLE = 1_000
"""Documents on which single filters, and the peer, are timed."""
SHARED: dict[str, Callable[[View], object]] = {
    "(characters as numbers)": lambda view: view.codes,
    "(words)": lambda view: view.words,
    "(their hashes)": lambda view: view.words.hashes,
    "(lines)": lambda view: view.lines,
    "(without capitals)": lambda view: view.encoded_lower,
}
"""What several filters share."""


def make_documents(text: str, megabytes: float, seed: int = 1) -> list[str]:
    """Pieces of a text, every tenth word exchanged for another of it after the first time."""
    rng = random.Random(seed)
    for mark in ",;:":
        text = text.replace(f"{mark}\n", f"{mark} ")
    text = text.replace("'", "’")
    pieces = [text[at : at + LENGTH] for at in range(0, len(text) - LENGTH, LENGTH)]
    words = text.split()
    found: list[str] = []
    size = 0
    while size < megabytes * 1e6:
        piece = pieces[len(found) % len(pieces)]
        if len(found) >= len(pieces):
            changed = (rng.choice(words) if rng.random() < 0.1 else w for w in piece.split(" "))
            piece = " ".join(changed)
        found.append(piece)
        size += len(piece.encode())
    return found


def best_of(
    times: int, make: Callable[[], Sequence[View]], judge: Callable[[View], object]
) -> float:
    """CPU seconds for all views, each time new ones."""
    seconds = []
    for _ in range(times):
        views = make()
        started = time.process_time()
        for view in views:
            judge(view)
        seconds.append(time.process_time() - started)
    return min(seconds)


def seen(text: str) -> View:
    """A view with what several filters share found already."""
    view = View(text)
    for find in SHARED.values():
        find(view)
    return view


def single(texts: Sequence[str], judges: dict[str, Judge]) -> Table:
    """A row for each filter: megabytes a second, microseconds a document."""
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    table = Table("filter", box=None)
    for heading in ("MB/s", "µs a document"):
        table.add_column(heading, justify="right")
    for name, judge in judges.items():
        seconds = best_of(3, lambda: [seen(text) for text in texts], judge)
        table.add_row(name, f"{megabytes / seconds:,.0f}", f"{seconds / len(texts) * 1e6:,.1f}")
    for name, find in SHARED.items():
        seconds = best_of(3, lambda: [View(text) for text in texts], find)
        table.add_row(name, f"{megabytes / seconds:,.0f}", f"{seconds / len(texts) * 1e6:,.1f}")
    return table


def one_thread(texts: Sequence[str], judges: dict[str, Judge]) -> float:
    """Megabytes a second of CPU time, the best of three."""
    given = tuple(judges.values())
    judge_all(texts[:10], given)  # reads the languages' model
    seconds = []
    for _ in range(3):
        started = time.process_time()
        judge_all(texts, given)
        seconds.append(time.process_time() - started)
    return sum(len(text.encode()) for text in texts) / 1e6 / min(seconds)


def whole(texts: Sequence[str], judges: dict[str, Judge], workers: int | None) -> tuple[float, int]:
    """Megabytes a second of the step as prepare runs it, starting processes included; and kept."""
    step = Filters(judges, workers)
    documents: Iterator[Document] = (Document(text, str(n)) for n, text in enumerate(texts))
    started = time.perf_counter()
    kept = sum(1 for _ in step.apply(documents))
    taken = time.perf_counter() - started
    return sum(len(text.encode()) for text in texts) / 1e6 / taken, kept


def datatrove(texts: Sequence[str]) -> float | None:
    """Megabytes a second of datatrove's filters of the same papers, each on every document."""
    if importlib.util.find_spec("datatrove") is None:
        return None
    from datatrove.data import Document as Page
    from datatrove.pipeline import filters as peers

    chosen = [
        peers.GopherQualityFilter(),
        peers.GopherRepetitionFilter(),
        peers.C4QualityFilter(),
        peers.FineWebQualityFilter(),
    ]
    chosen[0].filter(Page(text="It loads its splitter of words first.", id="0"))
    started = time.process_time()
    for text in texts:
        for each in chosen:
            each.filter(Page(text=text, id="0"))
    return sum(len(text.encode()) for text in texts) / 1e6 / (time.process_time() - started)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=float, default=40)
    parser.add_argument("--text", type=Path, default=SHAKESPEARE)
    parser.add_argument("--workers", type=int)
    given = parser.parse_args()
    texts = make_documents(given.text.read_text(encoding="utf-8"), given.megabytes)
    rules = quality_judges(QualitySettings(filters=GROUPS))
    everything = quality_judges(
        QualitySettings(unicode="repair", languages=("en",), filters=GROUPS)
    )
    console.print(single(texts[:SAMPLE], everything))
    for name, judges in (("all rules", rules), ("and Unicode and language", everything)):
        alone = one_thread(texts[:SAMPLE], judges)
        rate, kept = whole(texts, judges, given.workers)
        console.print(
            f"{name}: {alone:.1f} MB/s in one thread, {rate:.1f} MB/s in all processes; "
            f"{kept:,} of {len(texts):,} kept"
        )
    peer = datatrove(texts[:200])
    if peer is not None:
        rate = whole(texts[:200], rules, 1)[0]
        console.print(f"one process: datatrove {peer:.2f} MB/s, Hornbook {rate:.1f} MB/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
