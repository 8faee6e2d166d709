"""What the kernel's own counters tell of memory that ran out."""

from pathlib import Path

from trainstack.targets.local.memory import oom_kills


def test_counts_of_the_machine_and_the_control_group_are_added(tmp_path: Path):
    proc, cgroups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (cgroups / "a" / "b").mkdir(parents=True)
    assert oom_kills(cgroups, proc) is None
    (proc / "vmstat").write_text("pgfault 7\noom_kill 2\n")
    (proc / "self" / "cgroup").write_text("0::/a/b\n")
    (cgroups / "a" / "b" / "memory.events").write_text("low 0\noom 1\noom_kill 1\n")
    assert oom_kills(cgroups, proc) == 3
