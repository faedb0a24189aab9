"""How much of the sample world to make."""

from pydantic import Field

from hornbook.config import Settings

FIRST_LABELLED = 1_000_000_000
"""Index of the labelled set's first story; the corpus ends before it."""
FIRST_QUESTION = 2_000_000_000
"""Index of the instruction set's first question; the labelled set ends before it."""


class WorldSettings(Settings):
    """The built-in corpus, and the two example sets that belong to it."""

    stories: int = Field(default=200_000, ge=1, lt=FIRST_LABELLED)
    """Number of stories to pre-train on."""
    labelled: int = Field(default=3_000, ge=1, lt=FIRST_LABELLED)
    """Number of stories with their genre, for classification; every genre has an equal share."""
    instructions: int = Field(default=24_000, ge=1, le=200_000)
    """Number of questions with their answers; every kind but spelling has an equal share."""
    seed: int = Field(default=1, ge=0)
    """Another seed tells other stories."""
