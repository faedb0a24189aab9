"""`hornbook judge`, with a server of this machine as judge."""

import json
from pathlib import Path

import pytest

from hornbook.cli import _run
from tests.evaluation.chat_server import completion, serving

pytest.importorskip("httpx")


def test_a_model_is_judged(
    tmp_path: Path, run_directory: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = tmp_path / "asked.jsonl"
    lines = [{"prompt": f"Spell {word}.", "completion": "-".join(word)} for word in ("cat", "dog")]
    asked.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    full, lora = str(run_directory / "instruct-full"), str(run_directory / "instruct-lora")
    output = tmp_path / "found.json"
    with serving(lambda *_: completion('{"score": 2, "winner": "tie"}')) as server:
        common = [f"url={server.url}", "model=judge", "--max-new-tokens", "4"]
        assert _run(["judge", full, str(asked), *common, "--output", str(output)]) == 0
        assert json.loads(output.read_text())["mean"]["value"] == 2
        assert _run(["judge", full, str(asked), *common, "--against", lora]) == 0
        assert "Which answer the judge prefers" in capfd.readouterr().out
    assert _run(["judge", full, str(asked), f"url={server.url}", "retries=0"]) == 2
    assert "nothing listens there" in capfd.readouterr().err
    assert _run(["judge", str(run_directory / "pretrain"), str(asked), *common]) == 2
    assert "cannot be judged by its answers" in capfd.readouterr().err
