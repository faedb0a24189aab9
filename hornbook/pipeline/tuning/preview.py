"""`hornbook data preview`: what a data set of conversations holds, and what a model will see of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from rich.table import Table

from hornbook.console import console, counted, visible
from hornbook.errors import HornbookError
from hornbook.finetuning.conversations import Conversation, Examined, examine, repeated
from hornbook.finetuning.instruction import InstructionSettings
from hornbook.finetuning.pairs import examine_pairs, holds_pairs
from hornbook.pipeline.models.bundle import TOKENIZER
from hornbook.pipeline.tuning.followers import follower_dataset, in_rows
from hornbook.sampling.show import show_windows
from hornbook.tokenizing.special import END
from hornbook.tokenizing.templates import Template
from hornbook.tokenizing.tokenizer import Tokenizer, TokenizerSettings

FAULTS_SHOWN = 20
TRAINED_ON = 2_000
"""Conversations that a tokenizer for looking is trained on."""
VOCAB_FOR_LOOKING = 4_000
CONTEXT_FOR_LOOKING = 1_024
"""Tokens; what is longer is cut, where no model says how much it reads."""


def preview(
    path: Path, tokenizer: Tokenizer, settings: InstructionSettings, context_length: int, count: int
) -> None:
    """Print a file's form and counts, its faults, and `count` of its examples token by token.

    Of pairs of a chosen and a rejected answer, both conversations are shown.

    Raises:
        HornbookError: the file is of no known form, or some of its records are no good.
    """
    if holds_pairs(path):
        found = examine_pairs(path)
        pairs = found.pairs
        console.print(
            f"{path}: {counted(len(pairs), 'pair')} of a chosen and a rejected answer", markup=False
        )
        _print_faults(found.faults)
        both = [talk for pair in pairs[:count] for talk in pair.conversations()]
        if both:
            _show(both, tokenizer, settings, context_length, len(both))
        _refuse(path, len(found.faults), len(pairs))
        return
    examined = examine(path)
    console.print(_counts(path, examined))
    _print_faults(examined.faults)
    if examined.conversations:
        _show(examined.conversations, tokenizer, settings, context_length, count)
    _refuse(path, len(examined.faults), len(examined.conversations))


def _print_faults(faults: Sequence[str]) -> None:
    for fault in faults[:FAULTS_SHOWN]:
        console.print(f"fault: {visible(fault)}", style="red", markup=False)
    if len(faults) > FAULTS_SHOWN:
        console.print(f"… and {len(faults) - FAULTS_SHOWN:,} more", style="red")


def _refuse(path: Path, faults: int, sound: int) -> None:
    if faults:
        raise HornbookError(
            f"{path}: {faults:,} of {faults + sound:,} records have faults and cannot be trained on; "
            "correct them or leave them out."
        )


def _counts(path: Path, examined: Examined) -> Table:
    talks = examined.conversations
    table = Table("", "", show_header=False, title=str(path), title_justify="left")
    table.add_row("form", examined.form)
    table.add_row("conversations", f"{len(talks):,}")
    table.add_row("records with faults", f"{len(examined.faults):,}")
    table.add_row("repetitions", f"{repeated(talks):,}")
    table.add_row("with a system text", f"{sum(t.messages[0].role == 'system' for t in talks):,}")
    if talks:
        turns = [talk.turns for talk in talks]
        table.add_row("answers in each", f"{min(turns)} to {max(turns)}")
        lengths = sorted(len(talk.answer) for talk in talks)
        middle = lengths[len(lengths) // 2]
        table.add_row("characters of a last answer", f"{middle:,} (at most {lengths[-1]:,})")
    return table


def _show(
    conversations: Sequence[Conversation],
    tokenizer: Tokenizer,
    settings: InstructionSettings,
    context_length: int,
    count: int,
) -> None:
    dataset, report = follower_dataset(conversations, settings, tokenizer, context_length)
    console.print(f'template "{settings.template}": {report.sentence()}', markup=False)
    rows = in_rows(dataset, settings, report.max_length, seed=0)
    console.print(show_windows(tokenizer, rows, range(min(count, len(rows)))))


def tokenizer_for(path: Path | None, data: Path) -> Tokenizer:
    """The tokenizer at `path`, or in the model's folder there; one made for looking without a path."""
    if path is not None:
        inside = path / TOKENIZER
        return Tokenizer.open(inside if inside.is_dir() else path)
    if holds_pairs(data):
        pairs = examine_pairs(data).pairs[:TRAINED_ON]
        talks = [talk for pair in pairs for talk in pair.conversations()]
    else:
        talks = examine(data).conversations[:TRAINED_ON]
    texts = [message.content for talk in talks for message in talk.messages]
    if not texts:
        texts = ["nothing to read"]
    settings = TokenizerSettings(vocab_size=VOCAB_FOR_LOOKING)
    console.print(
        "No tokenizer is given, so the tokens below are those of one trained on this file.",
        style="dim",
    )
    return Tokenizer.train(texts, settings)


def template_for(name: str | None, tokenizer: Tokenizer) -> Template:
    """The template of that name, or the one that suits the tokenizer best.

    Raises:
        HornbookError: there is none of that name.
    """
    names: tuple[Template, ...] = get_args(Template)
    if name is None:
        if tokenizer.chat_template is not None:
            return "tokenizer"
        return "hornbook" if END in tokenizer.control_tokens else "alpaca"
    for known in names:
        if known == name:
            return known
    raise HornbookError(f"--template {name}: expected one of {', '.join(names)}.")
