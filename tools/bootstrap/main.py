"""The steps in their order; `make setup` and every other make target start here."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from .engine import Engine, EngineChoice
from .environment import LOCK, Environment, locked_version
from .files import locked
from .report import SetupError, step
from .stack import Stack
from .wrapper import Wrapper

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Read the command line and do the steps.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(prog="setup.py", description="Make this checkout ready to use.")
    commands = parser.add_subparsers(dest="command")
    ready = commands.add_parser("ready", help="environment, engine, backend and stack (the default)")
    ready.add_argument("--stack", default="local", help="the stack to make (default: local)")
    lock = commands.add_parser("lock", help="write the locks anew from pyproject.toml")
    lock.add_argument("--upgrade", action="store_true", help="take the newest versions")
    arguments = parser.parse_args(sys.argv[1:] or ["ready"])
    try:
        with locked(ROOT / ".tools/setup.lock"):
            if arguments.command == "lock":
                write_locks(upgrade=arguments.upgrade)
            else:
                make_ready(arguments.stack)
    except SetupError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def make_ready(stack_name: str) -> None:
    """Do each step that is not done yet.

    Args:
        stack_name: The stack to make.
    """
    start = time.monotonic()
    fresh = [make_environment(Environment(ROOT))]
    engine, new = choose_engine()
    fresh += [new, make_wrapper(engine), make_stack(Stack(ROOT, stack_name))]
    if not any(fresh):
        took = time.monotonic() - start
        print(f"set-up:      done already: .venv, {engine.describe()}, stack {stack_name}, {took:.2f} s", flush=True)


def make_environment(environment: Environment) -> bool:
    """Make `.venv`; returns whether there was anything to do, as the steps below."""
    if environment.is_done():
        return False
    with step("environment", f".venv with the packages of {LOCK}"):
        environment.make()
    return True


def choose_engine() -> tuple[Engine, bool]:
    """Find or make the engine."""
    choice = EngineChoice(ROOT, locked_version((ROOT / LOCK).read_text(), "pulumi"))
    if engine := choice.current():
        return engine, False
    with step("engine", "the Pulumi CLI (on PATH, else its installer, else a build: minutes, once a machine)") as notes:
        engine = choice.choose()
        notes.append(engine.describe())
    return engine, True


def make_wrapper(engine: Engine) -> bool:
    """Put `pulumi` into `.venv/bin`."""
    wrapper, folder, downloads = Wrapper(ROOT), Path(engine.folder), engine.origin != "go"
    if wrapper.is_done(folder, downloads=downloads):
        return False
    with step("command", ".venv/bin/pulumi, which starts it with this environment"):
        wrapper.make(folder, downloads=downloads)
    return True


def make_stack(stack: Stack) -> bool:
    """Make the state folder and the stack."""
    if stack.is_done():
        return False
    where = "the backend of PULUMI_BACKEND_URL" if os.environ.get("PULUMI_BACKEND_URL") else ".pulumi-state"
    with step("stack", f"{stack.name} in {where}"):
        stack.make()
    return True


def write_locks(*, upgrade: bool) -> None:
    """Write the locks anew; needs an environment for its uv, whatever that was made from."""
    environment = Environment(ROOT)
    if not (environment.bin / "uv").exists():
        make_environment(environment)
    with step("locks", "pyproject.toml to requirements.lock and requirements-dev.lock"):
        environment.write_locks(upgrade=upgrade)
