"""Variables with which a Pulumi program's objects are applied by kubectl."""

import os
from pathlib import Path

VARIABLES = {"PYTHONPATH": f"{Path(__file__).parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}".rstrip(os.pathsep)}
"""Puts the package `pulumi_kubernetes` of this folder before the installed one."""
