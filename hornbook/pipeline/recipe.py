"""Every setting of a run, in one place to read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from hornbook.config import Settings, load_settings
from hornbook.corpus.readers import CorpusSettings
from hornbook.corpus.world.settings import WorldSettings
from hornbook.errors import HornbookError
from hornbook.finetuning.classification import ClassificationSettings
from hornbook.finetuning.instruction import InstructionSettings
from hornbook.finetuning.lora import LoRASettings
from hornbook.inference.generate import GenerationSettings
from hornbook.model.presets import ModelSettings
from hornbook.runtime import RuntimeSettings
from hornbook.sampling.windows import SamplingSettings
from hornbook.tokenizing.tokenizer import TokenizerSettings
from hornbook.training.settings import TrainingSettings

QUICKSTART = "quickstart"


class RunSettings(Settings):
    """The run as a whole."""

    directory: Path | None = None
    """Where everything is kept; runs/<name of the recipe> when not given."""
    prompts: tuple[str, ...] = ()
    """Beginnings that the pre-trained model continues while training and in the report; the
    first words of a held-out document when not given."""


class Recipe(Settings):
    """All settings; as they stand here, they are the quickstart's."""

    run: RunSettings = RunSettings()
    runtime: RuntimeSettings = RuntimeSettings()
    corpus: CorpusSettings = CorpusSettings()
    world: WorldSettings = WorldSettings()
    tokenizer: TokenizerSettings = TokenizerSettings()
    sampling: SamplingSettings = SamplingSettings()
    model: ModelSettings = ModelSettings()
    training: TrainingSettings = TrainingSettings()
    classification: ClassificationSettings = ClassificationSettings()
    instruction: InstructionSettings = InstructionSettings()
    lora: LoRASettings = LoRASettings()
    generation: GenerationSettings = GenerationSettings()
