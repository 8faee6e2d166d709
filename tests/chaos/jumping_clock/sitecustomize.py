"""On PYTHONPATH, gives a Python process a wall clock that jumps, again and again, by up to a day ahead or back."""

import random
import time

_real = time.time
_state = {"next": 0.0, "offset": 0.0}


def _jumping() -> float:
    if time.monotonic() > _state["next"]:
        _state["next"] = time.monotonic() + random.uniform(0.05, 0.5)
        _state["offset"] = random.uniform(-86_400, 86_400)
    return _real() + _state["offset"]


time.time = _jumping
