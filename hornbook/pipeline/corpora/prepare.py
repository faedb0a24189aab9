"""What has become of a corpus on its way to token ids: a table to look at, a card to keep."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from hornbook.artifact import write_text
from hornbook.console import console
from hornbook.corpus.split import SPLITS
from hornbook.model.presets import resolve
from hornbook.pipeline.context import Context, Part
from hornbook.pipeline.corpora.corpus import QUARANTINE, Corpus
from hornbook.pipeline.corpora.datacard import datacard
from hornbook.pipeline.corpora.datasets import describe_dataset, train_dataset

CARD = "datacard.md"


@dataclass(frozen=True)
class Row:
    """One line of the account."""

    name: str
    documents: int
    characters: int | None = None
    tokens: int | None = None
    changed: int | None = None


def show_prepared(context: Context) -> Path:
    """Print the table and write the data card into the run's directory; returns the card's path."""
    print_account(context)
    path = context.workspace.directory / CARD
    write_text(path, datacard(context))
    for part in context.parts:
        corpus = part.corpus
        if corpus.bad:
            kept = corpus.directory / QUARANTINE
            console.print(f"{corpus.bad:,} could not be read: {kept}", markup=False)
    console.print(f"\ndata card: {path}", markup=False)
    return path


def print_account(context: Context) -> None:
    """Documents and characters in, removed by each step, and out; tokens at the end."""
    for part in context.parts:
        table = Table(part.name, box=None, pad_edge=False)
        for heading in ("documents", "changed", "characters", "tokens"):
            table.add_column(heading, justify="right")
        for row in account(part):
            numbers = (row.documents, row.changed, row.characters, row.tokens)
            table.add_row(row.name, *("" if n is None else f"{n:,}" for n in numbers))
        console.print()
        console.print(table)
    recipe = context.recipe
    if recipe.corpus.sources or recipe.sampling.packing == "documents":
        config = resolve(recipe.model, context.tokenizer.vocab_size)
        console.print()
        for line in describe_dataset(train_dataset(context, config)):
            console.print(line, markup=False)


def account(part: Part, ending: bool = True) -> Iterator[Row]:
    """Every line: what was read, what each step took away (negative), and what is left, by split, unless
    the `ending` is not wanted.

    Characters stand beside a step as a whole, documents beside each filter in it.
    """
    corpus, store = part.corpus, part.store
    before = corpus.cleaning["read"]
    yield Row("read", before["documents"], before["characters"])
    for step in corpus.cleaning["steps"]:
        lost = step["characters"] - before["characters"]
        tallies = step["tallies"]
        if len(tallies) != 1:
            words = re.sub("(?<=[a-z])(?=[A-Z])", " ", step["step"]).capitalize()
            yield Row(words, step["documents"] - before["documents"], lost)
        for tally in tallies:
            name = tally["name"] if len(tallies) == 1 else f"  {tally['name']}"
            characters = lost if len(tallies) == 1 else None
            yield Row(name, -tally["removed"], characters, changed=tally["changed"])
        before = step
    if not ending:
        return
    yield Row("kept", *_totals(corpus), sum(store.token_counts.values()))
    for split in SPLITS:
        tokens = store.token_counts[split]
        yield Row(f"  {split}", corpus.count(split), corpus.characters(split), tokens)


def _totals(corpus: Corpus) -> tuple[int, int]:
    return sum(map(corpus.count, SPLITS)), sum(map(corpus.characters, SPLITS))
