"""The notebooks of examples/notebooks: ``python -m tests.notebooks`` runs them and stores what they show."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).parents[1] / "examples" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def digest(notebook: NotebookNode) -> str:
    """SHA-256 over the code; the notebook says which code its stored output is of."""
    return hashlib.sha256("\0".join(cell.source for cell in code_cells(notebook)).encode()).hexdigest()


def execute(path: Path) -> NotebookNode:
    """Return a notebook with the output of running it in an empty folder, without progress bars.

    Raises:
        CellExecutionError: a cell raised.
    """
    notebook: NotebookNode = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as place:
        (folder := Path(place) / "empty").mkdir()
        # by sockets in a folder of its own: a port may be taken by whoever else is looking for one
        kernel = AsyncKernelManager(kernel_name="python3", transport="ipc", ip=f"{place}/kernel")
        run_in = {"metadata": {"path": folder}}
        NotebookClient(
            notebook, kernel, timeout=300, record_timing=False, coalesce_streams=True, resources=run_in
        ).execute()
    for cell in code_cells(notebook):
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        for output in cell.outputs:
            if "image/jpeg" in output.get("data", {}):
                output.data.pop("image/png", None)  # the same picture again, and much larger
    spec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = {"code": digest(notebook), "kernelspec": spec, "language_info": {"name": "python"}}
    return notebook


if __name__ == "__main__":
    for path in NOTEBOOKS:
        nbformat.write(execute(path), path)
        print(f"{path.name}: {path.stat().st_size // 1024} KiB")
