"""Against a server of this process that answers as the hub does, and its cache."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from safetensors.torch import save

from hornbook.checkpoints.loading.hub import fetch_model, is_hub_model
from hornbook.checkpoints.loading.tensors import open_tensors
from hornbook.errors import HornbookError

hub = pytest.importorskip("huggingface_hub")
constants = pytest.importorskip("huggingface_hub.constants")

OLD, NEW = "a" * 40, "b" * 40
FILES = {
    "config.json": b'{"model_type": "gpt2"}',
    "model.safetensors": save({"x": torch.arange(3.0)}),
    "pytorch_model.bin": b"\x80\x04 a pickle",
    "modeling_evil.py": b"raise SystemExit",
    "onnx/config.json": b"{}",
}


class FakeHub(BaseHTTPRequestHandler):
    """One model, org/tiny, with the commits OLD (tag v1) and NEW (main); org/pickles beside it."""

    asked: list[str]

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        path = self.path.split("?")[0].strip("/")
        self.asked.append(path)
        if path.startswith("api/models/org/gated"):
            self._send(403, b"{}", {"X-Error-Code": "GatedRepo"}, with_body)
            return
        for name in ("tiny", "pickles"):
            files = {f: d for f, d in FILES.items() if name == "tiny" or "safetensors" not in f}
            if path.startswith(f"api/models/org/{name}"):
                is_tree = "/tree/" in path
                revision = path.split("/")[5] if path.count("/") > 4 else "main"
                commit = {"main": NEW, NEW: NEW, "v1": OLD, OLD: OLD}.get(revision)
                if commit is None:
                    self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"}, with_body)
                    return
                described = {"id": f"org/{name}", "sha": commit}
                described["siblings"] = [{"rfilename": file} for file in files]
                tree = [
                    {"type": "file", "path": file, "size": len(data), "oid": commit}
                    for file, data in files.items()
                ]
                answer = json.dumps(tree if is_tree else described)
                self._send(200, answer.encode(), {}, with_body)
                return
            for commit in (OLD, NEW):
                for file, data in files.items():
                    if path == f"org/{name}/resolve/{commit}/{file}":
                        tag = hashlib.sha1(data).hexdigest()
                        headers = {"X-Repo-Commit": commit, "ETag": f'"{tag}"'}
                        self._send(200, data, headers, with_body)
                        return
        self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, with_body)

    def _send(self, code: int, data: bytes, headers: dict[str, str], with_body: bool) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if with_body:
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def asked(tmp_path, monkeypatch) -> Iterator[list[str]]:
    """The paths that the fake hub was asked for, while it is the hub."""
    FakeHub.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeHub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)  # as the tests of families set it
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(
        constants,
        "HUGGINGFACE_CO_URL_TEMPLATE",
        address + "/{repo_id}/resolve/{revision}/{filename}",
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    yield FakeHub.asked
    server.shutdown()
    server.server_close()


def test_a_model_is_fetched_without_pickles_code_and_other_formats(asked):
    folder = fetch_model("hf:org/tiny")
    assert folder.name == NEW
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    assert found == ["config.json", "model.safetensors"]
    assert open_tensors(folder).read("x").tolist() == [0, 1, 2]
    assert not any("bin" in path or "evil" in path for path in asked)


def test_a_revision_is_pinned_by_tag_or_commit(asked):
    assert fetch_model("hf:org/tiny@v1").name == OLD
    assert fetch_model(f"hf:org/tiny@{OLD}").name == OLD


def test_what_was_fetched_once_can_be_used_offline(asked, monkeypatch):
    fetch_model("hf:org/tiny")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    count = len(asked)
    assert fetch_model("hf:org/tiny").name == NEW
    assert len(asked) == count
    with pytest.raises(HornbookError, match=r"hf:org/other is not in the cache.*HF_HUB_OFFLINE"):
        fetch_model("hf:org/other")


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("hf:org/none", "no such model on the hub"),
        ("hf:org/tiny@v9", "no such revision"),
        ("hf:org/gated", "accepted its terms"),
        ("hf:org/pickles", "no weights as safetensors"),
        ("hf:", "expected hf:ORG/NAME"),
        ("hf:org/../x", "expected hf:ORG/NAME"),
        ("hf:org/x@", "expected hf:ORG/NAME"),
    ],
)
def test_what_cannot_be_fetched_is_said_in_a_sentence(asked, reference, said):
    with pytest.raises(HornbookError, match=said):
        fetch_model(reference)


def test_paths_and_hub_names_are_told_apart():
    assert is_hub_model("hf:org/name@v1")
    assert not is_hub_model("runs/hf/pretrain")
