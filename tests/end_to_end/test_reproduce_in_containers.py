"""The same commit in two fresh containers: other folder, user, home, locale, time zone and umask, and no network."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import uv
from tests.core.docker_runs import engine, needs_engine
from tests.end_to_end.project import REPOSITORY
from tests.end_to_end.test_reproduce import here, trainstack

pytestmark = [pytest.mark.end_to_end, pytest.mark.long, needs_engine]
__all__ = ["here"]

COMMANDS = """
set -e
umask {umask}
mkdir .pulumi-state
pulumi stack init test --non-interactive >&2
pulumi preview --json --show-sames --non-interactive >preview.json
trainstack lock --check --preview preview.json >&2
cp stacks/test.lock.json committed.json
trainstack lock --preview preview.json >&2
cmp stacks/test.lock.json committed.json
pulumi up --yes --skip-preview --non-interactive >&2
pulumi stack output seen --json
echo "user $(id -un)" >&2
"""


@dataclass(frozen=True)
class Elsewhere:
    """What a container has of its own."""

    root: str
    user: str
    uid: int
    home: str
    locale: str
    zone: str
    umask: str


ADA = Elsewhere("/home/ada/Projekte/Übung 7", "ada", 4101, "/home/ada", "tr_TR.UTF-8", "Pacific/Auckland", "077")
ROOT = Elsewhere("/srv/builds/42", "root", 0, "/root", "C", "America/St_Johns", "002")


@pytest.fixture(scope="module")
def tools(tmp_path_factory):
    """Folders to see from a container, by where: Pulumi's engine and our packages, as this checkout has them."""
    wrapper = shutil.which("pulumi", path=str(Path(uv.find_uv_bin()).parent)) or ""
    found = re.search(r"^exec (\S+)/pulumi\b", Path(wrapper).read_text(errors="replace"), re.MULTILINE)
    locales = tmp_path_factory.mktemp("locales")
    if shutil.which("localedef"):
        subprocess.run(["localedef", "-i", "tr_TR", "-f", "UTF-8", locales / ADA.locale], check=False)
    index = tmp_path_factory.mktemp("index")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", index / "six", "six"]
    subprocess.run(command, check=True)
    [wheel] = (index / "six").iterdir()
    (index / "six" / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')
    # Another user reads them.
    for folder in (locales, index, index / "six"):
        folder.chmod(0o755)
    return {
        str(index): "/opt/index",
        str(Path(uv.__file__).parents[1]): "/opt/packages",
        str(Path(uv.find_uv_bin()).parent / "uv"): "/usr/local/bin/uv",
        found[1] if found else str(Path(wrapper).resolve().parent): "/opt/engine",
        str(locales): "/opt/locales",
    }


def archive(project: Path, place: Elsewhere) -> bytes:
    """The checkout as its user has it: our own source, the project, and the user's name for the system."""
    packed = io.BytesIO()

    def owned(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if {"__pycache__", ".pulumi-state", ".trainstack"} & set(Path(member.name).parts):
            return None
        member.uid = member.gid = place.uid
        member.mode &= ~int(place.umask, 8)
        return member

    with tarfile.open(fileobj=packed, mode="w") as tar:
        root = place.root.strip("/")
        for folder in (place.home.strip("/"), *(str(one) for one in reversed(Path(root).parents) if str(one) != ".")):
            if folder not in ("home", "srv"):
                made = tarfile.TarInfo(folder)
                made.type, made.mode, made.uid, made.gid = tarfile.DIRTYPE, 0o755, place.uid, place.uid
                tar.addfile(made)
        tar.add(project, root, filter=owned)
        tar.add(REPOSITORY / "components", f"{root}/.components", filter=owned)
        program = b'#!/bin/sh\nexec python3 -m trainstack.cli "$@"\n'
        member = tarfile.TarInfo("usr/local/bin/trainstack")
        member.size, member.mode = len(program), 0o755
        tar.addfile(member, io.BytesIO(program))
    return packed.getvalue()


def seen_in(project: Path, place: Elsewhere, tools: dict[str, str]) -> list[str]:
    """What the fingerprints come to in a fresh container."""
    variables = {
        "PATH": "/opt/engine:/usr/local/bin:/usr/bin:/bin:/usr/sbin",
        "PYTHONPATH": f"{place.root}/.components:/opt/packages",
        "HOME": place.home,
        "USER": place.user,
        "LC_ALL": place.locale,
        "LOCPATH": "/opt/locales",
        "TZ": place.zone,
        "UV_DEFAULT_INDEX": "file:///opt/index",
        "TRAINSTACK_TRACKING": "off",
        "PULUMI_CONFIG_PASSPHRASE": "",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    }
    enter = (
        f"getent passwd {place.user} >/dev/null || useradd --uid {place.uid} --no-create-home {place.user}; "
        f'exec setpriv --reuid {place.uid} --regid {place.uid} --clear-groups sh -c "$1"'
    )
    container = engine().containers.create(
        os.environ["TRAINSTACK_BASE_IMAGE"],
        ["sh", "-c", enter, "-", COMMANDS.format(umask=place.umask)],
        environment=variables,
        working_dir=place.root,
        network_mode="none",
        hostname=f"{place.user}s-machine",
        volumes={folder: {"bind": inside, "mode": "ro"} for folder, inside in tools.items()},
        labels={"trainstack.test": "reproduce"},
    )  # fmt: skip
    try:
        container.put_archive("/", archive(project, place))
        container.start()
        code = container.wait(timeout=120)["StatusCode"]
        said = container.logs(stdout=False, stderr=True).decode(errors="replace")
        assert code == 0, said
        assert f"user {place.user}" in said
        return json.loads(container.logs(stdout=True, stderr=False))
    finally:
        container.remove(force=True)


@pytest.mark.skipif(
    not os.environ.get("DOCKER_HOST", "").startswith("unix:"),
    reason="DOCKER_HOST is another machine's engine, which does not see the packages of this one",
)
def test_two_fresh_containers_give_the_same_fingerprints(here, tools):
    assert trainstack(here, "lock").returncode == 0
    ada, root = (seen_in(here.root, place, tools) for place in (ADA, ROOT))
    assert [len(one) for one in ada] == [64, 64, 64]
    assert ada == root
    # This machine is a third.
    here.up()
    assert here.outputs()["seen"] == ada
