"""The card that goes with an exported model: what it is, what it was made of, how to use it."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hornbook import __version__
from hornbook.artifact import MANIFEST, parse_manifest
from hornbook.model.transformer import count_parameters
from hornbook.pipeline.models.bundle import Bundle
from hornbook.pipeline.workspace import RESULTS

UNKNOWN = "not stated"
OWN_DATA = "made by Hornbook, free of rights"


def modelcard(bundle: Bundle, name: str, library: str, use: str) -> str:
    """README.md with front matter, as the Hugging Face hub shows it.

    Args:
        library: the hub's name for what loads the files: "transformers", "gguf" or "peft".
        use: code that loads them, a Markdown block.
    """
    recipe = _recipe(bundle.path.parent)
    corpus = recipe.get("corpus", {})
    made = corpus.get("source") == "sample-world"
    licence = corpus.get("licence")
    front = {
        "library_name": library,
        "pipeline_tag": "text-generation",
        "license": licence or ("cc0-1.0" if made else "other"),
        "tags": ["hornbook"],
    }
    return "\n".join(
        [
            *_front_matter(front),
            f"# {name}\n",
            f"Made with Hornbook {__version__}, exported as {library}.\n",
            f"{use}\n",
            *_model(bundle),
            *_data(bundle, recipe, licence or (OWN_DATA if made else UNKNOWN)),
            *_losses(bundle),
            *_settings(recipe),
        ]
    )


def _front_matter(values: dict[str, Any]) -> Iterator[str]:
    yield "---"
    for key, value in values.items():
        yield f"{key}: {json.dumps(value)}"  # JSON is YAML
    yield "---\n"


def _model(bundle: Bundle) -> Iterator[str]:
    config = bundle.model.config
    yield "## Model\n"
    yield f"- Parameters: {count_parameters(bundle.model):,}"
    yield f"- Trained to: {bundle.task}"
    if "template" in bundle.facts:
        yield f"- Conversations: the template {bundle.facts['template']!r}, inside the files"
    yield f"- Context: {config.context_length:,} tokens; vocabulary: {config.vocab_size:,}"
    if "family" in bundle.facts:
        yield f"- Weights: of a {bundle.facts['family']} model made elsewhere, {bundle.path.name}\n"
    else:
        yield f"- Weights: SHA-256 `{bundle.manifest.fingerprint}`\n"


def _data(bundle: Bundle, recipe: dict[str, Any], licence: str) -> Iterator[str]:
    run = bundle.path.parent
    yield "## Data\n"
    yield f"- Source: `{recipe.get('corpus', {}).get('source', UNKNOWN)}`"
    yield f"- Licence: {licence}"
    corpus = _manifest(run / "corpus")
    for split, count in corpus.get("documents", {}).items():
        yield f"- Documents, {split}: {count:,}"
    for split, counts in _manifest(run / "tokens").get("splits", {}).items():
        yield f"- Tokens, {split}: {counts['tokens']:,}"
    yield ""


def _losses(bundle: Bundle) -> Iterator[str]:
    results = _json(bundle.path / RESULTS)
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
        yield f"```json\n{json.dumps(recipe, indent=1, ensure_ascii=False)}\n```\n"


def _recipe(run: Path) -> dict[str, Any]:
    try:
        return tomllib.loads((run / "recipe.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _manifest(folder: Path) -> dict[str, Any]:
    """What an artifact of the run says of itself; nothing where there is none."""
    try:
        return parse_manifest((folder / MANIFEST).read_text(encoding="utf-8")).facts
    except (OSError, ValueError, TypeError):
        return {}


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
