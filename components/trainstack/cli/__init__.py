"""The `trainstack` command: look at runs, datasets, models and services, follow and stop runs, check the machine.

A command imports what it needs inside its function, so that `--help` and completion load nothing slow.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line; the entry point of the `trainstack` program."""
    import os
    import sys

    # Looking for plugins of pydantic means to read the metadata of every installed package; our records use none.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

    from trainstack.cli.app import app

    for stream in (sys.stdout, sys.stderr):
        # A file name that is not valid in the terminal's encoding must not end a listing.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    app(prog_name="trainstack")
