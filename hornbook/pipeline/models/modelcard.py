"""The card that goes with an exported model: what it is, what it was made of, how to use it."""

import json
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hornbook import __version__
from hornbook.artifact import MANIFEST
from hornbook.model.transformer import count_parameters
from hornbook.pipeline.models.bundle import Bundle
from hornbook.pipeline.models.lineage import (
    Stage,
    bare_name,
    corpora_of,
    facts_of,
    read_json,
    stages_of,
    without_folders,
)
from hornbook.pipeline.workspace import RESULTS

UNKNOWN = "not stated"
OWN_DATA = "made by Hornbook, free of rights"
FILES_SHOWN = 100
"""Files of a corpus that are named; its manifest names all."""


def modelcard(bundle: Bundle, name: str, library: str, use: str) -> str:
    """README.md with front matter, as the Hugging Face hub shows it.

    Args:
        library: the hub's name for what loads the files: "transformers", "gguf" or "peft".
        use: code that loads them, a Markdown block.
    """
    stages = stages_of(bundle.path)
    # A model made elsewhere stands in nobody's run: what lies beside it is not about it.
    elsewhere = not stages and "family" in bundle.facts
    recipe = {} if elsewhere else _recipe(bundle.path.parent)
    licence = _licence(recipe, stages)
    front = {
        "library_name": library,
        "pipeline_tag": "text-classification" if bundle.task == "classify" else "text-generation",
        "license": "cc0-1.0" if licence == OWN_DATA else "other" if licence == UNKNOWN else licence,
        "tags": ["hornbook"],
    }
    return "\n".join(
        [
            *_front_matter(front),
            f"# {name}\n",
            f"Made with Hornbook {__version__}, exported as {library}.\n",
            f"{use}\n",
            *_model(bundle),
            *_data(None if elsewhere else bundle.path.parent, recipe, stages, licence),
            *_trainings(stages),
            *_results(bundle),
            *_settings(recipe),
        ]
    )


def _licence(recipe: dict[str, Any], stages: Sequence[Stage]) -> str:
    """That of the corpus; of a model that learnt from other files, too, there is none to be known."""
    corpus = recipe.get("corpus", {})
    from_elsewhere = recipe.get("model", {}).get("path") is not None
    if from_elsewhere or not all(stage.is_own_data for stage in stages):
        return str(corpus.get("licence") or UNKNOWN)
    made = corpus.get("source") == "sample-world" and not corpus.get("sources")
    return str(corpus.get("licence") or (OWN_DATA if made else UNKNOWN))


def _front_matter(values: dict[str, Any]) -> Iterator[str]:
    yield "---"
    for key, value in values.items():
        yield f"{key}: {json.dumps(value)}"  # JSON is YAML
    yield "---\n"


def _model(bundle: Bundle) -> Iterator[str]:
    config, facts = bundle.model.config, bundle.facts
    yield "## Model\n"
    yield f"- Parameters: {count_parameters(bundle.model):,}"
    yield f"- Trained to: {bundle.task}"
    if "template" in facts:
        yield f"- Conversations: the template {facts['template']!r}, inside the files"
    if bundle.task == "classify":
        yield f"- Classes: {', '.join(f'`{label}`' for label in bundle.labels)}"
        if bundle.many:
            least = ", ".join(f"{threshold:.3g}" for threshold in bundle.thresholds)
            yield f"- Several for a text, each from its own probability on: {least}"
        yield f"- Reads the first {facts['max_length']:,} tokens of a text"
    yield f"- Context: {config.context_length:,} tokens; vocabulary: {config.vocab_size:,}"
    if bundle.manifest.files:
        yield f"- Weights: SHA-256 `{bundle.manifest.fingerprint}`\n"
    elif bundle.base is not None:
        yield f"- Weights: those of {bundle.base.name}, with the adapter {bundle.path.name}\n"
    else:
        yield f"- Weights: of a {facts['family']} model made elsewhere, {bundle.path.name}\n"


def _data(
    run: Path | None, recipe: dict[str, Any], stages: Sequence[Stage], licence: str
) -> Iterator[str]:
    yield "## Data\n"
    yield f"- Licence: {licence}\n"
    if run is None:
        yield "What the model learnt from is stated where it was made.\n"
        return
    names = [stage.name for stage in stages]
    if "base" in names or (stages and recipe.get("model", {}).get("path")):
        yield "### base: a model made before\n"
        yield f"- `{bare_name(str(recipe.get('model', {}).get('path', UNKNOWN)))}`, under its own licence"
        yield f"- SHA-256 of what was read: `{stages[0].inputs.get('source', UNKNOWN)}`\n"
    if not stages or "pretrain" in names:
        yield from _corpora(run, recipe)
    for stage in stages:
        if stage.files:
            yield from _examples(stage)


def _corpora(run: Path, recipe: dict[str, Any]) -> Iterator[str]:
    stated = recipe.get("corpus", {})
    own = {source.get("name"): source for source in stated.get("sources", [])}
    for name, folder in [*corpora_of(run)] or [("", run)]:
        settings = {**stated, **own.get(name, {})}
        yield f"### pretrain: {name or 'the corpus'}\n"
        yield f"- Source: `{bare_name(str(settings.get('source', UNKNOWN)))}`"
        if own and settings.get("licence"):
            yield f"- Licence: {settings['licence']}"
        for split, count in facts_of(folder / "corpus").get("documents", {}).items():
            yield f"- Documents, {split}: {count:,}"
        for split, counts in facts_of(folder / "tokens").get("splits", {}).items():
            yield f"- Tokens, {split}: {counts['tokens']:,}"
        yield ""
        yield from _table(read_json(folder / "corpus" / MANIFEST).get("inputs", {}))


def _examples(stage: Stage) -> Iterator[str]:
    """What a fine-tuning learnt from."""
    yield f"### {stage.name}: examples\n"
    for split, count in stage.results.get("examples", {}).items():
        yield f"- Examples, {split}: {count:,}"
    yield ""
    yield from _table(stage.files)


def _table(files: dict[str, str]) -> Iterator[str]:
    if not files:
        return
    yield "| file | SHA-256 or commit |\n| --- | --- |"
    for name, digest in list(files.items())[:FILES_SHOWN]:
        shown = bare_name(name).replace("`", "'").replace("|", "¦")
        yield f"| `{' '.join(shown.split())}` | `{digest}` |"
    if len(files) > FILES_SHOWN:
        yield f"\nand {len(files) - FILES_SHOWN:,} more."
    yield ""


def _trainings(stages: Sequence[Stage]) -> Iterator[str]:
    """Steps, tokens and losses of every training that made the model."""
    trained = [stage for stage in stages if "steps" in stage.results]
    if not trained:
        return
    yield "## Training\n"
    yield "| stage | steps | tokens | validation loss |\n| --- | ---: | ---: | ---: |"
    for stage in trained:
        found = stage.results
        loss = found.get("validation_loss")
        loss = loss.get("value") if isinstance(loss, dict) else loss
        shown = f"{loss:.4g}" if isinstance(loss, float) else ""
        yield f"| {stage.name} | {found['steps']:,} | {found.get('tokens', 0):,} | {shown} |"
    yield ""


def _results(bundle: Bundle) -> Iterator[str]:
    results = without_folders(read_json(bundle.path / RESULTS))
    rows = dict(_figures(results, depth=2))
    if not rows:
        return
    yield "## Results\n"
    yield "| figure | value (95 % interval) |\n| --- | ---: |"
    for key, shown in rows.items():
        yield f"| {key} | {shown} |"
    yield ""


def _figures(results: dict[str, Any], depth: int, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Figures by name as text; those of objects inside come after, down to a depth."""
    inner = []
    for key, value in results.items():
        if isinstance(value, dict) and {"value", "low", "high", "count"} <= value.keys():
            ends = (f"{value[end]:.4g}" for end in ("value", "low", "high"))
            yield f"{prefix}{key}", "{} ({} to {})".format(*ends)
        elif isinstance(value, dict) and depth > 1:
            inner.append((f"{prefix}{key}: ", value))
        elif isinstance(value, int | float | str):
            yield f"{prefix}{key}", f"{value:.4g}" if isinstance(value, float) else f"{value}"
    for name, found in inner:
        yield from _figures(found, depth - 1, name)


def _settings(recipe: dict[str, Any]) -> Iterator[str]:
    if recipe:
        yield "## Settings\n"
        shown = json.dumps(without_folders(recipe), indent=1, ensure_ascii=False)
        yield f"```json\n{shown}\n```\n"


def _recipe(run: Path) -> dict[str, Any]:
    try:
        return tomllib.loads((run / "recipe.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
