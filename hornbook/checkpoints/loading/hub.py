"""Models on the Hugging Face hub: `hf:ORG/NAME[@REVISION]`, wherever a model's path is expected.

Files land in the hub library's own cache, so that a model that was used once can be used offline
(HF_HUB_OFFLINE=1), and HF_TOKEN and HF_ENDPOINT mean what they mean everywhere.
"""

import re
from pathlib import Path

from hornbook.checkpoints.loading.extras import require_extra
from hornbook.errors import HornbookError

HUB = "hf:"
WANTED = ("*.safetensors", "*.json", "*.txt", "*.jinja")
"""Weights, settings, tokenizer and chat template; no pickles and no code."""
UNWANTED = ("*/*",)
"""Folders hold the same model in other formats."""
REFERENCE = re.compile(r"hf:(?P<name>[\w.-]+(?:/[\w.-]+)?)(?:@(?P<revision>[\w./-]+))?")


def is_hub_model(path: Path | str) -> bool:
    """Whether a model's path means one on the hub."""
    return str(path).startswith(HUB)


def fetch_model(reference: Path | str) -> Path:
    """The folder of a model on the hub, whose name is the commit; fetched if it is not there yet.

    Without a revision that is the newest commit, or offline the newest that is in the cache. Pin
    one (`@` and a branch, a tag or a commit's hash) and the same weights come each time.

    Raises:
        HornbookError: not a model's name, no such model or revision, no access, or no network.
    """
    matched = REFERENCE.fullmatch(str(reference))
    if matched is None:
        raise HornbookError(f"{reference}: expected hf:ORG/NAME or hf:ORG/NAME@REVISION.")
    hub = require_extra("huggingface_hub", "fetching a model from the Hugging Face hub")
    try:
        folder = hub.snapshot_download(
            matched["name"],
            revision=matched["revision"],
            allow_patterns=list(WANTED),
            ignore_patterns=list(UNWANTED),
        )
    except Exception as error:  # of whichever of its libraries
        raise HornbookError(_sentence(str(reference), error)) from None
    found = Path(folder)
    if not any(found.glob("*.safetensors")):
        raise HornbookError(
            f"{reference} has no weights as safetensors, and pickles are not fetched, since they can "
            "run code; look for a copy of the model that is saved as safetensors."
        )
    return found


def _sentence(reference: str, error: Exception) -> str:
    """What to do about what the hub library says; its errors are known by their names."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "GatedRepoError" in kinds:
        return (
            f"{reference} is given only to who has accepted its terms: do so on its page, then set "
            "HF_TOKEN to a token of yours."
        )
    if "RevisionNotFoundError" in kinds:
        return f"{reference}: the model has no such revision; give a branch, a tag or a commit."
    if "RepositoryNotFoundError" in kinds:
        return f"{reference}: no such model on the hub, or a private one (set HF_TOKEN for those)."
    if kinds & {"LocalEntryNotFoundError", "OfflineModeIsEnabled"}:
        return (
            f"{reference} is not in the cache, and the hub cannot be reached; connect, or unset "
            "HF_HUB_OFFLINE, and run the same command again."
        )
    reason = (str(error).splitlines() or [type(error).__name__])[0].removesuffix(".")
    return f"{reference} cannot be fetched: {reason}."
