"""A LoRA adapter as a GGUF file of its own, for llama.cpp's `--lora` and Ollama's ADAPTER.

Source: llama.cpp, convert_lora_to_gguf.py and src/llama-adapter.cpp: a matrix's correction is
multiplied by alpha / rank there, with one alpha for the file, so that each layer's own factor is
written into its B.
"""

from pathlib import Path

from hornbook.artifact import new_directory, write_text
from hornbook.checkpoints.export.gguf_shapes import architecture_of
from hornbook.checkpoints.export.gguf_tensors import in_order
from hornbook.checkpoints.export.huggingface import require_free
from hornbook.checkpoints.families.family import Family
from hornbook.checkpoints.loading.extras import require_extra
from hornbook.errors import HornbookError
from hornbook.finetuning.joined import WEIGHT, joined_layers
from hornbook.model.transformer import Transformer

ALPHA = 1.0


def export_gguf_adapter(directory: Path, model: Transformer, family: Family, card: str) -> Path:
    """Write the adapter on a model, not merged; give the path of the .gguf file (float32).

    Raises:
        HornbookError: something stands at `directory`, there is no adapter, or llama.cpp cannot
            have it.
    """
    require_free(directory)
    gguf = require_extra("gguf", "exporting GGUF")
    architecture = architecture_of(family.name, model.config)
    layers = joined_layers(
        model, family, lambda name, rows: in_order(architecture, model.config, name, rows)
    )
    if any(layer.magnitude is not None for layer in layers):
        raise HornbookError("llama.cpp has no DoRA; export the merged model instead.")
    arch = next(a for a, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture.name)
    names = gguf.get_tensor_name_map(arch, model.config.n_layers)
    file = f"{directory.name}-lora.gguf"
    with new_directory(directory) as work:
        writer = gguf.GGUFWriter(work / file, architecture.name)
        writer.add_type("adapter")
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", ALPHA)
        for layer in layers:
            name = names.get_name(layer.theirs + WEIGHT, try_suffixes=(WEIGHT,))
            if name is None:
                raise HornbookError(
                    f"llama.cpp reads no adapter of {layer.theirs} alone; export the merged model "
                    "instead."
                )
            own = layer.B * (layer.scale * layer.rank / ALPHA)
            writer.add_tensor(f"{name}.lora_a", layer.A.float().cpu().contiguous().numpy())
            writer.add_tensor(f"{name}.lora_b", own.float().cpu().contiguous().numpy())
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        write_text(work / "README.md", card)
    return directory / file
