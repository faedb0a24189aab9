"""`hornbook judge`: a model's answers graded by another model, alone or against a second one's."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hornbook.artifact import hash_json, write_text
from hornbook.errors import HornbookError
from hornbook.evaluation.endpoint import Endpoint, EndpointSettings
from hornbook.evaluation.judge import RUBRIC, Duels, Scores, compare_pairs, score_by_rubric
from hornbook.finetuning.conversations import read_conversations
from hornbook.pipeline.measuring.measure import answer_all, hash_conversations
from hornbook.pipeline.models.bundle import Bundle


@dataclass(frozen=True)
class Judgement:
    """Verdicts, and the hash of all that they hang on."""

    verdicts: Scores | Duels
    prompts: str
    """SHA-256 of the questions and of the answers expected."""
    settings: str
    """SHA-256 of the models, what they answered, the rubric, and the judge's name and address."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        hashes = {"prompts_sha256": self.prompts, "settings_sha256": self.settings}
        return {**self.verdicts.as_dict(), **hashes}


def judge_model(
    bundle: Bundle,
    data: Path,
    settings: EndpointSettings,
    rubric: Path | None = None,
    against: Bundle | None = None,
    limit: int | None = None,
    max_new_tokens: int = 256,
) -> Judgement:
    """Have a model answer conversations, and another model grade the answers.

    Raises:
        HornbookError: a model that holds no conversation, data that are none, or a judge that gives no
            verdict.
    """
    for model in (bundle, against):
        if model is not None:
            model.require_task("instruct", "be judged by its answers")
    endpoint = Endpoint(settings)  # what is wrong with it is said before answers are written
    if settings.cache is None:  # what is kept may be all that will be asked
        endpoint.require_listening()
    grades = RUBRIC if rubric is None else _read_rubric(rubric)
    asked = read_conversations(data)[:limit]
    answers = answer_all(bundle, asked, max_new_tokens).answers
    verdicts: Scores | Duels
    if against is None:
        verdicts = score_by_rubric(endpoint, answers, grades)
        shown = [answers]
    else:
        others = answer_all(against, asked, max_new_tokens).answers
        verdicts = compare_pairs(endpoint, answers, others, grades)
        shown = [answers, others]
    given = [[answer.given for answer in some] for some in shown]
    models = [one.manifest.fingerprint for one in (bundle, against) if one is not None]
    decided = [models, given, max_new_tokens, grades, settings.url, settings.model]
    return Judgement(verdicts, hash_conversations(asked), hash_json(decided))


def _read_rubric(path: Path) -> str:
    from hornbook.corpus.files import read_text

    text = " ".join(read_text(path).split())
    if not text:
        raise HornbookError(f"{path}: the rubric is empty; say what each grade from 1 to 5 means.")
    return text


def write_judgement(path: Path, judgement: Judgement) -> None:
    """Write the verdicts as JSON."""
    write_text(path, json.dumps(judgement.as_dict(), indent=2, ensure_ascii=False) + "\n")
