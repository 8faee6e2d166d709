"""Requests that a service keeps: which, where, and what happens when they cannot be kept."""

import json
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from tests.server.served import free_port
from tests.waiting import until

from trainstack.core.models import model
from trainstack.core.services import service
from trainstack.core.services.service import ServiceRecord, ServiceSpec
from trainstack.core.workspace.workspace import Workspace

pytestmark = pytest.mark.tensorflow

Keep = Callable[[float], ServiceRecord]


@pytest.fixture(scope="module")
def keep(dense: Path, serving_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keep]:
    """Makes one service keep another share of its requests."""
    workspace = Workspace.create(tmp_path_factory.mktemp("capture") / "workspace", "test")
    zoo = model.register(workspace, model.ModelSpec(name="zoo", framework_version="2.15.1"), dense)
    port = free_port()

    def started(share: float) -> ServiceRecord:
        spec = ServiceSpec(name="digits", port=port, capture=share, workers=1)
        return service.start(workspace, spec, zoo, serving_python)

    yield started
    service.stop(workspace, "digits")


def predict(record: ServiceRecord, number: float = 1) -> httpx.Response:
    return httpx.post(record.scoring_uri, json={"instances": [[number, 2, 3, 4]]}, trust_env=False)


def captured(record: ServiceRecord) -> Path:
    return Path(record.folder) / "captured"


def counted(record: ServiceRecord, outcome: str) -> int:
    text = httpx.get(record.scoring_uri.split("/v1/")[0] + "/metrics", trust_env=False).text
    wanted = f'trainstack_captured_total{{outcome="{outcome}",version="1"}} '
    return sum(int(float(line.removeprefix(wanted))) for line in text.splitlines() if line.startswith(wanted))


def lines(record: ServiceRecord) -> list[dict[str, object]]:
    return [json.loads(line) for file in sorted(captured(record).glob("*.jsonl")) for line in file.open()]


def test_nothing_is_kept_unless_asked_for(keep: Keep):
    record = keep(0)
    assert predict(record).status_code == 200
    time.sleep(0.5)
    assert not captured(record).exists()
    assert counted(record, "kept") == 0


def test_captured_requests_are_readable_by_their_owner_alone(keep: Keep):
    record = keep(1)
    answers = [predict(record, number).json()["predictions"] for number in range(5)]
    until(lambda: counted(record, "kept") == 5)
    kept = lines(record)
    assert [one["outputs"] for one in kept] == [{"scores": answer} for answer in answers]
    assert [one["inputs"] for one in kept] == [{"x": [[float(number), 2.0, 3.0, 4.0]]} for number in range(5)]
    assert {(one["version"], one["digest"]) for one in kept} == {(1, record.model_digest)}
    assert all(str(one["time"]).startswith("20") for one in kept)
    (file,) = captured(record).iterdir()
    assert (stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(captured(record).stat().st_mode)) == (0o600, 0o700)
    # A line's inputs can be posted as they are.
    again = httpx.post(record.scoring_uri, json={"inputs": kept[3]["inputs"]}, trust_env=False)
    assert again.json() == {"outputs": answers[3]}


def test_about_the_share_that_was_asked_for_is_kept(keep: Keep):
    record = keep(0.2)
    before = counted(record, "kept")
    with httpx.Client(trust_env=False) as client:
        for _ in range(500):
            client.post(record.scoring_uri, json={"instances": [[1, 2, 3, 4]]})
    time.sleep(0.5)
    # Five standard deviations about 100.
    assert 55 < counted(record, "kept") + counted(record, "left out") - before < 145


def test_predictions_do_not_fail_where_nothing_can_be_written(keep: Keep):
    record = keep(1)
    aside = captured(record).rename(Path(record.folder) / "aside")
    captured(record).write_text("a file where the folder should be")
    before = counted(record, "failed")
    assert [predict(record).status_code for _ in range(20)] == [200] * 20
    until(lambda: counted(record, "failed") == before + 20)
    assert record.log.read_text().count("requests are not kept") == 1
    # Once it can be, the next are kept again.
    captured(record).unlink()
    aside.rename(captured(record))
    kept = counted(record, "kept")
    assert predict(record).status_code == 200
    until(lambda: counted(record, "kept") == kept + 1)


def test_a_full_disk_fails_no_prediction_and_cuts_no_line(keep: Keep, small_disk: Path):
    record = keep(1)
    aside = captured(record).rename(Path(record.folder) / "aside")
    captured(record).symlink_to(small_disk)
    before = counted(record, "failed")
    for _ in range(8):
        body = {"instances": [[1.5, 2, 3, 4]] * 5000}
        assert httpx.post(record.scoring_uri, json=body, trust_env=False).status_code == 200
    until(lambda: counted(record, "failed") > before + 1)
    kept = lines(record)
    assert kept
    assert all(len(one["inputs"]["x"]) == 5000 for one in kept)  # pyright: ignore[reportArgumentType, reportIndexIssue]
    captured(record).unlink()
    aside.rename(captured(record))


def test_what_waits_when_the_service_stops_is_kept(keep: Keep, serving_python: Path):
    record = keep(1)
    before = len(lines(record))
    with httpx.Client(trust_env=False) as client:
        for _ in range(200):
            client.post(record.scoring_uri, json={"instances": [[1, 2, 3, 4]]})
    service.stop(Workspace.open(Path(record.folder).parents[1]), "digits")
    assert len(lines(record)) == before + 200
