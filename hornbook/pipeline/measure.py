"""`hornbook evaluate`: any trained model measured on data of the user's."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import RenderableType
from rich.table import Table

from hornbook.corpus.readers import read_documents
from hornbook.corpus.tables import read_labelled
from hornbook.errors import HornbookError
from hornbook.evaluation.answers import AnswerReport, score_answers
from hornbook.evaluation.classification_report import classification_report
from hornbook.evaluation.perplexity import sliding_window_perplexity
from hornbook.finetuning.classification import classify
from hornbook.finetuning.conversations import Conversation, read_conversations
from hornbook.finetuning.instruction import answer_prompts
from hornbook.inference.answers import answer_prompts_greedily
from hornbook.pipeline.bundle import Bundle

INSTRUCTION_FILES = (".json", ".jsonl")
"""Data that a follower of instructions is asked; on any other it is measured as a language model."""


def measure(bundle: Bundle, data: Path, text_column: str, label_column: str) -> RenderableType:
    """What the model's task is measured by, as something to print.

    Raises:
        HornbookError: the data are not of the kind that the task needs.
    """
    if bundle.task == "classify":
        return _classification(bundle, data, text_column, label_column)
    if bundle.task == "instruct" and data.suffix in INSTRUCTION_FILES:
        return answer_all(bundle, read_conversations(data))
    return _perplexity(bundle, data)


def _perplexity(bundle: Bundle, data: Path) -> RenderableType:
    documents = [document.text for document in read_documents(str(data))]
    end = [bundle.tokenizer.eos_id] if bundle.tokenizer.eos_id is not None else []
    ids = [[*tokens, *end] for tokens in bundle.tokenizer.encode_batch(documents)]
    row = [*bundle.opening_ids, *(token for document in ids for token in document)]
    tokens = np.array(row, dtype=np.int64)
    score = sliding_window_perplexity(bundle.model, tokens, bundle.runtime)
    table = Table("figure", "value")
    table.add_row("documents", f"{len(documents):,}")
    table.add_row("tokens scored", f"{score.tokens:,}")
    table.add_row("loss (nats a token)", f"{score.loss:.4f}")
    table.add_row("perplexity", f"{score.perplexity:.2f}")
    byte_count = sum(len(text.encode()) for text in documents)
    table.add_row("bits a byte", f"{score.bits_per_byte(byte_count):.4f}")
    return table


def _classification(
    bundle: Bundle, data: Path, text_column: str, label_column: str
) -> RenderableType:
    examples = read_labelled(data, text_column, label_column)
    labels = bundle.labels
    unknown = {example.label for example in examples} - set(labels)
    if unknown:
        raise HornbookError(
            f"{data} has the label {min(unknown)!r}; this classifier knows {', '.join(labels)}."
        )
    texts = [example.text for example in examples]
    expected = [labels.index(example.label) for example in examples]
    longest = bundle.facts["max_length"]
    found = classify(bundle.model, bundle.tokenizer, texts, bundle.runtime, max_length=longest)
    return classification_report(labels, expected, found, texts)


def answer_all(bundle: Bundle, asked: Sequence[Conversation]) -> AnswerReport:
    """The model's greedy answers to questions whose right answers are known."""
    tokenizer, template = bundle.tokenizer, bundle.facts["template"]
    prompts = answer_prompts(asked, tokenizer, template)
    return score_answers(
        [example.answer for example in asked],
        answer_prompts_greedily(
            bundle.model, tokenizer, prompts, template, bundle.runtime, bundle.stop_ids
        ),
        [example.category for example in asked],
        [example.question for example in asked],
    )
