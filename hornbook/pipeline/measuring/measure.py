"""A classifier on labelled texts, a follower of instructions on questions."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from hornbook.artifact import hash_json
from hornbook.console import console
from hornbook.corpus.tables import Labelled, read_labelled
from hornbook.errors import HornbookError
from hornbook.evaluation.answers import AnswerReport, score_answers
from hornbook.finetuning.classification import LabelledSplits, labels_of
from hornbook.finetuning.conversations import Conversation
from hornbook.finetuning.instruction import answer_prompts
from hornbook.inference.answers import ANSWER_TOKENS, answer_prompts_greedily
from hornbook.pipeline.models.bundle import Bundle


def labelled_for(bundle: Bundle, data: Path, text_column: str, label_column: str) -> LabelledSplits:
    """A table of labelled texts, all of them as a classifier's test set.

    Raises:
        HornbookError: the table is no good, or has a label that the classifier does not know.
    """
    separator = bundle.separator
    examples = read_labelled(data, text_column, label_column, None, separator)
    labels = tuple(bundle.labels)
    unknown = {name for e in examples for name in labels_of(e, separator)} - set(labels)
    if unknown:
        raise HornbookError(
            f"{data} has the label {min(unknown)!r}; this classifier knows {', '.join(labels)}."
        )
    return LabelledSplits(labels, [], [], examples, separator)


def hash_conversations(asked: Sequence[Conversation]) -> str:
    """SHA-256 of questions and of the answers expected."""
    return hash_json([[asdict(message) for message in talk.messages] for talk in asked])


def hash_labelled(examples: Sequence[Labelled]) -> str:
    """SHA-256 of texts and of their labels."""
    return hash_json([[example.text, example.label] for example in examples])


def answer_all(
    bundle: Bundle, asked: Sequence[Conversation], max_new_tokens: int = ANSWER_TOKENS
) -> AnswerReport:
    """The model's greedy answers to questions whose right answers are known.

    It prints how many questions are too long for the model; their answers are empty.
    """
    tokenizer, template = bundle.tokenizer, bundle.facts["template"]
    prompts = answer_prompts(asked, tokenizer, template)
    context_length = bundle.model.config.context_length
    too_long = sum(len(prompt) >= context_length for prompt in prompts)
    if too_long:
        console.print(
            f"  note: {too_long:,} of {len(asked):,} questions leave no room for an answer in the "
            f"model's {context_length:,} tokens: their answers are empty, and count.",
            style="yellow",
        )
    return score_answers(
        [example.answer for example in asked],
        answer_prompts_greedily(
            *(bundle.model, tokenizer, prompts, template, bundle.runtime),
            bundle.stop_ids,
            max_new_tokens,
        ),
        [example.category for example in asked],
        [example.question for example in asked],
    )
