"""`hornbook audit memorization`: what a training leaves in a model, and what helps against it.

Small models are trained on the beginning of the corpus with canaries planted in it, each in another
way, and asked what they know by heart.
"""

import itertools
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table
from rich.text import Text

from hornbook.artifact import hash_json, write_text
from hornbook.console import console
from hornbook.corpus.deduplication import ExactDuplicates
from hornbook.corpus.document import Document
from hornbook.errors import HornbookError
from hornbook.evaluation.intervals import Interval, mean_interval, ratio_interval, read_interval
from hornbook.evaluation.memorization import (
    Canary,
    Found,
    MemorizationSettings,
    NgramIndex,
    make_canaries,
    measure_canaries,
    plant,
)
from hornbook.evaluation.perplexity import sliding_window_perplexity
from hornbook.evaluation.proportion import Proportion
from hornbook.evaluation.units import Measured, hash_text, score_intervals
from hornbook.inference.generate import GenerationSettings, generate_batch
from hornbook.model.transformer import Transformer
from hornbook.pipeline.context import Context
from hornbook.pipeline.pretraining.fit import fit
from hornbook.pipeline.pretraining.starting import starting_config, starting_model
from hornbook.pipeline.pretraining.task import Task
from hornbook.pipeline.workspace import announce, finish, finished
from hornbook.sampling.loader import Loader
from hornbook.sampling.token_mask import mask_for
from hornbook.sampling.windows import SamplingSettings, length_for, make_windows
from hornbook.training.settings import LENGTHS, TrainingSettings

STAGE = "audit-memorization"
HELD_OUT = 200
"""Documents at most that loss and overlap are compared on."""


@dataclass(frozen=True)
class Variant:
    """One way to train."""

    name: str
    sampling: SamplingSettings
    deduplicated: bool = False


def variants(sampling: SamplingSettings, length: int, mask_every: int) -> list[Variant]:
    """The ways that are compared, from the recipe's own sampling."""
    plain = sampling.model_copy(
        update={"stride": None, "packing": "none", "mask_every": None, "max_length": length}
    )
    masked = plain.model_copy(update={"mask_every": mask_every})
    half = plain.model_copy(update={"stride": max(length // 2, 1)})
    return [
        Variant("as it is", plain),
        Variant("overlapping windows", half),
        Variant("duplicates removed", plain, deduplicated=True),
        Variant("tokens masked", masked),
        Variant("both of these", masked, deduplicated=True),
    ]


class MemorizationAudit:
    """The audit of one run's corpus, tokenizer and way of training."""

    def __init__(self, context: Context) -> None:
        """Read the documents and plant the canaries.

        Raises:
            HornbookError: there is no document, or the tokenizer cannot write numbers.
        """
        self.context = context
        self.settings: MemorizationSettings = context.recipe.memorization
        seed = context.recipe.runtime.seed
        texts = itertools.islice(_texts(context, "train"), self.settings.documents)
        documents = [Document(text, str(number)) for number, text in enumerate(texts)]
        self.canaries = make_canaries(
            self.settings.repeats, self.settings.canaries, self.settings.digits, seed
        )
        self._require_numbers()
        self.planted = plant(documents, self.canaries, seed)
        held_out = itertools.chain(_texts(context, "test"), _texts(context, "validation"))
        self.held_out = list(itertools.islice(held_out, HELD_OUT))
        self.index = NgramIndex((d.text for d in self.planted), self.settings.overlap_words)

    def _require_numbers(self) -> None:
        tokenizer = self.context.tokenizer
        secret = self.canaries[0].secret
        if secret not in tokenizer.decode(tokenizer.encode(self.canaries[0].text)):
            raise HornbookError(
                f"the tokenizer does not know the number {secret}, so a secret number cannot be "
                'planted; audit with tokenizer.algorithm="bpe".'
            )

    def run(self, folder: Path) -> dict[str, Any]:
        """Train and measure each variant; those that are done already are read from the folder."""
        recipe, config = self.context.recipe, self._config()
        length = length_for(recipe.sampling, config.context_length)
        rows = []
        for number, variant in enumerate(variants(recipe.sampling, length, self._mask_every())):
            path = folder / f"{number}.json"
            if not path.exists():
                work = folder / str(number)
                row = self._measure(variant, work)
                write_text(path, json.dumps(row, indent=2) + "\n")
                shutil.rmtree(work)  # its checkpoints
            rows.append(json.loads(path.read_text(encoding="utf-8")))
        return {
            "trainings": rows,
            "documents": len(self.planted),
            "held_out_overlap": self._overlap(self.held_out),
        }

    def asked(self) -> str:
        """SHA-256 of the documents with what is planted in them, and of those held out."""
        return hash_json([[document.text for document in self.planted], self.held_out])

    def _overlap(self, texts: Sequence[str]) -> dict[str, Any]:
        """The share of words that stand, so many in a row, in the training text, resampled by text."""
        found = np.array([self.index.covered(text) for text in texts], dtype=np.float64)
        inside, words = found.reshape(-1, 2).T
        if not words.sum():
            return Interval(0.0, 0.0, 1.0, len(texts)).as_dict()
        return ratio_interval(inside, words).as_dict()

    def _mask_every(self) -> int:
        return self.context.recipe.sampling.mask_every or self.settings.mask_every

    def _config(self) -> Any:
        return starting_config(self.context.recipe.model, self.context.tokenizer.vocab_size)

    def _measure(self, variant: Variant, work: Path) -> dict[str, Any]:
        announce(STAGE, "", variant.name)
        model, steps = self._train(variant, work)
        context, settings = self.context, self.settings
        found = measure_canaries(
            model,
            context.tokenizer,
            self.canaries,
            settings.alternatives,
            context.runtime,
            context.recipe.runtime.seed,
        )
        return {
            "name": variant.name,
            "steps": steps,
            "held_out_loss": self._held_out_loss(model),
            "canaries": [_record(each) for each in found],
            "overlap": self._overlap(self._samples(model)),
        }

    def _train(self, variant: Variant, work: Path) -> tuple[Transformer, int]:
        context, config = self.context, self._config()
        recipe, tokenizer = context.recipe, context.tokenizer
        documents: Iterator[Document] = iter(self.planted)
        if variant.deduplicated:
            documents = ExactDuplicates().apply(documents)
        windows = make_windows(
            self._ids([document.text for document in documents]),
            variant.sampling,
            config.context_length,
            "the text of the audit (memorization.documents)",
        )
        size = recipe.training.batch_size
        loader = Loader(windows, size, recipe.runtime.seed, mask=mask_for(variant.sampling))
        seed = torch.Generator().manual_seed(recipe.runtime.seed)
        model = starting_model(config, context.base, seed).to(context.runtime.device)
        task = Task(
            name=variant.name,
            model=model,
            train=loader,
            validation=None,
            settings=self._training(),
            tokenizer_fingerprint=tokenizer.fingerprint,
            tokens_per_batch=size * windows.max_length,
            facts={"task": "pretrain"},
        )
        fitted = fit(task, work, context.runtime)
        return fitted.model, fitted.steps

    def _training(self) -> TrainingSettings:
        """The recipe's, but for the length, and without a checkpoint on the way."""
        given = self.context.recipe.training.model_dump(exclude={*LENGTHS})
        changed = {"epochs": self.settings.epochs, "save_every": 0, "eval_every": 0}
        return TrainingSettings.model_validate({**given, **changed, "sample_every": 0})

    def _ids(self, texts: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        tokenizer = self.context.tokenizer
        end = [] if tokenizer.eos_id is None else [tokenizer.eos_id]
        rows = tokenizer.encode_batch(list(texts))
        return np.fromiter((token for row in rows for token in (*row, *end)), dtype=np.int64)

    def _held_out_loss(self, model: Transformer) -> dict[str, Any] | None:
        ids = self._ids(self.held_out)
        if len(ids) < 2:
            return None
        score = sliding_window_perplexity(model, ids, self.context.runtime)
        return score_intervals(score)["loss"].as_dict()

    def _samples(self, model: Transformer) -> list[str]:
        """Texts that the model writes unasked, drawn from its own distribution."""
        tokenizer, settings = self.context.tokenizer, self.settings
        start = tokenizer.eos_id if tokenizer.eos_id is not None else tokenizer.bos_id
        prompt = tokenizer.encode("The") if start is None else [start]
        drawn = GenerationSettings(
            max_new_tokens=settings.sample_tokens,
            temperature=1.0,
            top_k=None,
            seed=self.context.recipe.runtime.seed,
        )
        prompts = [list(prompt) for _ in range(settings.samples)]
        told = generate_batch(model, prompts, drawn, (), self.context.runtime)
        return [tokenizer.decode(ids) for ids in told]


def audit_memorization(context: Context) -> dict[str, Any]:
    """Do what is not done yet, print the table, and return what it says as plain JSON values."""
    recipe = context.recipe
    settings = {
        "audit": recipe.memorization.model_dump(mode="json"),
        "model": starting_config(recipe.model, context.tokenizer.vocab_size).model_dump(
            mode="json"
        ),
        "training": recipe.training.model_dump(mode="json"),
        "sampling": recipe.sampling.model_dump(mode="json"),
        "seed": recipe.runtime.seed,
        "precision": recipe.runtime.precision,
    }
    inputs = context.fingerprints()
    if context.base is not None:
        inputs["base"] = context.base.manifest.fingerprint
    folder = context.workspace.resumable(STAGE, settings, inputs)
    results = finished(folder)
    if results is None:
        audit = MemorizationAudit(context)
        results = finish(folder, audit.run(folder), Measured(audit.asked(), {}))
    else:
        announce(STAGE, "unchanged")
    console.print()
    console.print(memorization_table(results, recipe.memorization))
    console.print(explanation(results, recipe.memorization), style="dim")
    console.print(hash_text(results["prompts_sha256"], results["settings_sha256"]))
    return results


def memorization_table(results: dict[str, Any], settings: MemorizationSettings) -> Table:
    """A row for each way of training; exposures by how often secrets were planted."""
    repeats = sorted(set(settings.repeats))
    table = Table("training", box=None, pad_edge=False, title="With 95 % intervals")
    table.title_justify = "left"
    for heading in ("held-out loss", *(f"{n}x" for n in repeats), "told", "verbatim"):
        table.add_column(heading, justify="right")
    for row in results["trainings"]:
        found = row["canaries"]
        groups = [[c["exposure"] for c in found if c["repeats"] == count] for count in repeats]
        told = [c["extracted"] for c in found if c["repeats"]]
        loss = row["held_out_loss"]
        exposures = (_in_lines(mean_interval(group).shown(1)) for group in groups)
        share = _in_lines(str(Proportion(sum(told), len(told))))
        overlap = _in_lines(read_interval(row["overlap"]).as_share())
        shown = "" if loss is None else _in_lines(read_interval(loss).shown())
        table.add_row(Text(row["name"]), shown, *exposures, share, overlap)
    return table


def _in_lines(score: str) -> str:
    """A score above its interval: the table stays narrow."""
    return score.replace(" (", "\n").removesuffix(")")


def explanation(results: dict[str, Any], settings: MemorizationSettings) -> str:
    """What the columns of the table are."""
    counts = ", ".join(f"{n}x" for n in sorted(set(settings.repeats)))
    of_held_out = read_interval(results["held_out_overlap"]).as_share()
    return (
        f"{counts}: exposure in bits of secrets planted so often; about 1 is chance, "
        f"{settings.digits * np.log2(10):.1f} the most\n"
        "told: share of planted secrets that the model tells when it is shown what stands before\n"
        f"verbatim: share of what it writes that stands, {settings.overlap_words} words in a row, in "
        f"its training text; of held-out text {of_held_out}"
    )


def _texts(context: Context, split: str) -> Iterator[str]:
    """The texts of a split, of one corpus after the other."""
    return (text for part in context.parts for text in part.corpus.texts(split))


def _record(found: Found) -> dict[str, Any]:
    canary: Canary = found.canary
    return {
        "text": canary.text,
        "repeats": canary.repeats,
        "exposure": found.exposure,
        "rank": found.rank,
        "extracted": found.extracted,
    }
