"""What an agent measures of its machine, under MLflow's names."""

from __future__ import annotations

import shutil
import time

import pytest

from trainstack.agent.reporting import system_metrics
from trainstack.agent.reporting.system_metrics import SystemMetrics
from trainstack.mlflow import metric_files

NAMES = {
    "cpu_utilization_percentage",
    "system_memory_usage_megabytes",
    "system_memory_usage_percentage",
    "disk_usage_percentage",
    "disk_usage_megabytes",
    "disk_available_megabytes",
    "network_receive_megabytes",
    "network_transmit_megabytes",
}


def measured(folder):
    [node] = metric_files.system_metrics(folder)
    return {name.removeprefix("system/"): point for name, point in metric_files.NewPoints(node.folder).points()}


def test_a_run_has_what_its_machine_did(launch):
    launch.write(
        "import time; end = time.time() + 1\nwhile time.time() < end: pass\n",
        tracking=str(launch.folder / "tracking"),
        system_seconds=0.2,
    )
    assert launch.run() == [0]
    found = measured(launch.folder / "tracking")
    assert set(found) >= NAMES
    assert 0 < found["cpu_utilization_percentage"].value <= 100
    total = shutil.disk_usage(launch.folder).total / 1e6
    assert 0 < found["disk_usage_megabytes"].value < total
    assert 0 < found["system_memory_usage_percentage"].value < 100
    assert found["cpu_utilization_percentage"].step >= 3
    assert metric_files.read(launch.folder / "tracking") == {}, "they are no metrics of the script"


def test_a_short_run_has_one_look_at_its_end(launch):
    launch.write("pass", tracking=str(launch.folder / "tracking"), system_seconds=60.0)
    began = time.monotonic()
    assert launch.run() == [0]
    assert time.monotonic() - began < 20
    assert {point.step for point in measured(launch.folder / "tracking").values()} == {0}


def test_none_are_taken_with_zero_seconds(launch):
    launch.write("pass", tracking=str(launch.folder / "tracking"))
    assert launch.run() == [0]
    assert metric_files.system_metrics(launch.folder / "tracking") == []


def test_gpus_are_those_that_the_driver_tells_of(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho '37, 1000, 4000, 61.5'\necho '0, 0, 4000, [N/A]'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert system_metrics.gpus() == {
        "gpu_0_utilization_percentage": 37,
        "gpu_0_memory_usage_megabytes": pytest.approx(1048.576),
        "gpu_0_memory_usage_percentage": 25,
        "gpu_0_power_usage_watts": 61.5,
        "gpu_1_utilization_percentage": 0,
        "gpu_1_memory_usage_megabytes": 0,
        "gpu_1_memory_usage_percentage": 0,
    }


def test_a_disk_that_is_full_does_not_end_the_training(tmp_path):
    blocked = tmp_path / "node-0"
    blocked.write_text("a file where a folder is to be")
    sampler = SystemMetrics(blocked, 0.05)
    time.sleep(0.2)
    sampler.close()
    assert blocked.read_text().startswith("a file")
