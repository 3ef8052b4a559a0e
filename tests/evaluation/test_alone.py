"""The engine can be used alone: importing it loads torch and numpy, and nothing else that is installed."""

import subprocess
import sys

SCRIPT = """
import sys
import numpy, torch
before = set(sys.modules)
import vireid.retrieval, vireid.evaluation, vireid.evaluation.analysis, vireid.evaluation.uncertainty
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(new - sys.stdlib_module_names - {"vireid", "numpy", "torch"}))
"""


def test_importing_it_loads_torch_and_numpy_only() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
