"""Clients that ask without a break while something is done to the service, and note everything that goes wrong."""

import http.client
import itertools
import json
import random
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Load:
    """Requests, on connections that are kept and on new ones; none is ever sent a second time.

    Attributes:
        kept: Clients that keep their connection as long as the server does.
        fresh: Clients that make a connection for each request.
        pause: The longest that a client thinks between an answer and its next request, in seconds.
        slow: Clients whose bodies take a second to arrive: requests in flight that cost nobody anything.
        answers: When each answer came, and the digest of the model that gave it.
        failures: What went wrong with which kind of client.
    """

    address: str
    body: dict
    kept: int = 3
    fresh: int = 2
    slow: int = 0
    pause: float = 0.1
    answers: list[tuple[float, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def __post_init__(self):
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=[kind], daemon=True)
            for kind, count in (("kept", self.kept), ("fresh", self.fresh), ("slow", self.slow))
            for _ in range(count)
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def digests(self, since: float = 0.0) -> set[str]:
        """The models that answered, from a moment of `time.monotonic` on."""
        return {digest for at, digest in list(self.answers) if at >= since}

    def more(self, count: int) -> None:
        """Wait until so many more requests are answered that were all sent from here on."""
        begun = len(self.answers) + len(self._threads)
        deadline = time.monotonic() + 60
        while len(self.answers) < begun + count:
            assert not self.failures, self.failures
            assert time.monotonic() < deadline, "nobody answers"
            time.sleep(0.05)

    def _ask(self, kind):
        place = urlsplit(self.address)
        assert place.hostname
        payload = json.dumps(self.body).encode()
        connection = http.client.HTTPConnection(place.hostname, place.port, timeout=30)
        for number in itertools.count():
            if self._over.is_set():
                break
            # Now and then a kept connection has nothing to do for a while.
            time.sleep(1.5 if kind == "kept" and number % 40 == 39 else random.uniform(0, self.pause))
            begun = time.monotonic()
            try:
                connection.putrequest("POST", place.path)
                connection.putheader("Content-Length", str(len(payload)))
                connection.endheaders(payload[:5])
                if kind == "slow":
                    time.sleep(1)
                connection.send(payload[5:])
                answer = connection.getresponse()
                said = answer.read()
                if answer.status == 200:
                    self.answers.append((begun, str(answer.headers["x-model-digest"])))
                else:
                    self.failures.append(f"{kind}, request {number}: {answer.status} {said[:200]!r}")
            except (OSError, http.client.HTTPException) as exc:
                self.failures.append(f"{kind}, request {number}, after {time.monotonic() - begun:.2f} s: {exc!r}")
                connection.close()
            if kind == "fresh":
                connection.close()
        connection.close()
