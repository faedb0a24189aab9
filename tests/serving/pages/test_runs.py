"""The runs page's data: what is there, what is new, and nothing outside the folder."""

import json
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from fastapi import FastAPI
from fastapi.testclient import TestClient

from hornbook.pipeline.models.bundle import Bundle
from hornbook.serving.pages import PAGES, add_pages
from hornbook.serving.runs import MOST_POINTS, curves_of


def client_of(folder: Path) -> TestClient:
    app = FastAPI()

    def none(name: str | None) -> Bundle:
        raise AssertionError(name)

    add_pages(app, none, folder)
    return TestClient(app)


def write(folder: Path, lines: int, first: int = 1) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "metrics.jsonl").open("a") as file:
        for step in range(first, first + lines):
            file.write(
                json.dumps({"kind": "train", "step": step, "loss": 5 / step, "lr": 0.1}) + "\n"
            )


def test_runs_are_listed_with_their_states(runs: Path) -> None:
    [tiny] = client_of(runs).get("/api/runs/list").json()
    assert tiny["name"] == "tiny"
    states = {stage["name"]: stage["state"] for stage in tiny["stages"]}
    assert states == {
        "classify-lora": "finished",
        "instruct-full": "finished",
        "instruct-lora": "finished",
        "pretrain": "finished",
    }
    assert tiny["settings"]["training.steps"] == "30"
    curves = (
        client_of(runs).get("/api/runs/curves", params={"run": "tiny", "stage": "pretrain"}).json()
    )
    assert [point[0] for point in curves["train"]["loss"]] == list(range(1, 31))
    assert len(curves["validation"]["loss"]) == 3
    assert len(curves["samples"]) == 3
    assert curves["figures"]["steps"] == 30


def test_only_what_is_new_is_sent(tmp_path: Path) -> None:
    client, stage = client_of(tmp_path), tmp_path / "my run" / "pretrain"
    asked = {"run": "my run", "stage": "pretrain"}
    write(stage, 10)
    with (stage / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "train", "st')  # being written
    first = client.get("/api/runs/curves", params=asked).json()
    assert (first["last"], first["state"]) == (10, "running")
    [run] = client.get("/api/runs/list").json()
    assert run["stages"][0]["last_step"] == 10
    (stage / "metrics.jsonl").unlink()
    write(stage, 12)
    more = client.get("/api/runs/curves", params={**asked, "after": first["last"]}).json()
    assert more["train"]["loss"] == [[11, 5 / 11], [12, 5 / 12]]


def test_long_curves_are_thinned(tmp_path: Path) -> None:
    write(tmp_path, 5 * MOST_POINTS)
    points = curves_of(tmp_path)["train"]["loss"]
    assert len(points) <= MOST_POINTS + 1
    assert (points[0][0], points[-1][0]) == (1, 5 * MOST_POINTS)


@pytest.mark.parametrize("run", ["..", "../..", "/etc", "my run/../..", ".", "\0", "%2e%2e"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, run: str) -> None:
    write(tmp_path / "outside" / "pretrain", 3)
    write(tmp_path / "runs" / "my run" / "pretrain", 3)
    client = client_of(tmp_path / "runs")
    for stage in ("pretrain", "outside/pretrain", "../outside/pretrain"):
        assert (
            client.get("/api/runs/curves", params={"run": run, "stage": stage}).status_code == 404
        )


@pytest.mark.parametrize("path", [*PAGES, "/assets/style.css", "/assets/explorer.js"])
def test_pages_forbid_all_that_is_not_theirs(tmp_path: Path, path: str) -> None:
    answer = client_of(tmp_path).get(path)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "//" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "https://" not in answer.text


@pytest.mark.parametrize(
    "name", ["..%2f__init__.py", "%2e%2e/pages.py", "none.js", "../web/chat.js"]
)
def test_no_other_file_is_served(tmp_path: Path, name: str) -> None:
    assert client_of(tmp_path).get(f"/assets/{name}").status_code == 404
    assert "Chat" in client_of(tmp_path).get("/", params={"name": "runs.html"}).text
