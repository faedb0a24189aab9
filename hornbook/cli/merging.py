"""The verb that folds adapters into a model, or adds them up."""

from pathlib import Path
from typing import Annotated

import typer

from hornbook.errors import HornbookError


def merge(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL", help="The adapters' base model, such as runs/NAME/pretrain."
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder to write.")],
    adapter: Annotated[
        list[Path],
        typer.Option(
            help="A folder with a LoRA adapter, such as runs/NAME/instruct-lora; once each."
        ),
    ],
    weight: Annotated[
        list[float] | None,
        typer.Option(
            help="How much of each adapter to take, in their order; 1 when none is given."
        ),
    ] = None,
    adapter_only: Annotated[
        bool,
        typer.Option("--adapter-only", help="Write their sum as one adapter, not as a model."),
    ] = False,
    rank: Annotated[
        int | None,
        typer.Option(
            min=1, help="Of that adapter; the sum of theirs, which is exact, if not given."
        ),
    ] = None,
) -> None:
    """Fold LoRA adapters into their base model, or add several up to one."""
    from hornbook.console import console
    from hornbook.pipeline.models.merging import merge_into_model, merge_to_adapter

    weights = weight or [1.0] * len(adapter)
    if len(weights) != len(adapter):
        raise HornbookError(
            f"{len(adapter)} --adapter and {len(weights)} --weight; give one weight for each."
        )
    if adapter_only:
        merge_to_adapter(model, adapter, weights, out, rank)
    elif rank is not None:
        raise HornbookError("--rank is of an adapter; give --adapter-only with it.")
    else:
        merge_into_model(model, adapter, weights, out)
    console.print(f"Written: {out}", markup=False)
