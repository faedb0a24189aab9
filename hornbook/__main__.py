"""`python -m hornbook`: the same as the `hornbook` command."""

from hornbook.cli import main

main()
