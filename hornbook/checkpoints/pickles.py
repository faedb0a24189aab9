"""Pickled weights are refused before a byte of them is read: a pickle can run code."""

from pathlib import Path

from hornbook.errors import HornbookError

PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")
SAFE = ".safetensors"


def refuse_pickles(path: Path) -> None:
    """Say no to a pickled checkpoint before anything of it is read.

    Raises:
        HornbookError: `path` is a pickle, or a directory with pickles where a checkpoint should be.
    """
    found = path if path.is_file() and path.suffix in PICKLES else None
    if path.is_dir() and not any(path.glob(f"*{SAFE}")):
        found = next((file for file in sorted(path.iterdir()) if file.suffix in PICKLES), None)
    if found is not None:
        raise HornbookError(
            f"{found} is a pickle, which can run code when it is read, so Hornbook does not open "
            f"it; if you trust whoever made it, convert it to safetensors elsewhere: "
            f"{_conversion(found)}"
        )


def _conversion(path: Path) -> str:
    """A command that needs torch and safetensors, and nothing of Hornbook."""
    return (
        'python -c "import sys, torch; from safetensors.torch import save_file; '
        "save_file({n: t.clone().contiguous() for n, t in "
        "torch.load(sys.argv[1], weights_only=True, map_location='cpu').items()}, "
        f"'model{SAFE}')\" {path.name}"
    )
