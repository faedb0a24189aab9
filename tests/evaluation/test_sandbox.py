"""A model's code is run with limits: it passes, fails or is stopped, and touches nothing outside."""

import time
from pathlib import Path

import pytest

from hornbook.evaluation.sandbox import run_code

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="the limits are Linux's")


def test_what_passes_and_what_fails() -> None:
    assert run_code("import math\nassert math.gcd(4, 6) == 2").outcome == "passed"
    failed = run_code("assert 1 + 1 == 3, 'sums'")
    assert (failed.outcome, failed.reason) == ("failed", "AssertionError: sums")
    assert "SyntaxError" in run_code("def f(:").reason
    assert "NameError" in run_code("f()").reason


@pytest.mark.parametrize(
    "program", ["import os\nos._exit(0)", "raise SystemExit(0)", "import sys\nsys.exit()"]
)
def test_leaving_early_is_not_passing(program: str) -> None:
    assert run_code(program).outcome == "failed"


@pytest.mark.parametrize(
    "program", ["while True: pass", "import time\ntime.sleep(60)", "input()\nwhile True: pass"]
)
def test_what_does_not_end_is_stopped(program: str) -> None:
    started = time.monotonic()
    assert run_code(program, timeout_s=1).outcome in ("timed out", "failed")
    assert time.monotonic() - started < 30


def test_memory_and_printing_have_bounds() -> None:
    assert run_code("x = bytearray(2**31)").reason.startswith("MemoryError")
    assert run_code("x = 'a' * 10**10").reason.startswith("MemoryError")
    assert run_code("for _ in range(10**5): print('x' * 100)", timeout_s=5).outcome == "passed"
    assert run_code("open('big', 'wb').write(b'x' * 2**22)").outcome == "failed"


@pytest.mark.parametrize(
    "attempt",
    [
        "import socket\nsocket.create_connection(('127.0.0.1', 9), 1)",
        "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:9/')",
        "import subprocess\nsubprocess.run(['true'])",
        "import os\nos.system('true')",
        "import os\nos.fork()",
        "import os\nos.kill(os.getppid(), 9)",
        "import ctypes\nctypes.CDLL(None).getpid()",
        "import shutil\nshutil.rmtree({outside!r})",
        "import os\nos.remove({file!r})",
        "import os\nos.rename({file!r}, 'mine')",
        "open({file!r}, 'w').write('x')",
        "open({file!r}, 'a').write('x')",
        "import os\nos.open({file!r}, os.O_WRONLY)",
        "import pathlib\npathlib.Path({file!r}).write_text('x')",
    ],
)
def test_nothing_outside_is_touched(tmp_path: Path, attempt: str) -> None:
    file = tmp_path / "precious.txt"
    file.write_text("precious", "utf-8")
    found = run_code(attempt.format(file=str(file), outside=str(tmp_path)))
    assert found.outcome == "failed", found
    assert file.read_text("utf-8") == "precious"


def test_its_own_folder_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    program = "open('x', 'w').write('1')\nassert open('x').read() == '1'\nimport os\nos.remove('x')"
    assert run_code(program).outcome == "passed"
    monkeypatch.setenv("SECRET_KEY", "s3cret")
    assert run_code("import os\nassert 'SECRET_KEY' not in os.environ").outcome == "passed"
