"""`python -m trainstack.launch --plan launch.json --node 0`."""

from __future__ import annotations

import argparse
import sys

from .agent import NOT_LAUNCHED, Agent
from .document import LaunchError
from .plan import Horovod, read_plan


def main() -> int:
    """Run the agent that the command line names and return its exit code.

    0: all ranks ended well; 1: a rank failed; 2: nothing could be started; 143: asked to stop.
    """
    parser = argparse.ArgumentParser(prog="python -m trainstack.launch", description=__doc__)
    parser.add_argument("--plan", required=True, help="the launch.json that the supervisor wrote")
    parser.add_argument("--node", required=True, type=int, help="the number of this node, from 0")
    arguments = parser.parse_args()
    try:
        plan = read_plan(arguments.plan)
    except LaunchError as exc:
        return _refused(str(exc))
    if not 0 <= arguments.node < len(plan.nodes):
        return _refused(f"there is no node {arguments.node}: the plan has {len(plan.nodes)}")
    if isinstance(plan.distribution, Horovod) and plan.distribution.elastic:
        from .elastic import ElasticAgent

        return ElasticAgent(plan, arguments.node, plan.distribution).run()
    return Agent(plan, arguments.node).run()


def _refused(text: str) -> int:
    print(f"trainstack: {text}", file=sys.stderr)
    return NOT_LAUNCHED


if __name__ == "__main__":
    sys.exit(main())
