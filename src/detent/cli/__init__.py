"""The command line: `detent …`, one file per group of commands.

Owns: arguments, what is printed, starting the servers. Leaves: what an operation does to admin/ and identity/, what
the server is to app.py. Rules: every command has `--json` and then prints one JSON document; an error says what to
do and ends with 1; no secret is ever an argument.
"""

from detent.cli.main import main

__all__ = ["main"]
