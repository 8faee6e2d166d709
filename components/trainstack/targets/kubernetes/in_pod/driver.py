"""First process of a driver's pod: `driver.py ADDRESS PACKAGE RUN`.

Fetches Trainstack as the submitting machine has it, from the workspace's store, checks it against the digest that its
name ends with, and goes on as what it has fetched.
"""

import hashlib
import io
import os
import sys
import tempfile
import zipfile
from typing import Any


def fetch(address: str, key: str) -> bytes:
    """Return an object of the store."""
    from obstore.store import from_url

    options: dict[str, Any] = {}
    server = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if address.startswith("s3://") and server:
        options = {"endpoint": server, "client_options": {"allow_http": server.startswith("http://")}}
    store: Any = from_url(address.rstrip("/"), **options)
    return bytes(store.get(key).bytes())


def main() -> None:
    """Fetch and go on."""
    address, key, run = sys.argv[1:]
    archive = fetch(address, key)
    digest = key.rpartition("/")[2].partition(".")[0]
    if hashlib.sha256(archive).hexdigest() != digest:
        sys.exit(f"trainstack: {address}/{key} is not what its name says: delete it, and run `pulumi up` again")
    folder = tempfile.mkdtemp()
    zipfile.ZipFile(io.BytesIO(archive)).extractall(folder)
    environment = {**os.environ, "PYTHONPATH": folder}
    program = "trainstack.core.replication.run_driver"
    os.execve(sys.executable, [sys.executable, "-m", program, address, run], environment)  # noqa: S606


if __name__ == "__main__":
    main()
