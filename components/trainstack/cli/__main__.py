"""`python -m trainstack.cli` is `trainstack`."""

from trainstack.cli import main

main()
