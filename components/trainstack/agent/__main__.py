"""`python -m trainstack.agent --plan launch.json --node 0`."""

from __future__ import annotations

# Not argparse: it takes a tenth of what an agent takes to start.
import getopt
import sys

from .agent import NOT_LAUNCHED, Agent
from .document import LaunchError
from .plan import Horovod, read_plan


def main() -> int:
    """Run the agent that the command line names and return its exit code.

    0: all ranks ended well; 1: a rank failed; 2: nothing could be started; 143: asked to stop.
    """
    try:
        given = dict(getopt.getopt(sys.argv[1:], "", ["plan=", "node="])[0])
        file, node = given["--plan"], int(given["--node"])
    except (getopt.GetoptError, KeyError, ValueError):
        return _refused("usage: python -m trainstack.agent --plan launch.json --node 0")
    try:
        plan = read_plan(file)
    except LaunchError as exc:
        return _refused(str(exc))
    if not 0 <= node < len(plan.nodes):
        return _refused(f"there is no node {node}: the plan has {len(plan.nodes)}")
    if isinstance(plan.distribution, Horovod) and plan.distribution.elastic:
        from .strategies.elastic import ElasticAgent

        return ElasticAgent(plan, node, plan.distribution).run()
    return Agent(plan, node).run()


def _refused(text: str) -> int:
    print(f"trainstack: {text}", file=sys.stderr)
    return NOT_LAUNCHED


if __name__ == "__main__":
    sys.exit(main())
