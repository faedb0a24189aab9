"""The data card: what a corpus is made of, and what was done to it, for whoever uses it."""

import json
from collections.abc import Iterator
from typing import Any

from hornbook import __version__
from hornbook.corpus.readers import SAMPLE_WORLD
from hornbook.corpus.split import SPLITS
from hornbook.pipeline.cleaning import cleaning_settings
from hornbook.pipeline.context import Context

INPUTS_SHOWN = 200
"""Files named at most; the corpus' manifest names them all."""


def datacard(context: Context) -> str:
    """The card as Markdown: source, hashes, counts, steps with settings, tallies and examples."""
    return "\n".join([*_head(context), *_sources(context), *_counts(context), *_steps(context)])


def _head(context: Context) -> Iterator[str]:
    recipe = context.recipe
    made = recipe.corpus.source == SAMPLE_WORLD
    yield "# Data card\n"
    yield f"- Source: {_code(recipe.corpus.source)}"
    own = "made by Hornbook, free of rights" if made else "not stated (`corpus.licence`)"
    yield f"- Licence: {recipe.corpus.licence or own}"
    yield f"- Corpus: SHA-256 {_code(context.corpus.fingerprint)}"
    yield f"- Tokens: SHA-256 {_code(context.store.fingerprint)}"
    yield f"- Made with Hornbook {__version__}, seed {recipe.runtime.seed}\n"


def _sources(context: Context) -> Iterator[str]:
    inputs = context.corpus.manifest.inputs
    files = context.corpus.manifest.facts["sources"]
    if not inputs:
        return
    yield "## Sources\n"
    yield "| file | bytes | SHA-256 or commit |\n| --- | ---: | --- |"
    for name, digest in list(inputs.items())[:INPUTS_SHOWN]:
        size = f"{files[name]['bytes']:,}" if name in files else ""
        yield f"| {_code(name)} | {size} | {_code(digest)} |"
    if len(inputs) > INPUTS_SHOWN:
        yield f"\nand {len(inputs) - INPUTS_SHOWN:,} more, which the corpus' manifest names."
    yield ""


def _counts(context: Context) -> Iterator[str]:
    corpus, store = context.corpus, context.store
    read = corpus.cleaning["read"]
    yield "## Counts\n"
    yield "| | documents | characters | tokens |\n| --- | ---: | ---: | ---: |"
    yield f"| read | {read['documents']:,} | {read['characters']:,} | |"
    for split in SPLITS:
        numbers = (corpus.count(split), corpus.characters(split), store.token_counts[split])
        yield f"| {split} | " + " | ".join(f"{number:,}" for number in numbers) + " |"
    yield f"\nUnreadable lines, rows and documents set aside: {corpus.bad:,}.\n"


def _steps(context: Context) -> Iterator[str]:
    yield "## Cleaning\n"
    settings = cleaning_settings(context.recipe)
    yield f"```json\n{json.dumps(settings, indent=1, ensure_ascii=False)}\n```\n"
    steps = context.corpus.cleaning["steps"]
    if not steps:
        yield "No step was asked for.\n"
        return
    yield "| step | filter | seen | removed | changed |\n| --- | --- | ---: | ---: | ---: |"
    tallies = [(step["step"], tally) for step in steps for tally in step["tallies"]]
    for step, tally in tallies:
        numbers = " | ".join(f"{tally[key]:,}" for key in ("seen", "removed", "changed"))
        yield f"| {step} | {tally['name']} | {numbers} |"
    yield ""
    for _, tally in tallies:
        yield from _examples(tally)


def _examples(tally: dict[str, Any]) -> Iterator[str]:
    if not tally["examples"]:
        return
    yield f"### {tally['name']}: examples\n"
    for document, excerpt, why in tally["examples"]:
        yield f"- {_code(document)} ({_line(why)}): {_code(excerpt)}"
    yield ""


def _line(text: str) -> str:
    return " ".join(text.split())


def _code(text: str) -> str:
    """Text of whatever content as one harmless line of code."""
    inner = _line(text).replace("`", "'").replace("|", "¦")
    return f"`{inner}`"
