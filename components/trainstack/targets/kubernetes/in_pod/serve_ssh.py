"""First process of a worker of an MPIJob: serves ssh until the launcher calls, then becomes what it is given.

`serve_ssh.py FOLDER KEYS PORT SECONDS COMMAND…`. sshd runs as the pod's own user, lets in nobody but who has the
operator's key, and shows that same key, so that the launcher knows whom it has reached. A call makes the file `go` in
FOLDER; sshd goes on as a child of COMMAND.
"""

import os
import shutil
import signal
import subprocess
import sys
import time

_PAUSE = 0.05


def main() -> None:
    """Serve, wait, and become the command."""
    folder, keys, port, seconds, command = *sys.argv[1:4], float(sys.argv[4]), sys.argv[5:]
    sshd = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if sshd is None:
        sys.exit("trainstack: the image has no sshd: add openssh-server and openssh-client to the environment's image")
    settings = {
        "Port": port,
        "HostKey": f"{keys}/id_rsa",
        "AuthorizedKeysFile": f"{keys}/authorized_keys",
        "PubkeyAuthentication": "yes",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "UsePAM": "no",
        # The mounted keys belong to root and their folder to the pod's group.
        "StrictModes": "no",
        "AllowTcpForwarding": "no",
        "AllowAgentForwarding": "no",
        "X11Forwarding": "no",
        "PermitTTY": "no",
        "PermitUserRC": "no",
        "PidFile": "none",
        "ClientAliveInterval": "15",
        "ClientAliveCountMax": "8",
    }
    options = [f"-o{name}={value}" for name, value in settings.items()]
    signal.signal(signal.SIGTERM, lambda number, _frame: os._exit(128 + number))
    server = subprocess.Popen([sshd, "-D", "-e", "-f", os.devnull, *options], stdin=subprocess.DEVNULL)
    deadline = time.monotonic() + seconds
    while not os.path.exists(os.path.join(folder, "go")):  # noqa: PTH110, PTH118
        if server.poll() is not None:
            sys.exit(f"trainstack: sshd ended with exit code {server.returncode}")
        if time.monotonic() > deadline:
            sys.exit("trainstack: no launcher has called this worker")
        time.sleep(_PAUSE)
    os.execv(command[0], command)  # noqa: S606 (no shell is wanted)


if __name__ == "__main__":
    main()
