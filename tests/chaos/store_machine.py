"""A machine of a team, as a process with a cache of its own: `python store_machine.py ADDRESS ACTION ARGUMENTS…`.

`register NAME FILE` registers the file as the dataset's next version, and prints that. `drive RUN SECRETS` drives a run
that was submitted. Leases last two seconds, so that one is soon outlived.
"""

import sys
from pathlib import Path

from trainstack.errors import TrainstackError
from trainstack.storage import lease

LEASE_SECONDS = 2.0


def register(address: str, name: str, file: str) -> None:
    from trainstack.core.datasets import dataset
    from trainstack.core.datasets.spec import DatasetSpec
    from trainstack.core.replication import shared

    workspace = shared.opened(Path(address))
    with shared.updating(workspace, shared.RECORDS, lambda _owner: None):
        record = dataset.register(workspace, DatasetSpec(name=name, paths=(file,), create_new_version=True))
    print(record.version, flush=True)


def drive(address: str, run: str, secrets: str) -> None:
    from trainstack.core.replication import run_driver

    run_driver.main(address, run, Path(secrets))


if __name__ == "__main__":
    lease.acquire.__kwdefaults__ = {**(lease.acquire.__kwdefaults__ or {}), "seconds": LEASE_SECONDS}
    address, action, *arguments = sys.argv[1:]
    try:
        {"register": register, "drive": drive}[action](address, *arguments)
    except TrainstackError as exc:
        sys.exit(f"{type(exc).__name__}: {exc}")
