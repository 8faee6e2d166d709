"""Providers are loaded by the first verb, and the next ones before their verbs come."""

import subprocess
import sys

LOAD = """
import sys, time
from trainstack.provider import lazy_providers
assert "pydantic" not in sys.modules
lazy_providers._load("workspace:WorkspaceProvider")
deadline = time.monotonic() + 60
while not all(f"trainstack.provider.{name}" in sys.modules for name in lazy_providers._COMMON):
    assert time.monotonic() < deadline
    time.sleep(0.02)
"""


def test_common_providers_are_preloaded_after_the_first_verb():
    subprocess.run([sys.executable, "-c", LOAD], check=True)
