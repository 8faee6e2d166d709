"""What nodes cost: a price an hour by size, and what a stack's own configuration says instead.

The table of sizes has the vendors' list prices in US dollars an hour, on demand and spot, in one region of each cloud.
Prices change and differ by region and contract: `trainstack:prices` in a stack's configuration goes before them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from trainstack.core.compute import node_sizes
from trainstack.errors import InvalidInputError
from trainstack.targets import registry

PRICES_KEY = "trainstack:prices"
CURRENCY_KEY = "trainstack:currency"
LOW_PRIORITY_SHARE = 0.2
"""What a low-priority node costs of a dedicated one, where neither an own price nor the table says."""


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

        Own prices go first, then what the node's size says, then what the cheapest machine costs that holds as much.

        Args:
            compute: A compute's spec: `vm_size`, `node_size`, `target`, `priority`, and own `prices` of its stack.

        Raises:
            InvalidInputError: `vm_size` is not known.
        """
        name = str(compute.get("vm_size") or compute.get("target") or registry.DEFAULT).upper()
        low = compute.get("priority") == "low"
        own = {**Prices.checked(compute.get("prices") or {}).own, **self.own}
        if low and f"{name}/LOW" in own:
            return own[f"{name}/LOW"]
        if name in own:
            return own[name] * (LOW_PRIORITY_SHARE if low else 1)
        size = node_sizes.of_compute(compute)
        if size is not None and size.price is None and not size.name:
            size = node_sizes.cheapest(size)
        if size is None or size.price is None:
            return None
        if not low:
            return size.price
        return size.price * LOW_PRIORITY_SHARE if size.spot_price is None else size.spot_price


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
