"""The verbs that use a trained model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hornbook.cli.arguments import Overrides
from hornbook.errors import HornbookError

if TYPE_CHECKING:
    from hornbook.inference.generate import GenerationSettings
    from hornbook.pipeline.bundle import Bundle

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


def generate(
    model: ModelPath,
    prompt: Annotated[
        str, typer.Argument(help="The beginning to continue; - reads standard input.")
    ] = "",
    settings: Overrides = None,
    int8: Int8 = False,
    jsonl: Annotated[
        bool,
        typer.Option(
            "--jsonl",
            help='Read a prompt from each line of standard input, {"prompt": ...} or plain text, '
            "and write a line of JSON for each.",
        ),
    ] = False,
) -> None:
    """Continue a text (settings: max_new_tokens, temperature, top_k, top_p, …)."""
    from hornbook.cli.streaming import print_stream, read_prompt, write_completions

    if "=" in prompt and prompt.split("=")[0] in _generation_names():
        settings, prompt = [prompt, *(settings or [])], ""  # a setting stands in its place
    if jsonl:
        given = [prompt, *(settings or [])] if prompt not in ("", "-") else settings
        write_completions(lambda: open_model(model, int8), _generation(given))
        return
    text = read_prompt() if prompt == "-" else prompt
    bundle = open_model(model, int8)
    print_stream(text, bundle.complete(text, _generation(settings)))


def chat(
    model: ModelPath,
    question: Annotated[
        str | None, typer.Option(help="Ask this and leave, instead of a conversation.")
    ] = None,
    settings: Overrides = None,
    int8: Int8 = False,
) -> None:
    """Talk to a model that follows instructions (temperature=0 by default: its best answer)."""
    from hornbook.cli.conversation import converse

    bundle = open_model(model, int8)
    bundle.require_task("instruct", "hold a conversation")
    converse(bundle, _generation(["temperature=0", *(settings or [])]), question)


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
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Of two classes, give the second by name from this probability on."
        ),
    ] = None,
) -> None:
    """Say which class each text is of, and how probable each class is."""
    import sys

    from hornbook.artifact import new_file
    from hornbook.cli.streaming import read_lines
    from hornbook.console import track
    from hornbook.pipeline.classify_file import KINDS, classified, decide, is_file_of_texts
    from hornbook.pipeline.tables import print_probabilities

    files = [text for text in texts if is_file_of_texts(text)]
    if len(texts) > 1 and files:
        raise HornbookError(f"{files[0]}: one file at a time, and no other texts beside it.")
    if output is not None and not files:
        raise HornbookError(f"--output takes the results of a file ({', '.join(KINDS)}).")
    bundle = open_model(model)
    if files:
        results = classified(bundle, Path(texts[0]), text_column, threshold)
        if output is None:
            sys.stdout.writelines(results)
            return
        with new_file(output) as file:
            for line in track(results, "classify", None, "text"):
                file.write(line.encode())
        return
    bundle.require_task("classify", "classify texts")
    lines = read_lines() if texts == ["-"] else texts
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
    from hornbook.pipeline.inspection import inspect_model

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
    from hornbook.pipeline.extending import extend

    known, wanted = extend(model, out, tokens, special=not text)
    console.print(f"Written: {out}, with {wanted:,} tokens after {known:,}", markup=False)


def open_model(path: Path, int8: bool = False) -> "Bundle":
    from hornbook.pipeline.bundle import default_runtime, load_bundle

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
