"""The command line: parse, call, print.

app.py gathers the verbs; pipeline.py has those that run stages, stopping.py says what is left of them
after a signal, training.py has those around a training, models.py those that use a trained model,
merging.py the one that folds adapters into theirs, data.py those that look at data, audit.py those that
look for what a training should not leave behind.
Commands import what they need when they run, so that `--help` is quick.
"""

import errno
import os
import sys

INTERRUPTED = 130
BAD_INPUT = 2


def main() -> None:
    """Entry point of the `hornbook` command: every failure a user can cause is one sentence."""
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: list[str]) -> int:
    from hornbook.cli.stopping import Stopped
    from hornbook.errors import HornbookError, Terminated

    try:
        return _call(arguments)
    except Stopped as stop:
        print(f"\n{stop.sentence} Run the same command again to go on.", file=sys.stderr)
        return stop.exit_code
    except HornbookError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        print("\nInterrupted. Run the same command again to go on.", file=sys.stderr)
        return INTERRUPTED
    except Terminated:
        print("Terminated; saved. Run the same command again to go on.", file=sys.stderr)
        return 0
    except BrokenPipeError:
        # The reader has gone (| head); python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _fail(_system_sentence(error))


def _call(arguments: list[str]) -> int:
    """Run the typer application, with its own usage errors shown in its own way."""
    from typer import Exit
    from typer.main import get_command

    from hornbook.cli.app import app

    try:
        result = get_command(app).main(arguments, prog_name="hornbook", standalone_mode=False)
    except Exit as leaving:
        return leaving.exit_code
    except Exception as error:
        # A usage error: whichever library it comes from, it can show itself and has a code.
        if hasattr(error, "show") and hasattr(error, "exit_code"):
            error.show()
            return int(error.exit_code)
        if type(error).__name__ == "Abort":
            raise KeyboardInterrupt from None
        raise
    if result == INTERRUPTED:  # typer's way to pass Ctrl-C on
        raise KeyboardInterrupt
    return result if isinstance(result, int) else 0


def _system_sentence(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    if error.errno == errno.ENOSPC:
        return (
            f"The disk is full{where}: nothing half-written was kept and everything saved before "
            "is whole; free some space and run the same command again."
        )
    return f"{error.strerror or error}{where}."


def _fail(sentence: str) -> int:
    # A file's name may hold line breaks, or bytes that are no text.
    line = sentence.replace("\n", "\\n").encode("utf-8", "backslashreplace").decode()
    print(f"hornbook: {line}", file=sys.stderr)
    return BAD_INPUT
