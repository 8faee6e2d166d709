"""How the agents of a run agree: one coordinator on node 0, a member on every other node."""
