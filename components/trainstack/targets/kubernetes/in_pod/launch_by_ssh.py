"""The launcher of an MPIJob: calls every worker by ssh and waits until all have ended.

`launch_by_ssh.py HOSTFILE KEYS PORT SECONDS PYTHON -c SCRIPT FOLDER ENDED`. HOSTFILE is the operator's: a worker a
line. In ENDED `{}` stands for the worker's number. Whoever cannot be reached is called again for SECONDS.
"""

import shlex
import shutil
import subprocess
import sys
import threading
import time

_KNOWN = "/tmp/known_hosts"  # noqa: S108 (the pod's own)
_UNREACHED = 255
_PAUSE = 1.0


def main() -> int:
    """Call them all; gives the worst exit code."""
    hostfile, keys, port, seconds, *command = sys.argv[1:]
    if shutil.which("ssh") is None:
        sys.exit("trainstack: the image has no ssh: add openssh-client to the environment's image")
    with open(hostfile) as file:  # noqa: PTH123
        hosts = [line.split()[0] for line in file if line.strip()]
    with open(f"{keys}/id_rsa.pub") as public, open(_KNOWN, "w") as known:  # noqa: PTH123
        known.write(f"workers {public.read().strip()}\n")
    codes = [_UNREACHED] * len(hosts)
    ssh = ["ssh", "-F", "none", "-T", "-p", port, "-i", f"{keys}/id_rsa", "-l", "trainstack"]
    for option in (
        *("BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=yes", f"UserKnownHostsFile={_KNOWN}"),
        *("HostKeyAlias=workers", "ConnectTimeout=10", "ServerAliveInterval=15", "ServerAliveCountMax=8"),
        "LogLevel=ERROR",
    ):
        ssh += ["-o", option]

    def call(index: int, host: str) -> None:
        words = [*command[:-1], command[-1].format(index)]
        deadline = time.monotonic() + float(seconds)
        while time.monotonic() < deadline:
            done = subprocess.run([*ssh, host, shlex.join(words)], stdin=subprocess.DEVNULL, check=False)
            codes[index] = done.returncode
            if done.returncode != _UNREACHED:
                break
            time.sleep(_PAUSE)
        print(f"worker {index} ended with exit code {codes[index]}", flush=True)

    threads = [threading.Thread(target=call, args=each) for each in enumerate(hosts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
