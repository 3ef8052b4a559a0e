import errno
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from tests.tiny import tiny_dataset, tiny_recipe, tiny_run
from vireid.training import checkpoint as checkpoints_module
from vireid.training.checkpoint import checkpoints, load_run
from vireid.training.loop import Loop
from vireid.training.monitor import Monitor
from vireid.training.train import train
from vireid.types import VireidError


def losses(run: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "images_per_second"} for line in lines]


def stop_after(monkeypatch: pytest.MonkeyPatch, step: int, number: int = signal.SIGINT) -> None:
    original = Monitor.step

    def and_stop(self: Monitor, done: int, *rest: Any) -> None:
        original(self, done, *rest)
        if done == step:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(Monitor, "step", and_stop)


@pytest.mark.parametrize("kind", ["batch-hard", "random"])
@pytest.mark.parametrize(("step", "number"), [(2, signal.SIGTERM), (3, signal.SIGINT)])
def test_a_stopped_and_resumed_run_equals_an_uninterrupted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, step: int, number: int
) -> None:
    option = f"loss.triplet.kind={kind}"
    whole = tiny_run(tmp_path, option, out="whole")
    with monkeypatch.context() as patch:
        stop_after(patch, step, number)
        with pytest.raises(KeyboardInterrupt):
            tiny_run(tmp_path, option, out="parts")
    assert not (tmp_path / "parts" / "model.safetensors").exists()
    parts = tiny_run(tmp_path, option, out="parts", resume=True)
    assert len(losses(whole)) > step
    assert losses(parts) == losses(whole)
    assert (parts / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_a_killed_run_goes_on_from_its_last_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tiny_run(tmp_path, out="whole")
    per_epoch = len(losses(whole)) // 3

    def die(*_: Any) -> None:
        raise RuntimeError("the machine went away")

    with monkeypatch.context() as patch:
        original = Loop._step
        patch.setattr(Loop, "_step", lambda self, rows: die() if self.step == per_epoch + 1 else original(self, rows))
        with pytest.raises(RuntimeError, match="went away"):
            tiny_run(tmp_path, out="killed")
    killed = tiny_run(tmp_path, out="killed", resume=True)
    assert losses(killed) == losses(whole)
    assert (killed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_a_run_records_what_made_it(tmp_path: Path) -> None:
    run = tiny_run(tmp_path, "training.keep=1")
    info = json.loads((run / "run.json").read_text())
    assert info["recipe"] == tiny_recipe("training.keep=1").to_dict()
    assert info["checkpoint_rule"] == "last epoch"
    assert {"vireid", "python", "torch", "numpy"} == set(info["versions"])
    assert {"seed", "git", "device", "precision", "fingerprint"} <= set(info)
    assert [p.name for p in checkpoints(run)] == [f"step-{len(losses(run)):08d}"]
    assert not list(run.rglob("*.pkl")) + list(run.rglob("*.pth"))
    assert not load_run(run).network.training


def test_finished_runs_are_left_alone_and_used_folders_refused(tmp_path: Path) -> None:
    run = tiny_run(tmp_path)
    before = {p: p.stat().st_mtime_ns for p in run.rglob("*")}
    assert tiny_run(tmp_path, resume=True) == run
    assert {p: p.stat().st_mtime_ns for p in run.rglob("*")} == before
    with pytest.raises(VireidError, match="--resume"):
        tiny_run(tmp_path)
    with pytest.raises(VireidError, match=r"loss\.overlap\.weight was 1\.0 and is now 0\.25"):
        tiny_run(tmp_path, "loss.overlap.weight=0.25", resume=True)
    with pytest.raises(VireidError, match="not empty and not a run"):
        train(tiny_recipe(), tiny_dataset(tmp_path / "other"), tmp_path, cache=tmp_path / "cache")


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(VireidError, match=r"loss is \w+ at step \d+.*schedule\.lr"):
        tiny_run(tmp_path, "schedule.lr=1e30", "schedule.epochs=8", "schedule.warmup=0")
    run = tmp_path / "run"
    assert not (run / "model.safetensors").exists()
    for saved in checkpoints(run):
        tensors = safetensors.torch.load_file(saved / "model.safetensors")
        assert all(bool(torch.isfinite(t).all()) for t in tensors.values())


def test_a_full_disk_leaves_no_half_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints_module.safetensors.torch, "save_file", full)
    with pytest.raises(VireidError, match="no space left on the device"):
        tiny_run(tmp_path)
    assert list((tmp_path / "run" / "checkpoints").iterdir()) == []


def test_the_best_validation_epoch_is_reported(tmp_path: Path) -> None:
    run = tiny_run(tmp_path, "data.holdout=0.2", "training.validation=0.4", "training.keep=3")
    info = json.loads((run / "run.json").read_text())
    history = json.loads((run / "validation.json").read_text())["map"]
    assert len(history) == 3
    assert info["checkpoint_rule"] == "best mAP on 2 held-out training identities"
    best = max(history, key=lambda entry: entry["map"])["step"]
    chosen = run / "checkpoints" / f"step-{best:08d}" / "model.safetensors"
    assert (run / "model.safetensors").read_bytes() == chosen.read_bytes()
    assert not set(info["validation_identities"]) & set(info["training_identities"])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [(("data.identities=9",), "P asks for 9"), (("data.images=99",), "K asks for 99")],
)
def test_batches_the_data_cannot_fill_leave_no_run(tmp_path: Path, overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(VireidError, match=message):
        tiny_run(tmp_path, *overrides)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("damage", ["truncated", "pickle", "missing", "other", "extra"])
def test_damaged_or_foreign_weights_are_refused(tmp_path: Path, damage: str) -> None:
    run = tiny_run(tmp_path)
    path = run / "model.safetensors"
    tensors = {name: value.clone() for name, value in safetensors.torch.load_file(path).items()}  # not mapped
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "pickle":
        torch.save({"weights": tensors}, path)
    elif damage == "missing":
        path.unlink()
    elif damage == "other":
        safetensors.torch.save_file(tensors | {"layer2.0.conv1.weight": torch.zeros(3)}, path)
    else:
        safetensors.torch.save_file(tensors | {"more": torch.zeros(3)}, path)
    expected = {
        "truncated": "truncated or not safetensors",
        "pickle": "truncated or not safetensors",
        "missing": "did not finish",
        "other": r"layer2\.0\.conv1\.weight: expected shape .* another architecture",
        "extra": "unexpected tensor more",
    }
    with pytest.raises(VireidError, match=expected[damage]):
        load_run(run)


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VireidError, match="no such run"):
        load_run(tmp_path / "nowhere")
    with pytest.raises(VireidError, match=r"run\.json"):
        load_run(tmp_path)
