"""Loading a folder takes the model's memory and one shard's, not the folder's twice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from hornbook.checkpoints.families.known import FAMILIES, config_to_hf
from hornbook.model.transformer import Transformer
from tests.checkpoints.folders import llama_config

SHARDS = 3
SLACK = 8 * 2**20
"""Bytes that Python and the allocator may take besides: a quarter of a shard, so that two shards at a
time would be seen."""
PROGRAM = """
import resource, sys
from pathlib import Path
import torch
from hornbook.checkpoints.loading.folders import load_folder
load_folder(Path(sys.argv[1]))  # a small one: what is imported and allocated once is so by now
before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
load_folder(Path(sys.argv[2]))
# Not getrusage's peak: that counts the memory of the process that started this one, too.
status = Path("/proc/self/status").read_text()
print(int(status.split("VmHWM:")[1].split()[0]) * 1024 - before)
"""


def write(folder: Path, width: int, layers: int) -> tuple[int, list[int]]:
    """A bfloat16 model in shards; bytes of the loaded model (float32) and of each shard."""
    folder.mkdir()
    changes = {"embed_dim": width, "hidden_dim": 3 * width, "n_layers": layers}
    config = llama_config(50).model_copy(update=changes)
    with torch.device("meta"):
        model = Transformer(config)
    family = FAMILIES["llama"]
    (folder / "config.json").write_text(json.dumps(config_to_hf(config, family)))
    shapes = {place.theirs: place.shape for place in family.places(model, config)}
    names = list(shapes)
    sizes, files = [], {}
    for shard in range(SHARDS):
        file = f"model-{shard + 1:05}-of-{SHARDS:05}.safetensors"
        tensors = {n: torch.zeros(shapes[n], dtype=torch.bfloat16) for n in names[shard::SHARDS]}
        save_file(tensors, folder / file)
        files |= dict.fromkeys(tensors, file)
        sizes.append((folder / file).stat().st_size)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": files}))
    return 2 * sum(sizes), sizes


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="counts pages as Linux does")
def test_peak_memory(tmp_path: Path) -> None:
    write(tmp_path / "small", 16, 2)
    loaded, shards = write(tmp_path / "large", 1024, 4)
    assert min(shards) > 3 * SLACK
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "small"), str(tmp_path / "large")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert loaded < int(done.stdout) < loaded + max(shards) + SLACK
