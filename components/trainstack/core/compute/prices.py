"""What nodes cost: a price an hour by size, and what a stack's own configuration says instead.

The table holds Microsoft's list prices in US dollars an hour (Linux, pay as you go, East US), rounded to the cent.
Prices change and differ by region and contract: `trainstack:prices` in a stack's configuration goes before them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from trainstack.errors import InvalidInputError
from trainstack.targets import registry

PRICES_KEY = "trainstack:prices"
CURRENCY_KEY = "trainstack:currency"
LOW_PRIORITY_SHARE = 0.2
"""What a low-priority node costs of a dedicated one, where no own price says otherwise."""

LIST_PRICES = {
    "STANDARD_D1_V2": 0.07,
    "STANDARD_D2_V2": 0.15,
    "STANDARD_D3_V2": 0.29,
    "STANDARD_D4_V2": 0.59,
    "STANDARD_D2_V3": 0.10,
    "STANDARD_D4_V3": 0.19,
    "STANDARD_D8_V3": 0.38,
    "STANDARD_D2S_V3": 0.10,
    "STANDARD_D4S_V3": 0.19,
    "STANDARD_D8S_V3": 0.38,
    "STANDARD_DS2_V2": 0.15,
    "STANDARD_DS3_V2": 0.29,
    "STANDARD_DS11_V2": 0.19,
    "STANDARD_DS12_V2": 0.37,
    "STANDARD_E4S_V3": 0.25,
    "STANDARD_F2S_V2": 0.08,
    "STANDARD_F4S_V2": 0.17,
    "STANDARD_F16S_V2": 0.68,
    "STANDARD_NC6": 0.90,
    "STANDARD_NC12": 1.80,
    "STANDARD_NC24": 3.60,
    "STANDARD_NC6S_V2": 2.07,
    "STANDARD_NC6S_V3": 3.06,
    "STANDARD_NC12S_V3": 6.12,
    "STANDARD_NC24S_V3": 12.24,
    "STANDARD_NC4AS_T4_V3": 0.53,
    "STANDARD_NC8AS_T4_V3": 0.75,
    "STANDARD_NC16AS_T4_V3": 1.20,
    "STANDARD_NC64AS_T4_V3": 4.35,
    "STANDARD_NC24ADS_A100_V4": 3.67,
    "STANDARD_ND6S": 2.07,
    "STANDARD_ND40RS_V2": 22.03,
    "STANDARD_ND96ASR_V4": 27.20,
    "STANDARD_NV6": 1.14,
}


@dataclass(frozen=True)
class Prices:
    """Prices of one node an hour.

    Attributes:
        own: By size or target (`local`, `docker`), and `SIZE/low` for nodes of low priority; over the list prices.
        currency: What they are in.
    """

    own: Mapping[str, float] = field(default_factory=dict[str, float])
    currency: str = "USD"

    @classmethod
    def from_config(cls, config: Mapping[str, str]) -> Prices:
        """Take what a stack's configuration says.

        Args:
            config: The configuration, `trainstack:prices` as JSON: `{"STANDARD_NC6": 0.8, "STANDARD_NC6/low": 0.2,
                "local": 0.05}`.

        Raises:
            InvalidInputError: The prices are not a mapping from names to numbers.
        """
        text = config.get(PRICES_KEY)
        return cls.checked(json.loads(text) if text and _is_json(text) else text or {}, config.get(CURRENCY_KEY))

    @classmethod
    def checked(cls, own: object, currency: str | None = None) -> Prices:
        """Take own prices as they were written down.

        Raises:
            InvalidInputError: They are not a mapping from names to numbers of at least 0.
        """
        prices: dict[str, float] = {}
        if not isinstance(own, Mapping):
            raise InvalidInputError(f"{PRICES_KEY} must map sizes to prices an hour, not {own!r}", field="prices")
        for name, value in cast("Mapping[str, Any]", own).items():
            try:
                prices[name.upper()] = float(value)
            except (TypeError, ValueError):
                prices[name.upper()] = -1.0
            if prices[name.upper()] < 0 or isinstance(value, bool):
                raise InvalidInputError(f"{PRICES_KEY}: {name}: {value!r} is no price an hour", field="prices")
        return cls(prices, currency or "USD")

    def hourly(self, compute: Mapping[str, Any]) -> float | None:
        """What one node of a compute costs an hour; none where nobody has put a price on it.

        Args:
            compute: A compute's spec: `vm_size`, `target`, `priority`.
        """
        size = str(compute.get("vm_size") or compute.get("target") or registry.DEFAULT).upper()
        low = compute.get("priority") == "low"
        if low and f"{size}/LOW" in self.own:
            return self.own[f"{size}/LOW"]
        whole = self.own.get(size, LIST_PRICES.get(size))
        return None if whole is None else whole * (LOW_PRIORITY_SHARE if low else 1)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
