"""The engine can be used alone: it works where nothing but torch and numpy, and what they need, can be imported."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "score_my_features.py"
SCRIPT = """
import runpy
import sys


class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in ALLOWED | sys.stdlib_module_names:
            raise ModuleNotFoundError(f"{name} is blocked", name=name)


sys.meta_path.insert(0, Blocker())
import numpy as np
import vireid.evaluation.analysis
from vireid.evaluation import score_file

runpy.run_path(sys.argv[1], run_name="__main__")
rng = np.random.default_rng(0)
sides = {"query": 8, "gallery": 12}
np.savez(
    sys.argv[2],
    **{f"{side}_features": rng.standard_normal((rows, 4)) for side, rows in sides.items()},
    **{f"{side}_ids": np.arange(rows) % 4 for side, rows in sides.items()},
)
print(sorted(score_file(sys.argv[2], "folder", ["k-reciprocal", "query-expansion"]))[0])
try:
    import scipy
except ImportError:
    print("blocked")
"""


def needed(package: str) -> set[str]:
    """Return the packages that one needs wherever it is installed, itself included."""
    found = {package}
    for line in importlib.metadata.requires(package) or []:
        name = re.split(r"[^\w.-]", line, maxsplit=1)[0].lower().replace("-", "_")
        if ";" not in line and name not in found:
            found |= needed(name)
    return found


def test_it_works_with_torch_and_numpy_only(tmp_path: Path) -> None:
    allowed = needed("torch") | needed("numpy") | {"vireid", "torchgen", "functorch"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"ALLOWED = {allowed}{SCRIPT}", EXAMPLE, tmp_path / "features.npz"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "rank-1" in done.stdout
    assert done.stdout.splitlines()[-2:] == ["analysis", "blocked"]
    assert len(EXAMPLE.read_text().splitlines()) < 60
