"""docs/adding-a-loss.md as it stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.losses.batches import random_batch
from tests.pages import ROOT, files_of, read_page, run_commands
from vireid.losses.objective import is_loss

PAGE = read_page("adding-a-loss.md")
FILES = files_of(PAGE)


def test_its_class_is_a_loss_and_equals_a_loop() -> None:
    scope: dict[str, Any] = {}
    exec(FILES["my_losses.py"], scope)
    assert is_loss(scope["HeteroCenter"])
    embeddings, labels, modalities = random_batch(0)
    expected = [
        torch.dist(*(embeddings[(labels == label) & (modalities == m)].mean(0) for m in (0, 1))) ** 2
        for label in labels.unique()
    ]
    value = scope["HeteroCenter"]()(embeddings, labels, modalities)
    assert value.item() == pytest.approx(torch.stack(expected).mean().item(), rel=1e-5)


def test_its_files_and_commands_run(tmp_path: Path) -> None:
    assert list(FILES) == ["my_losses.py", "hetero-center.yaml"]
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    run_commands(PAGE, tmp_path, ROOT / "src")
    runs = [tmp_path / "runs" / name for name in ("center", "center-1")]
    first = [json.loads((run / "metrics.jsonl").read_text().splitlines()[0]) for run in runs]
    assert all("hetero_center" not in line for line in first)
    assert first[0]["my_losses:HeteroCenter"] != first[1]["my_losses:HeteroCenter"]
    assert (runs[0] / "evaluation").is_dir()
