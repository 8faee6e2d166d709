"""From the wheel, without the checkout and offline: uvx, `trainstack init`, `pulumi new`, `pulumi install`, preview."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests import local_index
from tests.end_to_end.project import REPOSITORY, engine_folder

pytestmark = [pytest.mark.end_to_end, pytest.mark.long]

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("wheel")


@pytest.fixture(scope="module")
def wheel(place):
    done = subprocess.run(
        [BIN / "uv", "build", "--wheel", "--offline", "--no-build-isolation", "--python", sys.executable,
         "--out-dir", place / "dist", REPOSITORY],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return next((place / "dist").glob("*.whl"))


@pytest.fixture(scope="module")
def index(place):
    """The address of an index with all that the package needs, and nothing else."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    needs = [*project["dependencies"], *project["optional-dependencies"]["policy"], "pip"]
    (place / "wheels").mkdir()
    for distribution in local_index.closure(*needs).values():
        local_index.repack(distribution, place / "wheels")
    # Pulumi brings these two up to date in each environment that it makes.
    for name in ("setuptools", "wheel"):
        local_index.stub(name, place / "wheels")
    local_index.write_index(place, (place / "wheels").iterdir())
    server, address = local_index.serve(place)
    yield address
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def user(place, index):
    """The variables of somebody who has Python, uv and Pulumi, no Trainstack, and no network but the index."""
    (place / "bin").mkdir()
    for program in ("uv", "uvx"):
        (place / "bin" / program).symlink_to(BIN / program)
    for name in ("python3", "python"):
        (place / "bin" / name).symlink_to(Path(sys.base_prefix) / "bin" / "python3")
    kept = ("SSL_CERT_FILE", "LD_LIBRARY_PATH", "TRAINSTACK_CACHE")
    return {name: os.environ[name] for name in kept if name in os.environ} | {
        "HOME": str(place / "home"),
        "PATH": f"{place / 'bin'}:{engine_folder()}:/usr/bin:/bin",
        "UV_CACHE_DIR": str(place / "uv"),
        "UV_DEFAULT_INDEX": index,
        "UV_PYTHON": str(Path(sys.base_prefix) / "bin" / "python3"),
        "UV_PYTHON_DOWNLOADS": "never",
        "PIP_INDEX_URL": index,
        "PIP_NO_CACHE_DIR": "1",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "NO_COLOR": "1",
    }


def run(command, folder, variables):
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


def with_environment(project, variables):
    """The variables with the environment first on PATH that `pulumi install` made.

    The language host that is built from Go modules installs into the project's folder, and runs from `venv`.
    """
    if not (project / "venv").exists():
        (project / "venv").symlink_to(project)
    return variables | {"PATH": f"{project / 'venv' / 'bin'}:{variables['PATH']}"}


def test_uvx_makes_a_project_whose_printed_next_step_works(place, wheel, user):
    (place / "home").mkdir(exist_ok=True)
    said = run(f"uvx --quiet --from {wheel} trainstack init shop", place, user)
    files, _, step = said.strip().splitlines()[-1].partition("; now: ")
    assert files.endswith("files in shop, and stack dev")
    assert step == "cd shop && pulumi install && export PULUMI_CONFIG_PASSPHRASE= && pulumi up"
    assert (place / "shop" / "requirements.txt").read_text() == f"trainstack[policy] @ {wheel.as_uri()}\n"
    install, _, rest = step.partition(" && export")
    run(install, place, user)
    # As the step goes on, short of training.
    preview = run(
        f"cd shop && export{rest.replace('pulumi up', 'pulumi preview')}",
        place, with_environment(place / "shop", user),
    )  # fmt: skip
    assert "15 to create" in preview
    # No provider of clusters is installed, so Pulumi fetches none.
    assert not (place / "home" / ".pulumi" / "plugins").exists()


def test_pulumi_new_installs_what_its_template_names(place, wheel, user):
    run(f"uvx --quiet --from {wheel} trainstack init --template template", place, user)
    (place / "state").mkdir()
    backend = user | {"PULUMI_BACKEND_URL": f"file://{place / 'state'}", "PULUMI_CONFIG_PASSPHRASE": ""}
    run(f"pulumi new {place / 'template'} --yes --non-interactive --name fresh --stack dev --dir fresh", place, backend)
    assert "15 to create" in run(
        "pulumi preview --non-interactive", place / "fresh", with_environment(place / "fresh", backend)
    )
