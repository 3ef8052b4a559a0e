"""Every block of docs/search.md is run, in order, in an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "search.md").read_text()


def test_the_tutorial_runs(tmp_path: Path) -> None:
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for block in re.findall(r"```bash\n(.*?)```", PAGE, flags=re.DOTALL):
        done = subprocess.run(
            ["bash", "-euc", block],
            cwd=tmp_path,
            env=os.environ | {"PATH": programs},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    assert "data:image/" in (tmp_path / "answer.html").read_text()
    assert (tmp_path / "yard.parquet").stat().st_size > 1000
