"""Code that a model has written, run where it can do little harm: `sandbox_worker` in a process of its own.

It has limits on time, memory, files and processes, an empty folder to be in, nothing of the environment,
and no network where the system lets a process give it up; what reaches outside (files, sockets, other
programs) is refused. That keeps a model's mistakes in, and not an attacker who means it: code that
you have reason to fear belongs into a container or a machine of its own.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

WORKER = Path(__file__).with_name("sandbox_worker.py")
TIMEOUT_S = 10.0
MEMORY = 2**30
"""Bytes of address space."""
REPORT = 2**16
"""Bytes that are read of what the worker says."""

Outcome = Literal["passed", "failed", "timed out"]


@dataclass(frozen=True)
class CodeRun:
    """What became of a program."""

    outcome: Outcome
    reason: str = ""
    """The exception, in a line, where it failed."""


def run_code(program: str, timeout_s: float = TIMEOUT_S, memory: int = MEMORY) -> CodeRun:
    """Run a Python program to its end.

    It has passed when it comes to its end without an exception; one that leaves earlier, by whatever
    way, has not.

    Args:
        timeout_s: seconds of wall-clock time, and of the processor's.
        memory: bytes of address space.
    """
    with tempfile.TemporaryDirectory(prefix="hornbook-code-") as folder:
        orders = {"program": program, "seconds": timeout_s, "memory": memory, "folder": folder}
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
            start_new_session=True,
        )
        try:
            said, _ = process.communicate(json.dumps(orders).encode(), timeout=timeout_s + 2)
        except subprocess.TimeoutExpired:
            return CodeRun("timed out")
        finally:
            _end(process)
        if process.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
            return CodeRun("timed out")
        return _read(said[:REPORT])


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the process and all that it may have started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _read(said: bytes) -> CodeRun:
    try:
        report = json.loads(said)
    except ValueError:
        return CodeRun("failed", "the program left before its end")
    if report.get("passed") is True:
        return CodeRun("passed")
    return CodeRun("failed", str(report.get("reason", ""))[:300])
