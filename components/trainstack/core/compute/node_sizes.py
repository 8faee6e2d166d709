"""Virtual machine sizes by the names that Azure's users know: what each holds.

Figures are those of Microsoft's size pages (CPUs, memory in GiB, GPUs).
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from trainstack.errors import InvalidInputError


@dataclass(frozen=True)
class Size:
    """What one node holds: virtual CPUs, memory in GiB, GPUs."""

    cpus: int
    memory_gib: float
    gpus: int = 0


SIZES = {
    "STANDARD_D1_V2": Size(1, 3.5),
    "STANDARD_D2_V2": Size(2, 7),
    "STANDARD_D3_V2": Size(4, 14),
    "STANDARD_D4_V2": Size(8, 28),
    "STANDARD_D2_V3": Size(2, 8),
    "STANDARD_D4_V3": Size(4, 16),
    "STANDARD_D8_V3": Size(8, 32),
    "STANDARD_D2S_V3": Size(2, 8),
    "STANDARD_D4S_V3": Size(4, 16),
    "STANDARD_D8S_V3": Size(8, 32),
    "STANDARD_DS2_V2": Size(2, 7),
    "STANDARD_DS3_V2": Size(4, 14),
    "STANDARD_DS11_V2": Size(2, 14),
    "STANDARD_DS12_V2": Size(4, 28),
    "STANDARD_E4S_V3": Size(4, 32),
    "STANDARD_F2S_V2": Size(2, 4),
    "STANDARD_F4S_V2": Size(4, 8),
    "STANDARD_F16S_V2": Size(16, 32),
    "STANDARD_NC6": Size(6, 56, 1),
    "STANDARD_NC12": Size(12, 112, 2),
    "STANDARD_NC24": Size(24, 224, 4),
    "STANDARD_NC6S_V2": Size(6, 112, 1),
    "STANDARD_NC6S_V3": Size(6, 112, 1),
    "STANDARD_NC12S_V3": Size(12, 224, 2),
    "STANDARD_NC24S_V3": Size(24, 448, 4),
    "STANDARD_NC4AS_T4_V3": Size(4, 28, 1),
    "STANDARD_NC8AS_T4_V3": Size(8, 56, 1),
    "STANDARD_NC16AS_T4_V3": Size(16, 110, 1),
    "STANDARD_NC64AS_T4_V3": Size(64, 440, 4),
    "STANDARD_NC24ADS_A100_V4": Size(24, 220, 1),
    "STANDARD_ND6S": Size(6, 112, 1),
    "STANDARD_ND40RS_V2": Size(40, 672, 8),
    "STANDARD_ND96ASR_V4": Size(96, 900, 8),
    "STANDARD_NV6": Size(6, 56, 1),
}


def lookup(name: str) -> Size:
    """Find a size; upper and lower case are alike.

    Raises:
        InvalidInputError: The name is not in the table.
    """
    try:
        return SIZES[name.upper()]
    except KeyError as exc:
        close = difflib.get_close_matches(name.upper(), SIZES, n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else "leave it out to share this machine evenly"
        raise InvalidInputError(f"vm_size {name!r} is not known: {hint}", field="vm_size") from exc
