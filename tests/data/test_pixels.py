from __future__ import annotations

import errno
import multiprocessing
import os
import resource
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.trees import write_folder, write_image
from vireid.data import digests, pixels
from vireid.data.layouts import open_dataset
from vireid.data.pixels import HEADER_BYTES, PixelStore, cache_folder
from vireid.images import read_image, resize
from vireid.parallel import in_threads
from vireid.types import Modality, Sample, VireidError

HEIGHT, WIDTH = 16, 8


@pytest.fixture
def samples(tmp_path: Path) -> tuple[Sample, ...]:
    return open_dataset(write_folder(tmp_path / "data")).train


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust files however young they are, as with a data set that was unpacked yesterday."""
    monkeypatch.setattr(digests, "_SETTLED_NS", -(2**62))


class Decoded:
    """A progress callback that knows how many images were decoded."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int]] = []

    def __call__(self, done: int, total: int) -> None:
        self.calls.append((done, total))


def _naive(samples: tuple[Sample, ...], height: int = HEIGHT, width: int = WIDTH) -> torch.Tensor:
    images = [resize(read_image(sample.path), height, width) for sample in samples]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def _all(store: PixelStore) -> torch.Tensor:
    return store.batch(np.arange(len(store)))


def test_batches_equal_reading_and_resizing(samples: tuple[Sample, ...], cache: Path) -> None:
    store = PixelStore.build(samples, HEIGHT, WIDTH, cache)
    expected = _naive(samples)
    assert len(store) == len(samples)
    assert torch.equal(_all(store), expected)
    for rows in (np.array([5, 0, 5, 11]), torch.tensor([5, 0, 5, 11])):
        batch = store.batch(rows)
        assert batch.dtype == torch.uint8
        assert batch.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(batch, expected[[5, 0, 5, 11]])
    store.batch(np.array([3])).zero_()  # a batch is the caller's own; the map stays as it is
    assert torch.equal(_all(store), expected)
    with pytest.raises(IndexError):
        store.batch(np.array([12]))


def test_second_build_opens_the_cache(samples: tuple[Sample, ...], cache: Path, settled: None) -> None:
    first, second = Decoded(), Decoded()
    store = PixelStore.build(samples, HEIGHT, WIDTH, cache, progress=first)
    assert first.calls == [(i, len(samples)) for i in range(1, len(samples) + 1)]
    again = PixelStore.build(samples, HEIGHT, WIDTH, cache, progress=second)
    assert second.calls == []
    assert torch.equal(_all(store), _all(again))


def test_known_files_are_not_read_again(
    samples: tuple[Sample, ...], cache: Path, settled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(path: Path) -> bytes:
        raise AssertionError(f"{path} was read")

    expected = _all(PixelStore.build(samples, HEIGHT, WIDTH, cache))
    monkeypatch.setattr(digests, "read_bytes", forbidden)
    monkeypatch.setattr(pixels, "read_bytes", forbidden)
    assert torch.equal(_all(PixelStore.build(samples, HEIGHT, WIDTH, cache)), expected)


def test_young_files_are_not_trusted(samples: tuple[Sample, ...], cache: Path) -> None:
    PixelStore.build(samples, HEIGHT, WIDTH, cache)
    assert not list(cache.glob("*.digests"))


def test_memory_of_digests_is_no_must(
    samples: tuple[Sample, ...], cache: Path, settled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    assert torch.equal(_all(PixelStore.build(samples, HEIGHT, WIDTH, cache)), _naive(samples))
    assert sorted(path.suffix for path in cache.iterdir()) == [".lock", ".pixels"]


def test_damaged_memory_of_digests_is_ignored(samples: tuple[Sample, ...], cache: Path, settled: None) -> None:
    PixelStore.build(samples, HEIGHT, WIDTH, cache)
    (memo,) = cache.glob("*.digests")
    good = memo.read_bytes()
    for bad in (b"", good[:-1], bytes([good[0] ^ 1]) + good[1:]):
        memo.write_bytes(bad)
        decoded = Decoded()
        store = PixelStore.build(samples, HEIGHT, WIDTH, cache, progress=decoded)
        assert decoded.calls == []
        assert torch.equal(_all(store), _naive(samples))
        assert memo.read_bytes() == good


def test_key_follows_content_order_and_size(samples: tuple[Sample, ...], cache: Path, settled: None) -> None:
    PixelStore.build(samples, HEIGHT, WIDTH, cache)
    assert torch.equal(_all(PixelStore.build(samples[::-1], HEIGHT, WIDTH, cache)), _naive(samples[::-1]))
    assert torch.equal(_all(PixelStore.build(samples, WIDTH, HEIGHT, cache)), _naive(samples, WIDTH, HEIGHT))
    write_image(samples[2].path, np.random.default_rng(9), grey=False)
    assert torch.equal(_all(PixelStore.build(samples, HEIGHT, WIDTH, cache)), _naive(samples))
    assert len(list(cache.glob("*.pixels"))) == 4


def test_moved_data_finds_the_same_cache(samples: tuple[Sample, ...], cache: Path, tmp_path: Path) -> None:
    PixelStore.build(samples, HEIGHT, WIDTH, cache)
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    decoded = Decoded()
    PixelStore.build(open_dataset(tmp_path / "elsewhere").train, HEIGHT, WIDTH, cache, progress=decoded)
    assert decoded.calls == []


def _flip(position: int) -> Callable[[bytes], bytes]:
    def damage(data: bytes) -> bytes:
        changed = bytearray(data)
        changed[position] ^= 4
        return bytes(changed)

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:100],
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: data + b"x",
        lambda data: data[:HEADER_BYTES] + data[HEADER_BYTES + HEIGHT * WIDTH * 3 :],
        lambda data: bytes(len(data)),
        _flip(3),
        _flip(HEADER_BYTES - 1),
        _flip(HEADER_BYTES),
        _flip(HEADER_BYTES + 5 * HEIGHT * WIDTH * 3 + 17),
        _flip(-1),
        _flip(-20),
    ],
)
def test_damaged_cache_is_built_again(
    samples: tuple[Sample, ...], cache: Path, damage: Callable[[bytes], bytes]
) -> None:
    PixelStore.build(samples, HEIGHT, WIDTH, cache)
    (file,) = cache.glob("*.pixels")
    good = file.read_bytes()
    file.write_bytes(damage(good))
    decoded = Decoded()
    store = PixelStore.build(samples, HEIGHT, WIDTH, cache, progress=decoded)
    assert len(decoded.calls) == len(samples)
    assert torch.equal(_all(store), _naive(samples))
    assert file.read_bytes() == good


def test_sound_cache_of_other_images_is_built_again(samples: tuple[Sample, ...], cache: Path) -> None:
    PixelStore.build(samples, HEIGHT, WIDTH, cache)
    (file,) = cache.glob("*.pixels")
    PixelStore.build(samples[::-1], HEIGHT, WIDTH, cache)
    (other,) = set(cache.glob("*.pixels")) - {file}
    other.replace(file)
    assert torch.equal(_all(PixelStore.build(samples, HEIGHT, WIDTH, cache)), _naive(samples))


def test_leftover_of_a_killed_process_is_overwritten(samples: tuple[Sample, ...], cache: Path) -> None:
    PixelStore.build(samples, HEIGHT, WIDTH, cache)
    (file,) = cache.glob("*.pixels")
    file.rename(file.with_suffix(".partial"))
    with file.with_suffix(".partial").open("ab") as partial:
        partial.write(b"longer than the real file")
    store = PixelStore.build(samples, HEIGHT, WIDTH, cache)
    assert torch.equal(_all(store), _naive(samples))
    assert not list(cache.glob("*.partial"))
    assert torch.equal(_all(PixelStore.build(samples, HEIGHT, WIDTH, cache)), _naive(samples))


def _build_and_log(samples: tuple[Sample, ...], cache: Path, barrier: Any, log: Path) -> None:
    decoded = Decoded()
    barrier.wait()
    store = PixelStore.build(samples, HEIGHT, WIDTH, cache, workers=1, progress=decoded)
    images = store.batch(np.arange(len(store))).numpy()
    np.savez(log / f"{os.getpid()}-{threading.get_ident()}.npz", images=images, decoded=len(decoded.calls))


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_concurrent_builds_decode_once(samples: tuple[Sample, ...], cache: Path, tmp_path: Path, kind: str) -> None:
    log = tmp_path / "log"
    log.mkdir()
    if kind == "threads":
        barrier: Any = threading.Barrier(4)
        jobs: list[Any] = [
            threading.Thread(target=_build_and_log, args=(samples, cache, barrier, log)) for _ in range(4)
        ]
    else:
        fork = multiprocessing.get_context("fork")
        barrier = fork.Barrier(4)
        jobs = [fork.Process(target=_build_and_log, args=(samples, cache, barrier, log)) for _ in range(4)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(timeout=60)
    results = [np.load(path) for path in log.glob("*.npz")]
    assert len(results) == 4
    assert sorted(int(result["decoded"]) for result in results) == [0, 0, 0, len(samples)]
    for result in results:
        np.testing.assert_array_equal(result["images"], _naive(samples).numpy())


def test_unreadable_images_are_counted(samples: tuple[Sample, ...], cache: Path) -> None:
    samples[1].path.write_bytes(b"")
    with pytest.raises(VireidError) as caught:
        PixelStore.build(samples, HEIGHT, WIDTH, cache)
    assert str(caught.value).startswith(f"{samples[1].path}: the image file is empty")
    assert "more" not in str(caught.value)
    samples[4].path.write_bytes(b"nonsense")
    samples[9].path.write_bytes(b"nonsense")
    with pytest.raises(VireidError, match="and 2 more unreadable images") as caught:
        PixelStore.build(samples, HEIGHT, WIDTH, cache)
    assert "\n" not in str(caught.value)
    assert not [path for path in cache.iterdir() if path.suffix in (".pixels", ".partial")]


def test_missing_image(samples: tuple[Sample, ...], cache: Path) -> None:
    samples[3].path.unlink()
    with pytest.raises(VireidError, match=f"^{samples[3].path}: cannot read this image file"):
        PixelStore.build(samples, HEIGHT, WIDTH, cache)


def test_no_samples(cache: Path) -> None:
    with pytest.raises(VireidError, match="samples: expected at least one image"):
        PixelStore.build((), HEIGHT, WIDTH, cache)


def test_image_that_changes_meanwhile(
    samples: tuple[Sample, ...], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = [digests.digest(b"older content")] * len(samples)
    monkeypatch.setattr(pixels, "content_digests", lambda *_: wrong)
    with pytest.raises(VireidError, match="changed while it was being read"):
        PixelStore.build(samples, HEIGHT, WIDTH, cache)


@pytest.mark.parametrize("call", ["posix_fallocate", "pwrite"])
def test_no_space_left(samples: tuple[Sample, ...], cache: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    with pytest.raises(VireidError) as caught:
        PixelStore.build(samples, HEIGHT, WIDTH, cache)
    needed = HEADER_BYTES + len(samples) * (HEIGHT * WIDTH * 3 + 4) + 16
    assert str(caught.value).startswith(f"{cache}: cannot write {needed} bytes")
    assert "No space left on device" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not [path for path in cache.iterdir() if path.suffix in (".pixels", ".partial")]
    monkeypatch.undo()
    assert torch.equal(_all(PixelStore.build(samples, HEIGHT, WIDTH, cache)), _naive(samples))


def test_short_write_is_no_success(samples: tuple[Sample, ...], cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: pwrite(fd, data[:-1], offset))
    with pytest.raises(VireidError, match="No space left"):
        PixelStore.build(samples, HEIGHT, WIDTH, cache)


def _build_with_a_file_size_limit(samples: tuple[Sample, ...], cache: Path, out: Any) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (HEADER_BYTES, HEADER_BYTES))
    try:
        PixelStore.build(samples, HEIGHT, WIDTH, cache)
    except VireidError as error:
        out.put(str(error))


def test_the_system_s_own_refusal_to_write(samples: tuple[Sample, ...], cache: Path) -> None:
    fork = multiprocessing.get_context("fork")
    out = fork.SimpleQueue()
    job = fork.Process(target=_build_with_a_file_size_limit, args=(samples, cache, out))
    job.start()
    job.join(timeout=60)
    assert "File too large; make room or set VIREID_CACHE" in out.get()
    assert not [path for path in cache.iterdir() if path.suffix in (".pixels", ".partial")]


def test_cache_path_that_is_a_file(samples: tuple[Sample, ...], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(VireidError, match=f"^{tmp_path / 'file'}: cannot write"):
        PixelStore.build(samples, HEIGHT, WIDTH, tmp_path / "file")


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, samples: tuple[Sample, ...], tmp_path: Path) -> None:
    for name in ("VIREID_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert cache_folder() == Path("/home/somebody/.cache/vireid")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/xdg")
    assert cache_folder() == Path("/var/xdg/vireid")
    monkeypatch.setenv("VIREID_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    PixelStore.build(samples, HEIGHT, WIDTH)
    assert list((tmp_path / "mine").glob("*.pixels"))


def test_threads_keep_order_and_stop_at_the_first_error() -> None:
    assert in_threads(lambda n: n * n, range(50), workers=4) == [n * n for n in range(50)]
    begun: list[int] = []

    def slow(item: int) -> None:
        begun.append(item)
        time.sleep(0.001)
        if item == 3:
            raise OSError("in a thread")

    def interrupted(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(OSError, match="in a thread"):
        in_threads(slow, range(2000), workers=2)
    with pytest.raises(KeyboardInterrupt):
        in_threads(slow, range(2000), workers=2, progress=interrupted)
    assert len(begun) < 1000


def test_one_image(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "one.png"
    write_image(path, np.random.default_rng(0), grey=True)
    sample = (Sample(path, 0, 1, Modality.INFRARED),)
    store = PixelStore.build(sample, 1, 1, cache)
    assert torch.equal(_all(store), _naive(sample, 1, 1))
