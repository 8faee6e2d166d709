"""The `trainstack` command: look at runs, datasets, models and services, follow and stop runs, check the machine.

A command imports what it needs inside its function, so that `--help` and completion load nothing slow.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line; the entry point of the `trainstack` program."""
    import sys

    from trainstack.cli.app import app

    for stream in (sys.stdout, sys.stderr):
        # A file name that is not valid in the terminal's encoding must not end a listing.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    app(prog_name="trainstack")
