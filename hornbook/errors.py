"""The one error that a user's input can cause."""


class HornbookError(Exception):
    """Bad input, said in one clear sentence.

    The message names the file, line or field, what was expected and what to do. The command
    line prints it without a traceback and exits with code 2; a library user catches it.
    """
