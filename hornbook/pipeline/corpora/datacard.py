"""The data card: what a corpus is made of, and what was done to it, for whoever uses it."""

import json
from collections.abc import Iterator
from typing import Any

from hornbook import __version__
from hornbook.corpus.privacy.redaction import make_search
from hornbook.corpus.readers import SAMPLE_WORLD, CorpusSettings
from hornbook.corpus.split import SPLITS
from hornbook.model.presets import resolve
from hornbook.pipeline.context import Context, Part
from hornbook.pipeline.corpora.cleaning import cleaning_settings
from hornbook.pipeline.corpora.datasets import train_dataset
from hornbook.sampling.mixture import Mixture
from hornbook.sampling.packing import PackedDocuments

INPUTS_SHOWN = 200
"""Files named at most; the corpus' manifest names them all."""


def datacard(context: Context) -> str:
    """The card as Markdown: source, hashes, counts, steps with settings, tallies and examples; of
    each corpus, where several are mixed."""
    lines = [*_head(context)]
    for part in context.parts:
        if part.name:
            lines.append(f"# {part.name}\n")
        corpus = context.recipe.corpus.parts[part.name]
        lines += [*_origin(part, corpus), *_sources(part), *_counts(part), *_steps(context, part)]
    card = "\n".join(lines)
    # Examples are without personal data already; the name of a file may have some, too.
    search = make_search(context.recipe.privacy)
    return card if search is None else search.without(card)


def _head(context: Context) -> Iterator[str]:
    yield "# Data card\n"
    yield f"- Made with Hornbook {__version__}, seed {context.recipe.runtime.seed}"
    if context.recipe.corpus.sources:
        yield from _mixture(context)
    if context.recipe.sampling.packing == "documents":
        yield from _packing(context)


def _mixture(context: Context) -> Iterator[str]:
    """What is drawn from each source in an epoch of pre-training, which has as many samples as all
    sources together."""
    config = resolve(context.recipe.model, context.tokenizer.vocab_size)
    mixture = train_dataset(context, config)
    assert isinstance(mixture, Mixture)
    weights = context.recipe.corpus.weights or {}
    yield f"- A mixture of {len(context.parts)} sources, alpha {context.recipe.corpus.alpha:g}\n"
    yield "## Mixture\n"
    yield "| source | weight | tokens | share drawn | epochs of it in one of the mixture |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for part in context.parts:
        weight = f"{weights[part.name]:g}" if weights else "its size"
        share, epochs = mixture.shares[part.name], mixture.epochs[part.name]
        tokens = part.store.token_counts["train"]
        yield f"| {part.name} | {weight} | {tokens:,} | {share:.1%} | {epochs:.2f} |"
    yield ""


def _packing(context: Context) -> Iterator[str]:
    """How full the rows of packed training documents are, of each source."""
    config = resolve(context.recipe.model, context.tokenizer.vocab_size)
    dataset = train_dataset(context, config)
    packed = dataset.sources if isinstance(dataset, Mixture) else {"": dataset}
    for name, rows in packed.items():
        if isinstance(rows, PackedDocuments):
            yield f"- Training rows{f' of {name}' if name else ''}: {rows.describe()}"
    yield ""


def _origin(part: Part, settings: CorpusSettings) -> Iterator[str]:
    made = settings.source == SAMPLE_WORLD
    own = "made by Hornbook, free of rights" if made else "not stated (`corpus.licence`)"
    yield f"- Source: {_code(settings.source)}"
    yield f"- Licence: {settings.licence or own}"
    yield f"- Corpus: SHA-256 {_code(part.corpus.fingerprint)}"
    yield f"- Tokens: SHA-256 {_code(part.store.fingerprint)}\n"


def _sources(part: Part) -> Iterator[str]:
    inputs = part.corpus.manifest.inputs
    files = part.corpus.manifest.facts["sources"]
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


def _counts(part: Part) -> Iterator[str]:
    corpus, store = part.corpus, part.store
    read = corpus.cleaning["read"]
    yield "## Counts\n"
    yield "| | documents | characters | tokens |\n| --- | ---: | ---: | ---: |"
    yield f"| read | {read['documents']:,} | {read['characters']:,} | |"
    for split in SPLITS:
        numbers = (corpus.count(split), corpus.characters(split), store.token_counts[split])
        yield f"| {split} | " + " | ".join(f"{number:,}" for number in numbers) + " |"
    yield f"\nUnreadable lines, rows and documents set aside: {corpus.bad:,}.\n"


def _steps(context: Context, part: Part) -> Iterator[str]:
    yield "## Cleaning\n"
    settings = cleaning_settings(context.recipe)
    yield f"```json\n{json.dumps(settings, indent=1, ensure_ascii=False)}\n```\n"
    steps = part.corpus.cleaning["steps"]
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
