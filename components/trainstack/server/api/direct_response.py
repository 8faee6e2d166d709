"""What handlers take and give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..http.messages import Headers
from ..model.model_set import LoadedModel

Parameters = Mapping[str, str]
"""What stands for the placeholders of a route's path, still percent-encoded."""


@dataclass(slots=True)
class DirectResponse:
    """An answer that needs no inference.

    Attributes:
        model: The version that it is about: the answer names it, and is counted for it.
        body: The answer.
        headers: What it is; JSON when left out.
    """

    model: LoadedModel
    body: bytes
    headers: Headers | None = None
