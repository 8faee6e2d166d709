"""Which share of the data is a rank's."""

import pytest
from tests.agent.plans import plan

from trainstack.agent.distribution import Horovod, Single, TensorFlow
from trainstack.agent.ranks.rank_environment import rank_environment
from trainstack.agent.ranks.tasks import all_tasks


def shards(distribution, nodes):
    planned = plan(distribution, nodes)
    variables = [rank_environment(planned, task, {}) for task in all_tasks(planned)]
    return [(each.get("TRAINSTACK_SHARD_INDEX"), each.get("TRAINSTACK_SHARD_COUNT")) for each in variables]


@pytest.mark.parametrize(
    ("distribution", "nodes", "expected"),
    [
        (Single(), 1, [("0", "1")]),
        (Horovod(processes_per_node=2), 2, [("0", "4"), ("1", "4"), ("2", "4"), ("3", "4")]),
        (TensorFlow(workers=2), 2, [("0", "2"), ("1", "2")]),
        # The chief alone runs the script; servers read nothing.
        (TensorFlow(workers=2, parameter_servers=1), 3, [("0", "1"), (None, None), (None, None), (None, None)]),
        # Who takes part changes while the processes live.
        (Horovod(processes_per_node=2, min_workers=1, max_workers=2), 1, [(None, None), (None, None)]),
    ],
)
def test_the_ranks_that_run_the_script_divide_the_data(distribution, nodes, expected):
    assert shards(distribution, nodes) == expected
