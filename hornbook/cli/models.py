"""The verbs that use a trained model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hornbook.cli.arguments import Overrides
from hornbook.errors import HornbookError

if TYPE_CHECKING:
    from hornbook.inference.generate import GenerationSettings
    from hornbook.pipeline.models.bundle import Bundle
    from hornbook.pipeline.models.ways import Way

ModelPath = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL",
        help="A model's folder, such as runs/NAME/pretrain, or hf:ORG/NAME[@REVISION].",
    ),
]


Int8 = Annotated[
    bool, typer.Option("--int8", help="Weights in eight bits: quicker, a little less exact.")
]
WeightsOption = Annotated[
    Literal["float32", "bfloat16", "int8"] | None,
    typer.Option(
        help="What the weights are kept as: fewer bits are quicker and a little less exact; bfloat16 "
        "where this computer multiplies it faster, otherwise float32, when not given."
    ),
]
AdapterOption = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="A LoRA adapter for the model, Hornbook's or peft's."),
]


def generate(
    model: ModelPath,
    prompt: Annotated[
        str,
        typer.Argument(
            help="The beginning to continue; - reads standard input, nothing begins a new text."
        ),
    ] = "",
    settings: Overrides = None,
    adapter: AdapterOption = None,
    weights: WeightsOption = None,
    beams: Annotated[
        int | None,
        typer.Option(min=1, help="Search for the likeliest text by so many parallel guesses."),
    ] = None,
    draft: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL",
            help="A smaller model with the same tokenizer that guesses ahead: the same greedy text, "
            "sooner.",
        ),
    ] = None,
    look_up: Annotated[
        bool,
        typer.Option(
            "--look-up", help="Guess ahead what followed the same words earlier in the text."
        ),
    ] = False,
    jsonl: Annotated[
        bool,
        typer.Option(
            "--jsonl",
            help='Read a prompt from each line of standard input, {"prompt": ...} or plain text, '
            "and write a line of JSON for each.",
        ),
    ] = False,
) -> None:
    """Continue a text (settings: max_new_tokens, temperature, top_k, top_p, …).

    What is not given is as the model's makers have stated it, where they have.
    """
    from hornbook.cli.streaming import print_stream, read_prompt, read_prompts, write_completions
    from hornbook.pipeline.models.writing import open_to_write

    if "=" in prompt and prompt.split("=")[0] in _generation_names():
        settings, prompt = [prompt, *(settings or [])], ""  # a setting stands in its place
    if jsonl and prompt not in ("", "-"):
        settings, prompt = [prompt, *(settings or [])], ""
    if (beams is not None) + (draft is not None) + look_up > 1:
        raise HornbookError("--beams, --draft and --look-up are different ways: give one of them.")
    if draft is not None or look_up:
        settings = ["temperature=0", *(settings or [])]
    chosen = _generation(settings)
    prompts = read_prompts() if jsonl else [read_prompt() if prompt == "-" else prompt]
    bundle = open_to_write(model, weights, adapter)
    way = _way(bundle, chosen, beams, draft, look_up, weights)
    chosen = bundle.drawing(chosen)
    if not jsonl:
        text = prompts[0]
        print_stream(text, way(text) if way else bundle.complete(text, chosen))
    elif way:
        write_completions(prompts, lambda some: ["".join(way(text)) for text in some], 1)
    else:
        write_completions(prompts, lambda some: bundle.complete_all(some, chosen))


def _way(
    bundle: "Bundle",
    settings: "GenerationSettings",
    beams: int | None,
    draft: Path | None,
    look_up: bool,
    weights: "Literal['float32', 'bfloat16', 'int8'] | None",
) -> "Way | None":
    """Another way to write than token by token, if one was asked for."""
    from hornbook.inference.speculation import look_up as repeated
    from hornbook.pipeline.models.ways import by_beams, by_guessing, guesses_of

    if beams is not None:
        return by_beams(bundle, settings, beams)
    if draft is not None:
        return by_guessing(bundle, settings, guesses_of(draft, bundle, weights))
    return by_guessing(bundle, settings, repeated) if look_up else None


def chat(
    model: ModelPath,
    question: Annotated[
        str | None, typer.Option(help="Ask this and leave, instead of a conversation.")
    ] = None,
    settings: Overrides = None,
    adapter: AdapterOption = None,
    weights: WeightsOption = None,
) -> None:
    """Talk to a model that follows instructions.

    By default temperature=0, its best answer, unless the model's makers have stated another.
    """
    from hornbook.cli.conversation import converse
    from hornbook.pipeline.models.writing import open_to_write

    def open_with(folder: Path | None) -> "Bundle":
        bundle = open_to_write(model, weights, folder)
        bundle.require_task("instruct", "hold a conversation")
        return bundle

    chosen = _generation(settings)
    bundle = open_with(adapter)
    converse(bundle, bundle.drawing(chosen, temperature=0), question, open_with)


def classify(
    model: ModelPath,
    texts: Annotated[
        list[str],
        typer.Argument(
            help="Texts, each in quotes; - reads one a line; or one file of texts "
            "(.txt, .jsonl, .csv, .tsv, .parquet), of which each comes out as a line of JSON."
        ),
    ],
    output: Annotated[
        Path | None, typer.Option(help="Write a file's results here, not to standard output.")
    ] = None,
    text_column: Annotated[
        str, typer.Option(help="Column, or key, of the text in a file.")
    ] = "text",
    precision: Annotated[
        str,
        typer.Option(
            help="Of the products for a file: float32, bfloat16, or auto, which takes the quickest."
        ),
    ] = "auto",
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Of two classes, give the second by name from this probability on; where a text can "
            "have several, each class, instead of the thresholds found in training.",
        ),
    ] = None,
) -> None:
    """Say which class each text is of, and how probable each class is.

    A file is classified in the precision that is quickest here (see --precision), a few texts in float32.
    """
    import sys

    from hornbook.artifact import new_file
    from hornbook.cli.streaming import read_lines
    from hornbook.console import track
    from hornbook.pipeline.measuring.classify_file import (
        KINDS,
        classified,
        decide,
        is_file_of_texts,
        made_quick,
    )
    from hornbook.pipeline.tables import print_probabilities

    files = [text for text in texts if is_file_of_texts(text)]
    if len(texts) > 1 and files:
        raise HornbookError(f"{files[0]}: one file at a time, and no other texts beside it.")
    if output is not None and not files:
        raise HornbookError(f"--output takes the results of a file ({', '.join(KINDS)}).")
    bundle = open_model(model)
    bundle.require_task("classify", "classify texts")
    if files:
        quick = made_quick(bundle, precision)
        results = classified(quick, Path(texts[0]), text_column, threshold)
        if output is None:
            sys.stdout.writelines(results)
            return
        with new_file(output) as file:
            for line in track(results, "classify", None, "text"):
                file.write(line.encode())
        return
    lines = read_lines() if texts == ["-"] else texts
    if not all(line.strip() for line in lines):
        raise HornbookError("an empty text is of no class; give texts with something in them.")
    found = bundle.classify(lines)
    given = [decide(bundle, row, threshold) for row in found]
    print_probabilities(lines, given, bundle.labels, found)


def inspect(
    what: Annotated[
        str, typer.Argument(metavar="PATH|PRESET", help="A model's folder, or a preset's name.")
    ],
    vocab_size: Annotated[int, typer.Option(help="Token ids, for a preset.")] = 50_257,
    layers: Annotated[bool, typer.Option("--layers", help="Show every tensor's shape.")] = False,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Also estimate the memory of training on so many sequences."),
    ] = None,
) -> None:
    """Show what a model is made of: parameters by part, sizes, arithmetic, shapes."""
    from hornbook.console import console
    from hornbook.pipeline.models.inspection import inspect_model

    console.print(inspect_model(what, vocab_size, layers, batch_size))


def extend_vocabulary(
    model: ModelPath,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder to write.")],
    tokens: Annotated[list[str], typer.Argument(metavar="TOKEN...", help="Tokens to add.")],
    text: Annotated[
        bool, typer.Option("--text", help="Words of ordinary text, not marks such as <|im_end|>.")
    ] = False,
) -> None:
    """Write a copy of a model whose tokenizer has more tokens, each with the mean of all vectors."""
    from hornbook.console import console
    from hornbook.pipeline.models.extending import extend

    known, wanted = extend(model, out, tokens, special=not text)
    console.print(f"Written: {out}, with {wanted:,} tokens after {known:,}", markup=False)


def open_model(path: Path, int8: bool = False) -> "Bundle":
    from hornbook.pipeline.models.bundle import default_runtime, load_bundle

    bundle = load_bundle(path, default_runtime())
    if int8:
        from hornbook.inference.int8 import quantize_int8

        quantize_int8(bundle.model)
    return bundle


def _generation(overrides: list[str] | None) -> "GenerationSettings":
    from hornbook.config import load_settings
    from hornbook.inference.generate import GenerationSettings

    return load_settings(GenerationSettings, None, overrides or [])


def _generation_names() -> set[str]:
    from hornbook.inference.generate import GenerationSettings

    return set(GenerationSettings.model_fields)
