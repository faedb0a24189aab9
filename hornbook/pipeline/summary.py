"""What a run has come to, as a page: the results of its stages laid out for the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from hornbook.console import counted
from hornbook.corpus.split import SPLITS
from hornbook.evaluation.answers import Answer
from hornbook.evaluation.classification_report import absent_sentence
from hornbook.evaluation.intervals import read_interval
from hornbook.evaluation.units import hash_text
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import count_parameters
from hornbook.pipeline.context import Context, Part
from hornbook.pipeline.corpora.prepare import account
from hornbook.pipeline.measuring.classifier_scores import pictures
from hornbook.pipeline.pretraining.history import METRICS, picture_as_svg
from hornbook.pipeline.pretraining.pretrain import Pretrained
from hornbook.pipeline.tuning.finetune import Finetuned
from hornbook.report.page import Answered, Report, Sample, Section, Table, write_report
from hornbook.report.plots import grouped_bars
from hornbook.tokenizing.statistics import describe
from hornbook.training.metrics import read_metrics

REPORT = "report.html"
TOKENS_SHOWN = 120
DOCUMENTS_DESCRIBED = 1_000
EXCERPT = 600
"""Characters of a document shown."""


@dataclass
class Outcome:
    """What the stages of a run have returned so far."""

    pretrained: Pretrained
    classifiers: list[Finetuned] = field(default_factory=list)
    followers: list[Finetuned] = field(default_factory=list)
    answered: list[Answer] = field(default_factory=list)
    preferrers: list[Finetuned] = field(default_factory=list)


def report_on(context: Context, outcome: Outcome) -> Path:
    """Write the run's report.html and return its path."""
    sections = []
    if outcome.pretrained.results:
        sections += [
            *(_corpus_section(context, part) for part in context.parts),
            _tokens_section(context),
            _pretraining_section(outcome.pretrained),
        ]
    if outcome.classifiers:
        sections.append(_classification_section(outcome.classifiers))
    if outcome.followers:
        sections.append(_instruction_section(outcome.followers, outcome.answered))
    if outcome.preferrers:
        sections.append(_preference_section(outcome.preferrers))
    sections.append(_settings_section(outcome.pretrained.base.model.config))
    report = Report(
        title=context.workspace.directory.name,
        subtitle=f"A Hornbook run, from {_start(outcome, context)} to a model. "
        f"{context.runtime.reason}.",
        figures=_headline(outcome),
        sections=sections,
    )
    return write_report(context.workspace.directory / REPORT, report)


def _start(outcome: Outcome, context: Context) -> str:
    return "raw text" if outcome.pretrained.results else f"the model {context.recipe.model.path}"


def _headline(outcome: Outcome) -> list[tuple[str, str]]:
    results = outcome.pretrained.results
    parameters = count_parameters(outcome.pretrained.base.model)
    figures = [(f"{parameters / 1e6:.2f} M", "parameters")]
    held_out = results.get("held_out")
    if held_out is not None:
        figures.append(_figure(held_out["loss"], "held-out loss, nats a token"))
        figures.append(_figure(held_out["bits_per_byte"], "bits a byte, held out"))
    for found in outcome.classifiers:
        figures.append(_figure(found.results["accuracy"], f"right, {found.name}"))
    for found in outcome.followers:
        figures.append(_figure(found.results["answers"]["total"], f"right, {found.name}"))
    return figures


def _figure(score: Mapping[str, Any], meaning: str) -> tuple[str, str]:
    """A score in large, its interval beneath; of what is counted its share."""
    found = read_interval(score)
    if "right" in score:
        return f"{found.value:.1%}", f"{meaning} ({found.low:.1%} to {found.high:.1%})"
    return f"{found.value:.3f}", f"{meaning} ({found.low:.3f} to {found.high:.3f})"


def _corpus_section(context: Context, part: Part) -> Section:
    corpus = part.corpus
    rows = [
        [
            split,
            f"{corpus.count(split):,}",
            f"{corpus.characters(split):,}",
            f"{part.store.token_counts[split]:,}",
        ]
        for split in SPLITS
    ]
    tables = [Table(["split", "documents", "characters", "tokens"], rows)]
    if corpus.cleaning["steps"]:
        tables.insert(0, _cleaning_table(part))
    texts = islice(corpus.texts("train"), 3)
    return Section(
        f"Corpus: {part.name}" if part.name else "Corpus",
        lead=f"Source: {context.recipe.corpus.parts[part.name].source}.",
        tables=tables,
        samples=[
            Sample(f"training document {number}", _excerpt(text))
            for number, text in enumerate(texts, start=1)
        ],
    )


def _cleaning_table(part: Part) -> Table:
    """What was read, and what each step has taken away."""
    rows = [
        [row.name.strip(), f"{row.documents:,}", "" if row.changed is None else f"{row.changed:,}"]
        for row in account(part, ending=False)
    ]
    return Table(["step", "documents", "changed"], rows)


def _excerpt(text: str) -> str:
    return text if len(text) <= EXCERPT else f"{text[:EXCERPT]} …"


def _tokens_section(context: Context) -> Section:
    tokenizer = context.tokenizer
    first = context.parts[0]
    texts = list(islice(first.corpus.texts("train"), DOCUMENTS_DESCRIBED))
    facts = describe(tokenizer, texts)
    ids = first.store.split("train")[:TOKENS_SHOWN]
    return Section(
        "Tokens",
        lead="The first tokens of the training set, as the model reads them.",
        tables=[_facts_table(facts)],
        tokens=[tokenizer.token_text(int(token)) for token in ids],
    )


def _facts_table(facts: Mapping[str, Any]) -> Table:
    rows = [
        [name.replace("_", " "), f"{value:,.3f}" if isinstance(value, float) else f"{value:,}"]
        for name, value in facts.items()
        if isinstance(value, int | float)
    ]
    return Table(["", ""], rows)


def _pretraining_section(pretrained: Pretrained) -> Section:
    results = pretrained.results
    held_out = results.get("held_out")
    scores = [] if held_out is None else [_scores_table(held_out)]
    if "mixture" in results:
        scores.append(_mixture_table(results["mixture"]))
    while_training = [
        Sample(f"step {record['step']:,}", record["text"])
        for record in read_metrics(pretrained.folder / METRICS, "sample")
    ]
    at_the_end = [Sample(f"after training: {p} …", p + text) for p, text in results["samples"]]
    return Section(
        "Pre-training",
        lead=f"{results['parameters']:,} parameters, {results['steps']:,} steps, "
        f"{results['tokens']:,} tokens in {results['training_seconds']:.0f} s "
        f"({results['tokens_per_second']:,} tokens/s, MFU {results['mfu']:.1%}; "
        f"{results['runtime']}).{_hashes(results)}",
        tables=scores,
        plots=[picture_as_svg(pretrained.folder, "Pre-training")],
        samples=[*while_training, *at_the_end],
    )


def _scores_table(held_out: Mapping[str, Any]) -> Table:
    rows = [_scores_row(held_out["split"], held_out)]
    rows += (_scores_row(name, one) for name, one in held_out.get("sources", {}).items())
    columns = ["split (95 % intervals)", "loss", "perplexity", "bits a byte", "tokens scored"]
    return Table(columns, rows)


def _scores_row(name: str, scores: Mapping[str, Any]) -> list[str]:
    figures = [_interval(scores[key]) for key in ("loss", "perplexity", "bits_per_byte")]
    return [name, *figures, f"{scores['tokens']:,}"]


def _mixture_table(mixture: Mapping[str, Any]) -> Table:
    rows = [[name, f"{one['share']:.1%}", f"{one['epochs']:.2f}"] for name, one in mixture.items()]
    return Table(["source", "share of what was trained on", "epochs of it"], rows)


def _classification_section(found: Sequence[Finetuned]) -> Section:
    first = found[0].results
    rows = [
        [
            one.name,
            _share(one.results["accuracy"]),
            _interval(one.results["macro_f1"]),
            f"{one.results['trained_parameters']:,}",
            f"{one.results['training_seconds']:.0f} s",
        ]
        for one in found
    ]
    rows += [
        [name, _share(baseline["accuracy"]), _interval(baseline["macro_f1"]), "", ""]
        for name, baseline in first["baselines"].items()
    ]
    by_class = [
        [
            c["label"],
            *(_interval(c[name]) for name in ("precision", "recall", "f1")),
            c["support"],
        ]
        for c in first["classes"]
    ]
    absent = f" {absent_sentence(first['absent'])}" if first["absent"] else ""
    return Section(
        "Classification",
        lead=f"{counted(first['examples']['train'], 'labelled text')} to learn from, "
        f"{first['examples']['test']:,} held out. The matrix and the classes are {found[0].name}'s. "
        f"Intervals are of 95 %.{absent}{_hashes(first)}",
        tables=[
            Table(["classifier", "right", "macro F1", "trained parameters", "training"], rows),
            Table(["class", "precision", "recall", "F1", "texts"], by_class),
            *_certainty_tables(found),
        ],
        plots=[
            *pictures(first).values(),
            *(picture_as_svg(one.folder, one.name) for one in found),
        ],
        samples=[
            Sample(f"most wrong: {w['expected']}, taken for {w['given']}", _excerpt(w["text"]))
            for w in first["wrong"][:3]
        ],
    )


def _certainty_tables(found: Sequence[Finetuned]) -> list[Table]:
    """Calibration of each classifier, and the threshold that validation suggests."""
    calibrated = [one for one in found if one.results.get("calibration")]
    rows = []
    for one in calibrated:
        figures = one.results["calibration"]
        scores = (figures[name] for name in ("error_before", "error", "nll_before", "nll"))
        rows.append([one.name, f"{figures['temperature']:.3f}", *map(_interval, scores)])
    columns = ["classifier", "temperature", "calibration error before", "after"]
    tables = [Table([*columns, "-log p before", "after"], rows)] if rows else []
    chosen = [(one.name, one.results["threshold"]) for one in found if one.results.get("threshold")]
    rows = [
        [name, f"{t['label']} from {t['threshold']:.3f} on"]
        + [_interval(t[part]) for part in ("precision", "recall", "f1")]
        for name, t in chosen
    ]
    columns = ["classifier", "threshold by the validation set", "precision", "recall", "F1"]
    tables += [Table(columns, rows)] if rows else []
    return [*tables, *(_decisions_table(one) for one in found if one.results.get("decisions"))]


def _decisions_table(one: Finetuned) -> Table:
    """How each class of several is decided."""
    rows = [
        [decided["label"]]
        + [f"{decided[name]:.3f}" for name in ("temperature", "threshold")]
        + [_interval(decided[name]) for name in ("error_before", "error")]
        for decided in one.results["decisions"]
    ]
    columns = [f"{one.name}, by the validation set", "temperature", "given from"]
    return Table([*columns, "calibration error before", "after"], rows)


def _instruction_section(found: Sequence[Finetuned], answered: Sequence[Answer]) -> Section:
    categories = found[0].results["answers"]["categories"]
    rows = [
        [name or "all", *(_share(one.results["answers"]["categories"][name]) for one in found)]
        for name in categories
    ]
    rows.append(["together", *(_share(one.results["answers"]["total"]) for one in found)])
    bars = {
        one.name: {
            name: score["value"] for name, score in one.results["answers"]["categories"].items()
        }
        for one in found
    }
    return Section(
        "Following instructions",
        lead=f"{counted(found[0].results['examples']['train'], 'example')} to learn from; right answers to "
        "held-out questions, by exact match (with the 95 % interval)."
        f"{_hashes(found[0].results)}",
        tables=[Table(["category", *(one.name for one in found)], rows)],
        plots=[
            grouped_bars(bars, "right answers"),
            *(picture_as_svg(one.folder, one.name) for one in found),
        ],
        answers=[Answered(a.question, a.expected, a.given, a.right) for a in answered],
    )


def _preference_section(found: Sequence[Finetuned]) -> Section:
    names = ("loss", "margin", "chosen_reward", "rejected_reward")
    rows = [
        [
            one.name,
            _share(one.results["preferred"]),
            *(_interval(one.results["held_out"][name]) for name in names),
        ]
        for one in found
    ]
    return Section(
        "Preferences",
        lead=f"{counted(found[0].results['examples']['train'], 'pair')} to learn from; how often the answer that "
        "people chose has the higher reward, in pairs held out (with the 95 % interval)."
        f"{_hashes(found[0].results)}",
        tables=[Table(["model", "chosen preferred", *(n.replace("_", " ") for n in names)], rows)],
        plots=[picture_as_svg(one.folder, one.name) for one in found],
    )


def _share(score: Mapping[str, Any]) -> str:
    return read_interval(score).as_share()


def _interval(found: Mapping[str, Any]) -> str:
    return read_interval(found).shown()


def _hashes(results: Mapping[str, Any]) -> str:
    """A sentence that says by what two figures can be told to be of the same."""
    if "prompts_sha256" not in results:
        return ""
    return f" {hash_text(results['prompts_sha256'], results['settings_sha256'])}."


def _settings_section(config: ModelConfig) -> Section:
    rows = [[name, str(value)] for name, value in config.model_dump().items() if value is not None]
    return Section(
        "Model",
        lead="Every setting of the run stands in recipe.toml beside this page.",
        tables=[Table(["setting", "value"], rows)],
    )
