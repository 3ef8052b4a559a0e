import errno
import fcntl
import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from tests.tiny import tiny_dataset, tiny_recipe, tiny_run
from vireid.data.layouts import open_dataset
from vireid.data.pixels import PixelStore
from vireid.losses.objective import Objective
from vireid.models.network import build_network
from vireid.training import checkpoint as checkpoints_module
from vireid.training.checkpoint import checkpoints, load_run, save_checkpoint
from vireid.training.features import network_features
from vireid.training.loop import Loop
from vireid.training.monitor import Monitor
from vireid.training.run import train
from vireid.training.schedule import make_optimizer
from vireid.training.split import split_training
from vireid.types import FeatureKind, Features, VireidError


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


def test_a_run_begun_before_a_field_was_added_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tiny_run(tmp_path, out="whole")
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            tiny_run(tmp_path, out="parts")
    info = json.loads((tmp_path / "parts" / "run.json").read_text())
    for group, name in (("model", "methods"), ("model", "shared_from"), ("data", "exchange")):
        del info["recipe"][group][name]
    (tmp_path / "parts" / "run.json").write_text(json.dumps(info))
    parts = tiny_run(tmp_path, out="parts", resume=True)
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
    assert [p.name for p in checkpoints(run)] == [f"step-{losses(run)[-1]['step']:08d}"]
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


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Objective.forward

    def diverge(self: Objective, *arguments: Any) -> dict[str, torch.Tensor]:
        parts = original(self, *arguments)
        diverge.calls += 1  # type: ignore[attr-defined]
        return parts | {"total": parts["total"] * float("nan")} if diverge.calls == 3 else parts  # type: ignore[attr-defined]

    diverge.calls = 0  # type: ignore[attr-defined]
    monkeypatch.setattr(Objective, "forward", diverge)
    with pytest.raises(
        VireidError, match=r"loss is nan at step 3 .*last good checkpoint is \S+step-00000002; lower schedule"
    ):
        tiny_run(tmp_path)
    run = tmp_path / "run"
    assert not (run / "model.safetensors").exists()
    (saved,) = checkpoints(run)
    tensors = safetensors.torch.load_file(saved / "model.safetensors")
    assert tensors
    assert all(bool(torch.isfinite(t).all()) for t in tensors.values())


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    network = build_network(tiny_recipe().model, 3)
    optimizer = make_optimizer(network, tiny_recipe().schedule)
    network.layer3[0].conv1.weight.data[0, 0, 0, 0] = float("inf")
    with pytest.raises(
        VireidError, match=r"layer3\.0\.conv1\.weight: NaN or infinity after step 7; there is no checkpoint"
    ):
        save_checkpoint(tmp_path, 7, network, optimizer, {}, keep=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["training.precision=bf16", "training.precision=fp16", "training.clip=0.5"])
def test_every_precision_trains_and_resumes_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    whole = tiny_run(tmp_path, option, out="whole")
    assert losses(whole) != losses(tiny_run(tmp_path, out="plain"))
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            tiny_run(tmp_path, option, out="parts")
    assert losses(tiny_run(tmp_path, option, out="parts", resume=True)) == losses(whole)


def test_two_processes_cannot_train_into_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            tiny_run(tmp_path)
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    with (tmp_path / "run" / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(VireidError, match="another process is training here"):
            tiny_run(tmp_path, resume=True)
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before
    assert tiny_run(tmp_path, resume=True)


def test_what_a_killed_run_half_wrote_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            tiny_run(tmp_path)
    metrics = tmp_path / "run" / "metrics.jsonl"
    metrics.write_text(metrics.read_text() + '{"step": 3, "to')
    run = tiny_run(tmp_path, resume=True)
    steps = [line["step"] for line in losses(run) if "total" in line]
    assert steps == [1, 2, 3, 4, 5, 6][: len(steps)]
    state = checkpoints(run)[-1] / "state.json"
    state.write_text("{}")
    (run / "model.safetensors").unlink()
    with pytest.raises(VireidError, match=r"state\.json: expected step, seconds and scaler"):
        tiny_run(tmp_path, resume=True)


def test_training_brings_the_modalities_of_a_person_together(tmp_path: Path) -> None:
    """Visible queries of the training identities find their own infrared images first, nine times out of ten."""
    for name in ("visible", "infrared"):
        for person in range(20):
            blocks = np.random.default_rng(person).integers(0, 256, (8, 4, 3), dtype=np.uint8)
            for number in range(4):
                noise = np.random.default_rng((person, number)).normal(0, 20, (48, 24, 3))
                image = np.clip(blocks.repeat(6, 0).repeat(6, 1) + noise, 0, 255).astype(np.uint8)
                path = tmp_path / "set" / name / f"p{person}" / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(255 - image if name == "infrared" else image).save(path)
    options = ("data.identities=5", "schedule.epochs=30", "schedule.backbone_factor=1", "schedule.lr=0.05")
    options += ("data.erase=0", "data.flip=0", "data.pad=0", "loss.triplet.kind=weighted")
    run = load_run(tiny_run(tmp_path, *options))
    samples = split_training(open_dataset(tmp_path / "set"), 0.5, 0, 0)[0]
    store = PixelStore.build(samples, 48, 32, cache=tmp_path / "cache")
    untrained = build_network(run.recipe.model, 10).eval()
    assert rank1(network_features(run.network, store, samples)[FeatureKind.AFTER_BNNECK]) >= 0.9
    assert rank1(network_features(untrained, store, samples)[FeatureKind.AFTER_BNNECK]) < 0.4


def rank1(features: Features) -> float:
    visible, infrared = (features[(features.modalities == m).nonzero()[:, 0]] for m in (0, 1))
    nearest = (visible.embeddings @ infrared.embeddings.T).argmax(1)
    return float((infrared.identities[nearest] == visible.identities).double().mean())


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
