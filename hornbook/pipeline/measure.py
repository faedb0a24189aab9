"""A classifier on labelled texts, a follower of instructions on questions."""

from collections.abc import Sequence
from pathlib import Path

from hornbook.corpus.tables import read_labelled
from hornbook.errors import HornbookError
from hornbook.evaluation.answers import AnswerReport, score_answers
from hornbook.evaluation.classification_report import ClassificationReport
from hornbook.finetuning.classification import LabelledSplits, labels_of
from hornbook.finetuning.conversations import Conversation
from hornbook.finetuning.instruction import answer_prompts
from hornbook.inference.answers import ANSWER_TOKENS, answer_prompts_greedily
from hornbook.pipeline.bundle import Bundle
from hornbook.pipeline.classifier_scores import report_of


def classification_of(
    bundle: Bundle, data: Path, text_column: str, label_column: str
) -> ClassificationReport:
    """A classifier's report on a table of labelled texts.

    Raises:
        HornbookError: the table is no good, or has a label that the classifier does not know.
    """
    splits = labelled_for(bundle, data, text_column, label_column)
    return report_of(splits, splits.test, bundle.classify([e.text for e in splits.test]))


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


def answer_all(
    bundle: Bundle, asked: Sequence[Conversation], max_new_tokens: int = ANSWER_TOKENS
) -> AnswerReport:
    """The model's greedy answers to questions whose right answers are known."""
    tokenizer, template = bundle.tokenizer, bundle.facts["template"]
    prompts = answer_prompts(asked, tokenizer, template)
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
