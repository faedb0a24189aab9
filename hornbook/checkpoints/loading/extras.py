"""Libraries that only some uses of others' models need."""

import importlib
from typing import Any

from hornbook.errors import HornbookError

EXTRA = "models"


def require_extra(module: str, purpose: str) -> Any:
    """The module, imported now.

    Raises:
        HornbookError: it is not installed; says how to.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise HornbookError(
            f'{purpose} needs {module}; install it with: pip install "hornbook[{EXTRA}]".'
        ) from None
