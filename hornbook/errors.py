"""The one error that a user's input can cause, and the end that a signal asks for."""


class HornbookError(Exception):
    """Bad input, said in one clear sentence.

    The message names the file, line or field, what was expected and what to do. The command
    line prints it without a traceback and exits with code 2; a library user catches it.
    """


class Terminated(SystemExit):
    """SIGTERM came while training: a checkpoint is saved and the process ends with code 0.

    To whoever sent it (SLURM, Kubernetes, a cloud taking its machine back) this is no failure.
    """

    def __init__(self) -> None:
        super().__init__(0)
