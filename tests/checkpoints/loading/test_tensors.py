import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from hornbook.checkpoints.loading.tensors import open_tensors
from hornbook.errors import HornbookError


def raw_file(path: Path, header: str, data: bytes = b"") -> Path:
    """A safetensors file written by hand."""
    encoded = header.encode()
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + data)
    return path


def two_shards(folder: Path) -> dict[str, torch.Tensor]:
    tensors = {"a": torch.randn(3, 4), "b": torch.randn(5).bfloat16(), "c": torch.randn(2).half()}
    files = {"a": "one.safetensors", "b": "two.safetensors", "c": "two.safetensors"}
    for file in set(files.values()):
        save_file({n: t for n, t in tensors.items() if files[n] == file}, folder / file)
    index = {"metadata": {"total_size": 62}, "weight_map": files}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return tensors


@pytest.mark.parametrize("sharded", [False, True])
def test_a_folder_of_one_file_or_of_shards_gives_what_was_stored(tmp_path, sharded):
    tensors = two_shards(tmp_path)
    if not sharded:
        save_file(tensors, tmp_path / "model.safetensors")
    source = open_tensors(tmp_path)
    assert source.names() == ["a", "b", "c"]
    for name in ("c", "a", "b"):
        assert source.shape(name) == tuple(tensors[name].shape)
        assert source.dtype(name) == tensors[name].dtype
        assert torch.equal(source.read(name), tensors[name])


def test_a_single_file_is_opened_by_its_own_name(tmp_path):
    save_file({"x": torch.ones(2)}, tmp_path / "weights.safetensors")
    assert open_tensors(tmp_path / "weights.safetensors").names() == ["x"]


def test_a_file_cut_short_or_too_long_is_refused_before_it_is_read(tmp_path):
    save_file({"x": torch.ones(8)}, tmp_path / "model.safetensors")
    whole = (tmp_path / "model.safetensors").read_bytes()
    for damaged in (whole[:-1], whole + b"\0", whole[:20], whole[:3], b""):
        (tmp_path / "model.safetensors").write_bytes(damaged)
        with pytest.raises(HornbookError, match=r"model\.safetensors is damaged"):
            open_tensors(tmp_path)


def test_a_header_that_claims_too_much_is_refused(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", 2**60) + b"{}")
    with pytest.raises(HornbookError, match="claims a header of 1,152,921,504,606,846,976 bytes"):
        open_tensors(tmp_path)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("{", "no JSON object"),
        ("[]", "no JSON object"),
        ("[" * 100_000, "no JSON object"),
        ('{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
         '"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', "describes twice x"),
        ('{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}', "is damaged"),
        ('{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,-4]}}', "is damaged"),
        ('{"x":{"dtype":"F32","shape":"1","data_offsets":[0,4]}}', "is damaged"),
        ('{"x":{"dtype":"Q4","shape":[1],"data_offsets":[0,4]}}', "is damaged"),
        ('{"x":{"shape":[1],"data_offsets":[0,4]}}', "is damaged"),
        ('{"x":7}', "is damaged"),
        ('{"x":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}}', "x is stored as F8_E4M3"),
    ],
)  # fmt: skip
def test_a_malformed_header_is_refused_with_a_sentence(tmp_path, header, said):
    raw_file(tmp_path / "model.safetensors", header, b"\0" * 4)
    with pytest.raises(HornbookError, match=said):
        open_tensors(tmp_path)


def write_index(folder: Path, weight_map: object) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


@pytest.mark.parametrize("name", ["../one.safetensors", "/etc/passwd", "a/../one.safetensors", 3])
def test_an_index_that_points_elsewhere_is_refused(tmp_path, name):
    folder = tmp_path / "model"
    folder.mkdir()
    save_file({"a": torch.ones(1)}, tmp_path / "one.safetensors")
    write_index(folder, {"a": name})
    with pytest.raises(HornbookError, match=r"only a \.safetensors file beside the index"):
        open_tensors(folder)


def test_an_index_that_is_wrong_is_refused(tmp_path):
    two_shards(tmp_path)
    write_index(tmp_path, {"a": "three.safetensors"})
    with pytest.raises(HornbookError, match=r"names three\.safetensors, which is missing"):
        open_tensors(tmp_path)
    write_index(tmp_path, {"b": "one.safetensors", "d": "two.safetensors"})
    with pytest.raises(HornbookError, match="not in their files: b, d"):
        open_tensors(tmp_path)
    write_index(tmp_path, [])
    with pytest.raises(HornbookError, match="no weight_map"):
        open_tensors(tmp_path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_refused_by_name(tmp_path, dtype, bad):
    weights = torch.ones(4, 4, dtype=dtype)
    weights[1, 2] = bad
    save_file({"layers.3.mlp": weights, "good": torch.ones(1)}, tmp_path / "model.safetensors")
    source = open_tensors(tmp_path)
    assert source.read("good").item() == 1
    with pytest.raises(HornbookError, match=r"layers\.3\.mlp has values that are NaN or infinite"):
        source.read("layers.3.mlp")


@pytest.mark.parametrize("suffix", [".bin", ".pt", ".pth", ".ckpt"])
def test_a_pickle_is_refused_with_the_command_that_converts_it(tmp_path, suffix):
    file = tmp_path / f"pytorch_model{suffix}"
    file.write_bytes(b"\x80\x04never read")
    for path in (file, tmp_path):
        with pytest.raises(HornbookError, match=r"is a pickle.*weights_only=True"):
            open_tensors(path)


def test_the_command_that_converts_a_pickle_does_so(tmp_path):
    torch.save({"x": torch.arange(3.0)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(HornbookError) as caught:
        open_tensors(tmp_path)
    command = str(caught.value).split("elsewhere: ")[1].replace("python", sys.executable, 1)
    subprocess.run(command, shell=True, cwd=tmp_path, check=True)
    assert open_tensors(tmp_path).read("x").tolist() == [0, 1, 2]


def test_an_archive_and_an_empty_folder_are_refused(tmp_path):
    with pytest.raises(HornbookError, match="has no weights"):
        open_tensors(tmp_path)
    (tmp_path / "model.zip").write_bytes(b"PK")
    with pytest.raises(HornbookError, match="unpack it and give the folder"):
        open_tensors(tmp_path / "model.zip")


MEASURE = """
import resource, sys
from pathlib import Path
import torch
from hornbook.checkpoints.loading.tensors import open_tensors

source = open_tensors(Path(sys.argv[1]))
torch.aminmax(torch.ones(8))
pages = int(Path("/proc/self/statm").read_text().split()[1])
model = {name: torch.empty(source.shape(name)) for name in source.names()}
for name, tensor in model.items():
    tensor.copy_(source.read(name))
# Not getrusage's: that counts the memory of the process that started this one, too.
status = Path("/proc/self/status").read_text()
peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
print(peak - pages * resource.getpagesize())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_peak_memory_is_the_model_and_one_shard(tmp_path):
    size = 16 << 20  # bytes of a tensor: the model outweighs what importing torch took at its peak
    files = {f"w{n}": f"part-{n // 2}.safetensors" for n in range(12)}
    for file in set(files.values()):
        save_file(
            {n: torch.ones(size // 4) for n, f in files.items() if f == file}, tmp_path / file
        )
    write_index(tmp_path, files)
    ran = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)], capture_output=True, text=True, check=True
    )
    model, shard = 12 * size, 2 * size
    assert model * 0.9 < int(ran.stdout) < (model + shard) * 1.05
