"""The agent's errors; the package that holds the rest of them is not installed where the agent runs.

Exception
├── LaunchError           a launch cannot start or go on; people read its text
└── ConnectionLostError   another node's agent does not answer any more
"""

from __future__ import annotations


class LaunchError(Exception):
    """Something that keeps a launch from starting or going on; its text is one line for people."""


class ConnectionLostError(Exception):
    """The other agent has closed the connection, or has sent no heartbeat for too long."""
