"""What a script's MLflow client calls its runs, models and their files, and what a server calls them."""

from __future__ import annotations

import re

_ID = re.compile(r"(?:m-)?[0-9a-f]{32}")


class ClientIds:
    """The server's ids by those of the client.

    Attributes:
        runs: Those of runs.
        models: Those of logged models.
        locations: Where the server has the files of an experiment, by where the client has them.
    """

    def __init__(self) -> None:
        self.runs: dict[str, str] = {}
        self.models: dict[str, str] = {}
        self.locations: dict[str, str] = {}

    def translate(self, text: str) -> str:
        """Return a text in which each id and location of the client is the server's."""
        for location, known in self.locations.items():
            text = text.replace(f"{location}/", f"{known}/")
        return _ID.sub(lambda match: self.runs.get(match[0]) or self.models.get(match[0]) or match[0], text)
