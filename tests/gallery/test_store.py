"""What a store survives: a killed process, a full disk, damage, another process, a server that ends."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from pymilvus.exceptions import MilvusException

from tests.gallery.conformance import check_gallery
from tests.gallery.fakes import FakeEmbedder
from tests.gallery.galleries import ColourEmbedder, people
from tests.gallery.milvus_server import milvus_server
from tests.gallery.processes import one_line, run
from vireid.gallery.folder import FolderGallery
from vireid.gallery.milvus import told
from vireid.gallery.query import by_track
from vireid.gallery.records import Where
from vireid.gallery.server import ServerGallery
from vireid.gallery.store import open_gallery, store_of
from vireid.types import VireidError

pytestmark = pytest.mark.filterwarnings("ignore:.*cannot index float16")

ADD_ON_AND_ON = """
import sys
from tests.gallery.galleries import ColourEmbedder, people
from vireid.gallery.store import open_gallery
gallery = open_gallery(sys.argv[1], create=ColourEmbedder())
images = people(500)
for start in range(0, len(images), 8):
    gallery.add(images[start : start + 8])
    print(start + 8, flush=True)
"""


def test_every_gallery_does_what_the_protocol_says(place: str) -> None:
    gallery = open_gallery(place, create=FakeEmbedder())
    assert isinstance(gallery, ServerGallery if "://" in place else FolderGallery)
    check_gallery(gallery)
    gallery.close()


def test_an_empty_gallery_answers_and_a_large_k_gets_what_there_is(place: str) -> None:
    gallery = open_gallery(place, create=ColourEmbedder())
    images = people(2)
    for rerank in (False, True):
        assert gallery.search(images[0].vector[None], 20, rerank=rerank) == []
    info = gallery.info()
    assert (info.images, info.cameras, info.first, info.last) == (0, {}, None, None)
    assert gallery.entries() == []
    assert gallery.remove(Where(cameras=("c0",))) == 0
    assert store_of(gallery).problems() == []
    gallery.add(images)
    for rerank in (False, True):
        assert len(gallery.search(images[0].vector[None], 10_000, rerank=rerank)) == 8
    groups = by_track(gallery.search(images[0].vector[None], 100))
    assert sorted(len(group) for group in groups) == [1] * 8  # one image of each track per camera
    gallery.close()


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_vectors_keep_their_precision(tmp_path: Path, dtype: str) -> None:
    images = people(4)
    gallery = open_gallery(str(tmp_path / "store"), create=ColourEmbedder(), dtype=dtype)  # type: ignore[arg-type]
    gallery.add(images)
    wanted = np.stack([image.vector for image in images])
    found = gallery.vectors([image.entry.id for image in images])
    assert gallery.info().dtype == dtype
    np.testing.assert_array_equal(found, wanted.astype(dtype).astype(np.float32))
    gallery.close()


def test_a_killed_add_leaves_every_acknowledged_image(tmp_path: Path) -> None:
    store, images, acknowledged = str(tmp_path / "store"), people(500), 0
    for rounds in (3, 9):
        with run(ADD_ON_AND_ON, store) as process:
            assert process.stdout is not None
            for _ in range(rounds):
                acknowledged = max(acknowledged, int(process.stdout.readline()))
            process.send_signal(signal.SIGKILL)
            acknowledged = max([acknowledged, *map(int, process.stdout.read().split())])
        assert process.returncode == -signal.SIGKILL
        gallery = open_gallery(store)
        assert store_of(gallery).problems() == []
        ids = [image.entry.id for image in images[:acknowledged]]
        assert gallery.known(ids) == set(ids)
        assert len(gallery.entries()) < len(images)
        best = gallery.search(images[acknowledged - 1].vector[None], 1)
        assert best[0].entry.id == ids[-1]
        gallery.close()


def test_a_folder_is_open_in_one_process_at_a_time(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    first = open_gallery(store, create=ColourEmbedder())
    with run(
        "import sys; from vireid.gallery.store import open_gallery; open_gallery(sys.argv[1])", store, stderr=-1
    ) as process:
        assert "another process has this gallery open" in process.communicate()[1]
    with pytest.raises(VireidError, match="another process") as error:
        open_gallery(store)
    one_line(error)
    first.close()
    first.close()
    open_gallery(store).close()


def test_a_store_from_the_future_or_none_is_refused(tmp_path: Path) -> None:
    store = tmp_path / "store"
    open_gallery(str(store), create=ColourEmbedder()).close()
    settings = store / "store.json"
    good = json.loads(settings.read_text())
    for content, expected in (
        (json.dumps(good | {"format": 99}), "update vireid"),
        (json.dumps(good | {"dimension": -1}), "dimension"),
        ("{", "store.json"),
        ("[]", "expected the settings"),
    ):
        settings.write_text(content)
        with pytest.raises(VireidError, match=expected) as error:
            open_gallery(str(store))
        one_line(error)
    settings.write_text(json.dumps(good))
    open_gallery(str(store)).close()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("mine")
    with pytest.raises(VireidError, match="neither empty nor a gallery"):
        open_gallery(str(tmp_path / "other"), create=ColourEmbedder())
    for bad in ("ftp://host/x", "http://127.0.0.1:1/a-b"):
        with pytest.raises(VireidError, match=r"expected a folder|letters, digits"):
            open_gallery(bad)


def test_damage_is_found_and_a_damaged_index_mends_itself(tmp_path: Path) -> None:
    store, images = tmp_path / "store", people(5)
    gallery = open_gallery(str(store), create=ColourEmbedder())
    gallery.add(images)
    gallery.close()
    for path in (store / "index.db").rglob("*"):
        if path.is_file():
            path.write_bytes(b"rubbish" * 20)
    gallery = open_gallery(str(store))
    assert store_of(gallery).problems() == []
    assert gallery.search(images[3].vector[None], 1)[0].entry == images[3].entry
    gallery.close()
    with sqlite3.connect(store / "entries.sqlite") as connection:
        connection.execute("UPDATE images SET camera = 'elsewhere' WHERE id = ?", [images[3].entry.id])
    connection.close()
    gallery = open_gallery(str(store))
    (problem,) = store_of(gallery).problems()
    assert images[3].entry.id in problem
    gallery.close()
    (store / "entries.sqlite").write_bytes(b"rubbish" * 1000)
    with pytest.raises(VireidError, match=r"entries.sqlite: damaged") as error:
        open_gallery(str(store)).info()
    one_line(error)


def test_a_store_without_its_journal_is_damaged_and_its_index_is_left_alone(tmp_path: Path) -> None:
    store, images = tmp_path / "store", people(5)
    journal = store / "entries.sqlite"
    gallery = open_gallery(str(store), create=ColourEmbedder())
    gallery.add(images)
    gallery.close()
    good = journal.read_bytes()
    index = {path: path.read_bytes() for path in (store / "index.db").rglob("*") if path.is_file()}
    for lost in (journal.unlink, lambda: journal.write_bytes(b"")):
        lost()
        with pytest.raises(VireidError, match=r"entries.sqlite: the images of this gallery are missing") as error:
            store_of(open_gallery(str(store), create=ColourEmbedder())).problems()
        one_line(error)
    assert {path: path.read_bytes() for path in (store / "index.db").rglob("*") if path.is_file()} == index
    journal.write_bytes(good)
    gallery = open_gallery(str(store))
    assert store_of(gallery).problems() == []
    assert gallery.search(images[3].vector[None], 1)[0].entry == images[3].entry
    gallery.close()


def test_a_store_that_was_not_made_to_the_end_is_made_by_the_next_command(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with patch("vireid.gallery.store.write_json", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        open_gallery(str(store), create=ColourEmbedder())
    assert [path.name for path in store.glob("[!.]*")] == ["entries.sqlite"]
    gallery = open_gallery(str(store), create=ColourEmbedder())
    assert gallery.add(people(1)) == 4
    gallery.close()
    (store / "store.json").unlink()
    with pytest.raises(VireidError, match=r"neither empty nor a gallery"):
        open_gallery(str(store), create=ColourEmbedder())
    (store / "index.db").rename(tmp_path / "index.db")
    with pytest.raises(VireidError, match=r"entries.sqlite: has images, but store.json is missing"):
        open_gallery(str(store), create=ColourEmbedder())


FILL = """
import resource, signal, sys
from tests.gallery.galleries import ColourEmbedder, people
from vireid.gallery.store import open_gallery
from vireid.types import VireidError
gallery = open_gallery(sys.argv[1], create=ColourEmbedder())
images, kept = people(2000), 0
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
try:
    for start in range(0, len(images), 50):
        gallery.add(images[start : start + 50])
        kept = start + 50
except VireidError as error:
    print(kept)
    print(error)
"""


def test_a_full_disk_is_one_line_and_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    with run(FILL, str(tmp_path / "store")) as process:
        lines = process.communicate(timeout=60)[0].splitlines()
    assert len(lines) == 2, lines
    reason = r"(cannot be read or written \(disk I/O error\)|Milvus failed \(.*File too large\)); check the disk"
    assert re.match(rf"{tmp_path}/store/(entries.sqlite|index.db): {reason}", lines[1])
    kept, images = int(lines[0]), people(2000)
    gallery = open_gallery(str(tmp_path / "store"))
    assert store_of(gallery).problems() == []
    ids = [image.entry.id for image in images[:kept]]
    assert kept > 0
    assert gallery.known(ids) == set(ids)
    there = gallery.info().images
    assert gallery.add(images) == len(images) - there > 0
    gallery.close()


def test_a_full_disk_under_the_index_is_said_as_such() -> None:
    expected = r"^yard/index.db: no space left on the device; free some or write elsewhere$"
    with pytest.raises(VireidError, match=expected), told("yard/index.db"):
        raise MilvusException(
            message="[Errno 28] Error writing bytes to file. Detail: [errno 28] No space left on device"
        )


def test_a_server_that_ends_in_between_is_one_line_and_loses_nothing(tmp_path: Path) -> None:
    pytest.importorskip("milvus", reason="milvus is not installed: pip install 'vireid[test]'")
    query = people(1)[0].vector[None]
    with milvus_server(tmp_path / "milvus") as address:
        gallery = open_gallery(f"{address}/gone", create=ColourEmbedder())
        gallery.add(people(2))
        assert len(gallery.search(query, 20)) == 8
    for call in (lambda: gallery.search(query, 20), lambda: gallery.add(people(1, seed=3)), gallery.info):
        with pytest.raises(VireidError, match="Milvus failed") as error:
            call()
        one_line(error)
    with pytest.raises(VireidError) as error:
        open_gallery(f"{address}/gone")
    one_line(error)
