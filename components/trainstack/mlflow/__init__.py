"""What a script logs through MLflow, and where it ends up. Imports MLflow nowhere: the script's own client writes."""
