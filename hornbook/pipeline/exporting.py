"""`hornbook export`: a model for other programs."""

from pathlib import Path

import torch

from hornbook.checkpoints.export.gguf_file import GGUFType, export_gguf
from hornbook.checkpoints.export.huggingface import export_folder, exportable, require_free
from hornbook.checkpoints.export.vocabulary import Vocabulary
from hornbook.checkpoints.families.family import Family
from hornbook.checkpoints.families.known import FAMILIES
from hornbook.errors import HornbookError
from hornbook.pipeline.bundle import Bundle, default_runtime, load_bundle
from hornbook.pipeline.modelcard import modelcard
from hornbook.tokenizing.jinja_templates import jinja_template
from hornbook.tokenizing.templates import stop_ids

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def export_as_folder(source: Path, out: Path, dtype: str = "float32") -> None:
    """Write a model as a Hugging Face folder; an adapter is merged into its base.

    Raises:
        HornbookError: something stands at `out`, or no family can express the model.
    """
    require_free(out)
    if dtype not in DTYPES:
        raise HornbookError(f"unknown dtype {dtype!r}; expected one of {', '.join(DTYPES)}.")
    bundle = _open(source)
    family = family_of(bundle)
    use = _code(
        "python",
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        f'model = AutoModelForCausalLM.from_pretrained("{out.name}")\n'
        f'tokenizer = AutoTokenizer.from_pretrained("{out.name}")',
    )
    card = modelcard(bundle, out.name, "transformers", use)
    export_folder(out, bundle.model, family, vocabulary_of(bundle), card, DTYPES[dtype])


def export_as_gguf(source: Path, out: Path, kind: GGUFType = "f16") -> Path:
    """Write a model as a GGUF file, in a folder with a Modelfile; an adapter is merged into its base.

    Returns:
        The path of the .gguf file.

    Raises:
        HornbookError: something stands at `out`, or llama.cpp has not this model or tokenizer.
    """
    require_free(out)
    bundle = _open(source)
    family = family_of(bundle)
    name = f"{out.name}-{kind}.gguf"
    use = _code("console", f"$ llama-cli -m {name}\n$ ollama create {out.name} -f Modelfile")
    card = modelcard(bundle, out.name, "gguf", use)
    return export_gguf(out, bundle.model, family, vocabulary_of(bundle), card, kind)


def family_of(bundle: Bundle) -> Family:
    """The family that a model came from, or the first that can express it.

    Raises:
        HornbookError: none can, or the model's outputs are classes.
    """
    bundle.require_language_model()
    stated = bundle.facts.get("family")
    return FAMILIES[stated] if stated in FAMILIES else exportable(bundle.model.config, FAMILIES)


def vocabulary_of(bundle: Bundle) -> Vocabulary:
    """The tokenizer in plain values, with the chat template and every id that ends an answer."""
    tokenizer = bundle.tokenizer
    template = bundle.facts.get("template")
    chat = tokenizer.chat_template if template is None else jinja_template(tokenizer, template)
    ends = set() if template is None else stop_ids(tokenizer, template)
    ends |= set(bundle.facts.get("stop_ids", ()))
    first = [] if tokenizer.eos_id is None else [tokenizer.eos_id]
    stops = (*first, *sorted(ends - set(first)))
    return Vocabulary(tokenizer.tree, tokenizer.role_spellings, stops, chat)


def _open(source: Path) -> Bundle:
    return load_bundle(source, default_runtime())


def _code(language: str, text: str) -> str:
    return f"```{language}\n{text}\n```"
