"""How the output of a node is sent to where the run is kept."""
