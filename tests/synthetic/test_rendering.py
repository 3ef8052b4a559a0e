"""Rendering many files: by one process, several or a GPU, interrupted, on a full disk; the same bytes always."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.rendered import SIX, digests, small
from vireid.cli import main
from vireid.data.check import check
from vireid.synthetic import workers, write_tree
from vireid.synthetic.materials import Spectrum
from vireid.synthetic.plans import Shot, plan
from vireid.types import VireidError


@pytest.fixture(scope="module")
def sysu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trees") / "sysu"
    write_tree(root, SIX)
    return root


@pytest.fixture
def two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "usable_cores", lambda: 2)
    monkeypatch.setattr(workers, "PIXELS_WORTH_A_PROCESS", 1)


class Stop:
    """A progress callback that is Ctrl-C after ``images`` images."""

    def __init__(self, images: int) -> None:
        self.images = images

    def __call__(self, done: int, total: int) -> None:
        if done >= self.images:
            raise KeyboardInterrupt


def drafts(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.startswith(".set."))


def test_an_interrupted_tree_goes_on_where_it_stopped(sysu: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_tree(tmp_path / "set", SIX, Stop(30))
    (draft,) = drafts(tmp_path)
    assert not (tmp_path / "set").exists()
    made = {path: path.stat().st_mtime_ns for path in draft.rglob("*.jpg")}
    assert 30 <= len(made) < 72
    (draft / workers.PARTIAL / "99-99.jpg").write_bytes(b"half an image")  # of a process that was killed
    inodes = {path.relative_to(draft): path.stat().st_ino for path in made}
    seen: list[int] = []
    write_tree(tmp_path / "set", SIX, lambda done, total: seen.append(done))
    assert seen[0] > len(made)
    assert seen[-1] == 72
    assert digests(tmp_path / "set") == digests(sysu)
    assert {name: (tmp_path / "set" / name).stat().st_ino for name in inodes} == inodes
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.usefixtures("two_processes")
def test_an_interrupt_ends_the_processes_and_keeps_whole_images_only(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_tree(tmp_path / "set", SIX, Stop(1))
    (draft,) = drafts(tmp_path)
    for path in draft.rglob("*.jpg"):
        if path.parent.name != workers.PARTIAL:
            with Image.open(path) as picture:
                picture.load()
    assert [path.name for path in tmp_path.iterdir()] == [draft.name]


def test_an_interrupted_command_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("vireid.synthetic.write_tree", lambda *_: Stop(0)(0, 1))
    with pytest.raises(SystemExit) as ended:
        main(["data", "render", str(tmp_path / "set")])
    assert ended.value.code == 130
    assert "interrupted; run the same command again" in capsys.readouterr().err


def test_other_settings_begin_a_draft_of_their_own(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_tree(tmp_path / "set", small(), Stop(1))
    write_tree(tmp_path / "set", small(seed=1))
    assert json.loads((tmp_path / "set" / "synthetic.json").read_text())["seed"] == 1
    assert len(drafts(tmp_path)) == 1


def test_a_full_disk_is_one_line_and_keeps_what_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save = Image.Image.save
    saved: list[Path] = []

    def full(image: Image.Image, path: Path, **options: Any) -> None:
        if len(saved) == 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        saved.append(path)
        save(image, path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", full)
        with pytest.raises(VireidError, match=r"set: no space left on the device; free some or write elsewhere"):
            write_tree(tmp_path / "set", small())
    assert not (tmp_path / "set").exists()
    assert sum(1 for _ in drafts(tmp_path)[0].rglob("*.jpg")) == 20
    write_tree(tmp_path / "set", small())
    assert check(tmp_path / "set").ok


@pytest.mark.usefixtures("two_processes")
def test_several_processes_write_the_same_bytes(sysu: Path, tmp_path: Path) -> None:
    seen: list[int] = []
    write_tree(tmp_path / "set", SIX, lambda done, total: seen.append(done))
    assert digests(tmp_path / "set") == digests(sysu)
    assert seen == sorted(seen)
    assert seen[-1] == 6 * 12


def job(folder: Path, shots: tuple[Shot, ...]) -> workers.RenderJob:
    return workers.RenderJob(folder, shots, 5, SIX.difficulty, 24, 12, False)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_device_writes_the_same_bytes(
    device: str, sysu: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU")
    monkeypatch.setattr(workers, "DEVICE_BATCH", 20)
    shots = plan(SIX).shots
    for shot in shots:
        (tmp_path / shot.path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / workers.PARTIAL).mkdir()
    assert sum(workers.run_on(job(tmp_path, shots), torch.device(device))) == len(shots)
    expected = digests(sysu)
    assert digests(tmp_path) == {shot.path: expected[shot.path] for shot in shots}


def test_a_process_that_cannot_write_or_dies_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = job(tmp_path, tuple(Shot("absent/1.jpg", 1, 1, number, Spectrum.VISIBLE) for number in range(2)))
    with pytest.raises(FileNotFoundError, match="No such file"):
        list(workers.run_apart(work, 1))
    monkeypatch.setattr(workers, "COMMAND", "import sys; sys.stdin.buffer.read(); sys.exit(3)")
    with pytest.raises(VireidError, match="a rendering process ended with status 3"):
        list(workers.run_apart(work, 1))
