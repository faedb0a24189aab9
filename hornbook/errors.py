"""The one error that a user's input can cause, and the end that a signal asks for."""


class HornbookError(Exception):
    """Bad input, said in one clear sentence.

    The message names the file, line or field, what was expected and what to do. The command
    line prints it without a traceback and exits with code 2; a library user catches it.
    """


class Terminated(SystemExit):
    """SIGTERM came. While training, a checkpoint is saved and the process ends with code 0.

    To whoever sent it (SLURM, Kubernetes, a cloud taking its machine back) that is no failure. Elsewhere
    what is finished is kept, what is not is lost, and the code is 143.
    """

    def __init__(self, code: int = 0) -> None:
        super().__init__(code)
