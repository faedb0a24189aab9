"""Real bytes of TensorFlow's, and a writer of the same format that shares nothing with the reader."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from hornbook.checkpoints.loading.folders import load_folder
from hornbook.checkpoints.loading.tensorflow import BundleSource, open_gpt2
from hornbook.errors import HornbookError

google_crc32c = pytest.importorskip("google_crc32c")

REAL = Path(__file__).parent / "gpt2-tensorflow"
VOCAB, CONTEXT, WIDTH, LAYERS = 12, 6, 4, 11


def variables() -> dict[str, np.ndarray]:
    """What TensorFlow was given to save, by its own names."""
    shapes: dict[str, tuple[int, ...]] = {
        "wte": (VOCAB, WIDTH),
        "wpe": (CONTEXT, WIDTH),
        "ln_f/g": (WIDTH,),
        "ln_f/b": (WIDTH,),
    }
    for layer in range(LAYERS):
        for norm in ("ln_1", "ln_2"):
            shapes |= {f"h{layer}/{norm}/{leaf}": (WIDTH,) for leaf in "gb"}
        for part, inputs, outputs in (
            ("attn/c_attn", WIDTH, 3 * WIDTH),
            ("attn/c_proj", WIDTH, WIDTH),
            ("mlp/c_fc", WIDTH, 4 * WIDTH),
            ("mlp/c_proj", 4 * WIDTH, WIDTH),
        ):
            shapes[f"h{layer}/{part}/w"] = (1, inputs, outputs)
            shapes[f"h{layer}/{part}/b"] = (outputs,)
    random = np.random.RandomState(7)
    return {
        f"model/{name}": random.standard_normal(shape).astype(np.float32)
        for name, shape in shapes.items()
    }


def test_a_bundle_that_tensorflow_wrote_is_read_exactly():
    source = BundleSource(REAL / "model.ckpt.index")
    expected = variables()
    assert source.names() == sorted(expected)
    for name, array in expected.items():
        assert source.shape(name) == array.shape
        assert source.dtype(name) == torch.float32
        assert np.array_equal(source.read(name).numpy(), array)


def test_gpt2_gets_the_names_and_shapes_of_its_huggingface_folder():
    config, source = open_gpt2(REAL)
    transformers = pytest.importorskip("transformers")
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**config))
    shapes = {
        name.removeprefix("transformer."): tuple(tensor.shape)
        for name, tensor in model.state_dict().items()
        if name != "lm_head.weight"
    }
    assert {name: source.shape(name) for name in source.names()} == shapes
    stored = variables()["model/h10/attn/c_attn/w"][0]
    assert np.array_equal(source.read("h.10.attn.c_attn.weight").numpy(), stored)


def test_a_published_gpt2_gives_the_logits_that_transformers_gives():
    transformers = pytest.importorskip("transformers")
    config, source = open_gpt2(REAL)
    theirs = transformers.GPT2LMHeadModel(transformers.GPT2Config(**config)).eval()
    theirs.transformer.load_state_dict({name: source.read(name) for name in source.names()})
    ids = torch.tensor([[3, 1, 4, 1, 5], [9, 2, 6, 5, 11]])
    with torch.no_grad():
        ours, expected = load_folder(REAL).model(ids), theirs(ids).logits
    assert torch.allclose(ours, expected, rtol=1e-4, atol=1e-5)


def copy(folder: Path) -> Path:
    return Path(shutil.copytree(REAL, folder / "124M"))


def test_damaged_files_are_refused_by_name(tmp_path):
    folder = copy(tmp_path)
    data, index = folder / "model.ckpt.data-00000-of-00001", folder / "model.ckpt.index"
    whole, table = bytearray(data.read_bytes()), bytearray(index.read_bytes())
    data.write_bytes(whole[:-1])
    with pytest.raises(HornbookError, match="is damaged: it has 11,055 bytes"):
        open_gpt2(folder)
    whole[100] ^= 1
    data.write_bytes(whole)
    source = open_gpt2(folder)[1]
    with pytest.raises(HornbookError, match=r"the checksum of .+ differs"):
        _ = [source.read(name) for name in source.names()]
    data.unlink()
    with pytest.raises(HornbookError, match="is missing"):
        open_gpt2(folder)
    for place in (0, 50, 2000, len(table) - 1):
        index.write_bytes(table[:place] + bytes([table[place] ^ 0x55]) + table[place + 1 :])
        with pytest.raises(HornbookError, match=r"model\.ckpt\.index is damaged or no TensorFlow"):
            open_gpt2(folder)
    for length in (0, 7, 48, 1000):
        index.write_bytes(table[:length])
        with pytest.raises(HornbookError, match="is damaged or no TensorFlow"):
            open_gpt2(folder)


def test_what_is_missing_beside_the_checkpoint_is_named(tmp_path):
    folder = copy(tmp_path)
    shutil.copy(folder / "model.ckpt.index", folder / "other.ckpt.index")
    assert open_gpt2(folder)[0]["n_layer"] == LAYERS  # the file `checkpoint` says which
    (folder / "checkpoint").unlink()
    with pytest.raises(HornbookError, match="several checkpoints"):
        open_gpt2(folder)
    (folder / "other.ckpt.index").unlink()
    for text in ("{}", "[1]", '{"n_vocab": "12"}', "{"):
        (folder / "hparams.json").write_text(text)
        with pytest.raises(HornbookError, match="expected whole numbers"):
            open_gpt2(folder)
    (folder / "hparams.json").unlink()
    with pytest.raises(HornbookError, match=r"hparams\.json is missing"):
        open_gpt2(folder)
    (folder / "model.ckpt.index").unlink()
    with pytest.raises(HornbookError, match="has no TensorFlow checkpoint"):
        open_gpt2(folder)


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number % 128 + 128]), number // 128
    return out + bytes([number])


def checksum(data: bytes) -> bytes:
    value = google_crc32c.value(data)
    return ((((value >> 15) | (value << 17)) + 0xA282EAD8) % 2**32).to_bytes(4, "little")


def record(
    shape: tuple[int, ...], offset: int, data: bytes, dtype: int = 1, shard: int = 0
) -> bytes:
    dims = b"".join(b"\x12" + varint(1 + len(varint(n))) + b"\x08" + varint(n) for n in shape)
    numbers = b"\x18" + varint(shard) + b"\x20" + varint(offset) + b"\x28" + varint(len(data))
    return (
        b"\x08"
        + varint(dtype)
        + b"\x12"
        + varint(len(dims))
        + dims
        + numbers
        + b"\x35"
        + checksum(data)
    )


def block(pairs: list[tuple[bytes, bytes]], kind: bytes = b"\0") -> bytes:
    """Keys in full, which the format allows: a shared beginning of length 0."""
    entries = b"".join(b"\0" + varint(len(k)) + varint(len(v)) + k + v for k, v in pairs)
    body = entries + (0).to_bytes(4, "little") + (1).to_bytes(4, "little")
    return body + kind + checksum(body + kind)


def write_bundle(folder: Path, records: dict[str, bytes], data: bytes, kind: bytes = b"\0") -> Path:
    """A table with one block for each record."""
    pairs = [(b"", b"\x08\x01"), *((n.encode(), r) for n, r in sorted(records.items()))]
    table, handles = b"", []
    for pair in pairs:
        written = block([pair], kind)
        handles.append((pair[0], varint(len(table)) + varint(len(written) - 5)))
        table += written
    empty, index = block([]), block(handles)
    places = varint(len(table)) + varint(len(empty) - 5)
    places += varint(len(table) + len(empty)) + varint(len(index) - 5)
    magic = (0xDB4775248B80FB57).to_bytes(8, "little")
    path = folder / "model.ckpt.index"
    path.write_bytes(table + empty + index + places.ljust(40, b"\0") + magic)
    (folder / "model.ckpt.data-00000-of-00001").write_bytes(data)
    return path


def test_a_table_of_many_blocks_is_read(tmp_path):
    arrays = {f"t{n}": np.arange(n + 1, dtype=np.float32) for n in range(20)}
    records, data = {}, b""
    for name, array in arrays.items():
        records[name] = record(array.shape, len(data), array.tobytes())
        data += array.tobytes()
    source = BundleSource(write_bundle(tmp_path, records, data))
    assert all(np.array_equal(source.read(n).numpy(), array) for n, array in arrays.items())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dtype": 7}, "dtype number 7"),
        ({"shard": 1}, "in several parts"),
        ({"shape": (2**62, 4)}, "bytes for the shape"),
        ({"shape": (3,)}, "has 16 bytes for the shape"),
        ({"offset": 4}, "speaks of 20"),
        ({"kind": b"\1"}, "is compressed"),
    ],
)
def test_what_gpt2s_files_never_have_is_refused(tmp_path, changes, said):
    data = np.ones(4, dtype=np.float32).tobytes()
    kind = changes.pop("kind", b"\0")
    entry = record(**({"shape": (4,), "offset": 0, "data": data} | changes))
    with pytest.raises(HornbookError, match=said):
        BundleSource(write_bundle(tmp_path, {"x": entry}, data, kind))


def test_weights_that_are_not_finite_are_refused(tmp_path):
    data = np.array([1, np.nan], dtype=np.float32).tobytes()
    path = write_bundle(tmp_path, {"x": record((2,), 0, data)}, data)
    with pytest.raises(HornbookError, match="x has values that are NaN or infinite"):
        BundleSource(path).read("x")


def test_a_tensor_of_another_model_is_refused(tmp_path):
    data = np.ones(1, dtype=np.float32).tobytes()
    write_bundle(tmp_path, {"bert/x": record((1,), 0, data)}, data)
    (tmp_path / "hparams.json").write_text(json.dumps({}))
    with pytest.raises(HornbookError, match="'bert/x' is none of GPT-2's"):
        open_gpt2(tmp_path)
