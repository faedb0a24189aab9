"""Every setting of a run, in one place to read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import tomli_w

from hornbook.config import Settings, load_settings
from hornbook.corpus.decontamination import DecontaminationSettings
from hornbook.corpus.deduplication import DeduplicationSettings
from hornbook.corpus.privacy.redaction import PrivacySettings
from hornbook.corpus.quality.settings import QualitySettings
from hornbook.corpus.readers import CorpusSettings
from hornbook.corpus.world.settings import WorldSettings
from hornbook.evaluation.memorization import MemorizationSettings
from hornbook.finetuning.classification import ClassificationSettings
from hornbook.finetuning.instruction import InstructionSettings
from hornbook.finetuning.lora import LoRASettings
from hornbook.finetuning.preference import PreferenceSettings
from hornbook.inference.generate import GenerationSettings
from hornbook.model.presets import ModelSettings
from hornbook.runtime import RuntimeSettings
from hornbook.sampling.windows import SamplingSettings
from hornbook.tokenizing.settings import TokenizerSettings
from hornbook.training.settings import LENGTHS, TrainingSettings
from hornbook.training.strategy import ParallelSettings
from hornbook.training.trackers import TrackerName

RUNS = Path("runs")
QUICKSTART = "quickstart"


class RunSettings(Settings):
    """The run as a whole."""

    directory: Path | None = None
    """Where everything is kept; runs/<name of the recipe file> when not given."""
    engine: Literal["local", "ray"] = "local"
    """Who reads a corpus of several files, or of large ones: the processes of this machine, or "ray", a
    cluster (RAY_ADDRESS, or one of this machine); needs pip install "hornbook[ray]". The result is
    the same."""
    prompts: tuple[str, ...] = ()
    """Beginnings that the pre-trained model continues while training and in the report; the
    first words of held-out documents when not given."""
    trackers: tuple[TrackerName, ...] = ()
    """Where every training's figures are sent besides its own metrics.jsonl: "tensorboard",
    "wandb", "trackio". Each is an extra to install: pip install "hornbook[tensorboard]"."""


class Recipe(Settings):
    """All settings of a run. Nothing has to be given: the defaults are the quickstart's."""

    run: RunSettings = RunSettings()
    """The run as a whole."""
    runtime: RuntimeSettings = RuntimeSettings()
    """Where and how precisely to compute."""
    corpus: CorpusSettings = CorpusSettings()
    """Stage 0: which text to learn from."""
    world: WorldSettings = WorldSettings()
    """Stage 0: the built-in corpus, for `corpus.source = "sample-world"`."""
    quality: QualitySettings = QualitySettings()
    """Stage 0: which documents are worth learning from."""
    privacy: PrivacySettings = PrivacySettings()
    """Stage 0: what becomes of personal data and secrets."""
    deduplication: DeduplicationSettings = DeduplicationSettings()
    """Stage 0: which repetitions are taken out."""
    decontamination: DecontaminationSettings = DecontaminationSettings()
    """Stage 0: which evaluation sets are kept out."""
    tokenizer: TokenizerSettings = TokenizerSettings()
    """Stage 1."""
    sampling: SamplingSettings = SamplingSettings()
    """Stage 2."""
    model: ModelSettings = ModelSettings()
    """Stages 3 to 5."""
    training: TrainingSettings = TrainingSettings()
    """Stage 6: pre-training."""
    parallel: ParallelSettings = ParallelSettings()
    """Stages 6 and 7: how a training is spread over the processes that torchrun has started."""
    classification: ClassificationSettings = ClassificationSettings()
    """Stage 7.1."""
    instruction: InstructionSettings = InstructionSettings()
    """Stage 7.2."""
    preference: PreferenceSettings = PreferenceSettings()
    """Stage 7.3: which of two answers people prefer, where there are such pairs."""
    lora: LoRASettings = LoRASettings()
    """Stage 7.0, wherever a `train` setting lists "lora"."""
    memorization: MemorizationSettings = MemorizationSettings()
    """`hornbook audit memorization`: how it is measured what a model learns by heart."""
    generation: GenerationSettings = GenerationSettings()
    """Stage 8: how answers are written."""

    @property
    def directory(self) -> Path:
        """Where the run is kept."""
        return self.run.directory or RUNS / QUICKSTART

    def pretrains(self, goal: str = "all") -> bool:
        """Whether a model is trained on the corpus first."""
        return self.model.path is None or self.model.continue_pretraining or goal == "pretrain"

    @property
    def classifies(self) -> bool:
        """Whether there are labelled texts to learn from."""
        return self.classification.path is not None or self._has_sample_world

    @property
    def instructs(self) -> bool:
        """Whether there are instructions to learn from."""
        return self.instruction.path is not None or self._has_sample_world

    @property
    def _has_sample_world(self) -> bool:
        return self.corpus.has_sample_world and self.pretrains()

    @property
    def prefers(self) -> bool:
        """Whether there are pairs of answers to learn from."""
        return self.preference.path is not None


def load_recipe(path: Path | None = None, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe file's settings, changed by `section.key=value` overrides; the defaults without one.

    Raises:
        HornbookError: the file cannot be read, or a setting is unknown or wrong.
    """
    recipe = load_settings(Recipe, path, overrides, exclusive=LENGTHS)
    if recipe.run.directory is not None or path is None:
        return recipe
    run = recipe.run.model_copy(update={"directory": RUNS / path.stem})
    return recipe.model_copy(update={"run": run})


def to_toml(recipe: Recipe) -> str:
    """All settings, defaults filled in, as a recipe file; settings without a value are left out."""
    return tomli_w.dumps(recipe.model_dump(mode="json", exclude_none=True))
