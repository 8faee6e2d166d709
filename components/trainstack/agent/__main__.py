"""`python -m trainstack.agent --plan launch.json --node 0`."""

from __future__ import annotations

# Not argparse: it takes a tenth of what an agent takes to start.
import getopt
import sys

from .agent import NOT_LAUNCHED, Agent
from .elastic_agent import ElasticAgent
from .errors import LaunchError
from .plan import Horovod, read_plan


def main() -> int:
    """Run the agent that the command line names and return its exit code.

    0: all ranks succeeded; 1: a rank failed; 2: nothing could start; 143: the agent was asked to stop.
    """
    try:
        options = dict(getopt.getopt(sys.argv[1:], "", ["plan=", "node="])[0])
        file, node = options["--plan"], int(options["--node"])
    except (getopt.GetoptError, KeyError, ValueError):
        return _print_error("usage: python -m trainstack.agent --plan launch.json --node 0")
    try:
        plan = read_plan(file)
    except LaunchError as exc:
        return _print_error(str(exc))
    if not 0 <= node < len(plan.nodes):
        return _print_error(f"there is no node {node}: the plan has {len(plan.nodes)}")
    if isinstance(plan.distribution, Horovod) and plan.distribution.elastic:
        return ElasticAgent(plan, node, plan.distribution).run()
    return Agent(plan, node).run()


def _print_error(text: str) -> int:
    print(f"trainstack: {text}", file=sys.stderr)
    return NOT_LAUNCHED


if __name__ == "__main__":
    sys.exit(main())
