"""`hornbook export`: a model for other programs."""

from pathlib import Path

import torch

from hornbook.checkpoints.export.classifier import (
    classifying,
    head_fields,
    opened_vocabulary,
    without_bias,
)
from hornbook.checkpoints.export.gguf_file import GGUFType, export_gguf
from hornbook.checkpoints.export.huggingface import export_folder, require_free
from hornbook.checkpoints.export.vocabulary import Vocabulary
from hornbook.checkpoints.families.family import Family
from hornbook.errors import HornbookError
from hornbook.finetuning.gguf_adapter import export_gguf_adapter
from hornbook.finetuning.peft_folder import export_peft
from hornbook.pipeline.models.bundle import (
    ADAPTER,
    Bundle,
    default_runtime,
    family_of,
    load_adapted,
    load_bundle,
)
from hornbook.pipeline.models.lineage import bare_name
from hornbook.pipeline.models.modelcard import modelcard
from hornbook.tokenizing.jinja_templates import go_template, jinja_template
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
    if bundle.task == "classify":
        _export_classifier(bundle, out, DTYPES[dtype])
        return
    family = _family(bundle)
    use = _code(
        "python",
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        f'model = AutoModelForCausalLM.from_pretrained("{out.name}")\n'
        f'tokenizer = AutoTokenizer.from_pretrained("{out.name}")',
    )
    card = modelcard(bundle, out.name, "transformers", use)
    export_folder(out, bundle.model, family, vocabulary_of(bundle), card, DTYPES[dtype])


def _export_classifier(bundle: Bundle, out: Path, dtype: torch.dtype) -> None:
    """A folder that `AutoModelForSequenceClassification` loads: the same probabilities, calibrated.

    Raises:
        HornbookError: no class for sequence classification computes the same.
    """
    facts, model = bundle.facts, bundle.model
    pooling = facts.get("pooling", "last")
    if pooling != "last":
        raise HornbookError(
            f"{bundle.path} reads the {pooling} of a text's tokens, and the classifiers of transformers "
            'the last one; train it with classification.pooling="last", or use it by `hornbook '
            "classify` or `hornbook serve`."
        )
    family = classifying(family_of(model.config, facts.get("family")))
    vocabulary = opened_vocabulary(vocabulary_of(bundle))
    try:
        without_bias(model, facts.get("temperature", 1.0))
    except HornbookError as error:
        raise HornbookError(f"{bundle.path} cannot leave: {error}") from None
    head = head_fields(bundle.labels, bundle.many, vocabulary.role_ids()["pad_token"])
    use = _code("python", f"from transformers import pipeline\n\n{_pipeline(bundle, out.name)}")
    card = modelcard(bundle, out.name, "transformers", use)
    longest = facts["max_length"]
    export_folder(out, model, family, vocabulary, card, dtype, head=head, longest=longest)


def _pipeline(bundle: Bundle, name: str) -> str:
    """How a classifier's probabilities are asked for; texts longer than it reads are cut."""
    kind = "sigmoid" if bundle.many else "softmax"
    return (
        f'classify = pipeline("text-classification", "{name}", top_k=None)\n'
        f'classify("a text", truncation=True, function_to_apply="{kind}")'
    )


def export_as_gguf(source: Path, out: Path, kind: GGUFType = "f16") -> Path:
    """Write a model as a GGUF file, in a folder with a Modelfile; an adapter is merged into its base.

    Returns:
        The path of the .gguf file.

    Raises:
        HornbookError: something stands at `out`, or llama.cpp has not this model or tokenizer.
    """
    require_free(out)
    bundle = _open(source)
    family = _family(bundle)
    name = f"{out.name}-{kind}.gguf"
    use = _code("console", f"$ llama-cli -m {name}\n$ ollama create {out.name} -f Modelfile")
    card = modelcard(bundle, out.name, "gguf", use)
    return export_gguf(out, bundle.model, family, vocabulary_of(bundle), card, kind)


def vocabulary_of(bundle: Bundle) -> Vocabulary:
    """The tokenizer in plain values, with the chat template and every id that ends an answer."""
    tokenizer = bundle.tokenizer
    template = bundle.facts.get("template")
    chat = tokenizer.chat_template if template is None else jinja_template(tokenizer, template)
    go = None if template is None else go_template(tokenizer, template)
    ends = set() if template is None else stop_ids(tokenizer, template)
    ends |= set(bundle.facts.get("stop_ids", ()))
    first = [] if tokenizer.eos_id is None else [tokenizer.eos_id]
    stops = (*first, *sorted(ends - set(first)))
    drawing = bundle.facts.get("drawing", {})
    return Vocabulary(tokenizer.tree, tokenizer.role_spellings, stops, chat, go, drawing)


def export_adapter(source: Path, out: Path, base: str | None, as_gguf: bool = False) -> Path:
    """Write a LoRA adapter alone, for peft or as GGUF; give the path of its weights.

    Args:
        source: a folder with an adapter, such as runs/NAME/instruct-lora.
        base: the folder or hub name under which others have the base model; the base's path here
            when not given.

    Raises:
        HornbookError: there is no adapter, something stands at `out`, or no family has the model.
    """
    require_free(out)
    if not source.exists():
        raise HornbookError(
            f"{source}: no such model; give a folder such as runs/NAME/instruct-lora."
        )
    if not (source / ADAPTER).is_dir():
        raise HornbookError(f"{source} has no {ADAPTER}/ in it; export the model itself.")
    loaded, _, manifest = load_adapted(source, "cpu")
    bundle = _open(source)  # the same merged, for the card
    family = _family(bundle)
    named = base or str(loaded.directory.resolve().parent)
    if as_gguf:
        use = _code("console", f"$ llama-cli -m BASE.gguf --lora {out.name}-lora.gguf")
        return export_gguf_adapter(
            out, loaded.model, family, modelcard(bundle, out.name, "gguf", use)
        )
    use = _code(
        "python",
        "from peft import PeftModel\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        f'base = AutoModelForCausalLM.from_pretrained("{bare_name(named)}")\n'
        f'model = PeftModel.from_pretrained(base, "{out.name}")\n'
        f'tokenizer = AutoTokenizer.from_pretrained("{out.name}")',
    )
    dropout = float(manifest.settings.get("dropout", 0.0))
    card = modelcard(bundle, out.name, "peft", use)
    vocabulary = vocabulary_of(bundle)  # with the template of the adapter's conversations
    export_peft(out, loaded.model, family, dropout, named, card, vocabulary)
    return out


def _family(bundle: Bundle) -> Family:
    if bundle.task == "classify":
        raise HornbookError(
            f"{bundle.path} is a classifier, and a GGUF file or an adapter alone holds a language model; "
            "write it as a folder (hornbook export hf), or use it by `hornbook classify` or `hornbook "
            "serve`."
        )
    return family_of(bundle.model.config, bundle.facts.get("family"))


def _open(source: Path) -> Bundle:
    return load_bundle(source, default_runtime())


def _code(language: str, text: str) -> str:
    return f"```{language}\n{text}\n```"
