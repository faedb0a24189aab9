"""What runs a program for `sandbox`: it gives up what it can do, then runs what it is told.

It stands alone, so that nothing of Hornbook is in the program's reach.
"""

import ctypes
import io
import json
import os
import sys
from typing import Any

LARGEST_FILE = 2**20
"""Bytes."""
MOST_FILES = 64
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
READ_ONLY = os.O_RDONLY

FORBIDDEN = (
    *("socket.", "subprocess.", "os.system", "os.exec", "os.spawn", "os.posix_spawn", "os.fork"),
    *("os.kill", "os.putenv", "os.chown", "os.chmod", "os.setxattr", "os.listxattr", "os.link"),
    *("os.symlink", "ctypes.", "pty.", "signal.", "shutil.chown", "http.", "urllib.", "ftplib."),
    *("smtplib.", "webbrowser.", "sqlite3.", "resource.", "syslog.", "mmap.", "sys.settrace"),
)
"""Beginnings of the audit events (PEP 578) of what a solution to a puzzle has no need of."""
WRITING = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.truncate", "shutil.")
"""Of what is allowed inside the program's own folder."""


def give_up_network() -> None:
    """Leave the network's name space for an empty one, where the system allows it."""
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if library.unshare(CLONE_NEWNET) != 0:
            library.unshare(CLONE_NEWUSER | CLONE_NEWNET)
    except (OSError, AttributeError):  # no such call here; the audit hook refuses sockets
        return


def set_limits(seconds: float, memory: int) -> None:
    """Limits on what the process may use."""
    try:
        import resource
    except ImportError:  # Windows
        return
    whole = max(int(seconds), 1)
    for name, limit in (
        ("RLIMIT_AS", memory),
        ("RLIMIT_CPU", whole),
        ("RLIMIT_FSIZE", LARGEST_FILE),
        ("RLIMIT_NOFILE", MOST_FILES),
        ("RLIMIT_NPROC", 0),
        ("RLIMIT_CORE", 0),
    ):
        number = getattr(resource, name, None)
        if number is None:
            continue
        try:
            resource.setrlimit(number, (limit, limit))
        except (ValueError, OSError):  # macOS knows some limits and does not set them
            continue


def forbid(folder: str) -> None:
    """Refuse from now on what reaches outside of the folder."""
    inside = os.path.realpath(folder)

    def within(path: Any) -> bool:
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if not isinstance(path, str):
            return False
        return os.path.commonpath([inside, os.path.realpath(path)]) == inside

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            writes = isinstance(mode, str) and any(letter in mode for letter in "wax+")
            writes = writes or (isinstance(flags, int) and flags & (os.O_ACCMODE | os.O_CREAT) != 0)
            if writes and not within(path):
                raise PermissionError(f"{path!r} must not be written")
        elif event.startswith(FORBIDDEN):
            raise PermissionError(f"{event} is not allowed")
        elif event.startswith(WRITING) and not all(
            within(path) for path in arguments if isinstance(path, str | bytes)
        ):
            raise PermissionError(f"{event} is not allowed outside of the program's folder")

    sys.addaudithook(hook)


def main() -> None:
    """Read what to run, run it, and say what came of it."""
    orders = json.loads(sys.stdin.buffer.read())
    report = os.fdopen(os.dup(1), "wb")
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silence, stream)
    sys.stdin, sys.stdout, sys.stderr = io.StringIO(), io.StringIO(), io.StringIO()
    give_up_network()
    set_limits(orders["seconds"], orders["memory"])
    forbid(orders["folder"])
    try:
        exec(compile(orders["program"], "program.py", "exec"), {"__name__": "__main__"})
        found: dict[str, Any] = {"passed": True}
    except BaseException as error:  # SystemExit too: the end was not reached
        found = {"passed": False, "reason": f"{type(error).__name__}: {error}"}
    report.write(json.dumps(found).encode())
    report.flush()


if __name__ == "__main__":
    main()
