"""Images into a gallery: from folders, patterns, manifests and a video; known ones skipped, bad ones told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.gallery.galleries import ColourEmbedder, colour_folder, picture
from vireid.gallery.records import Gallery, NewImage
from vireid.gallery.store import open_gallery
from vireid.ingest import add as ingest
from vireid.ingest.add import add_sources, collect
from vireid.ingest.sources import About, find_files
from vireid.types import Modality, VireidError

DAY = About(Modality.VISIBLE, "gate", 1_700_000_000.0)


def add(gallery: Gallery, *inputs: Path | str, about: About = DAY, **more: Path) -> ingest.Added:
    return add_sources(gallery, ColourEmbedder(), *collect(tuple(map(str, inputs)), about, **more))


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    return open_gallery(str(tmp_path / "store"), create=ColourEmbedder())


def test_files_folders_and_patterns_name_the_same_images(tmp_path: Path, gallery: Gallery) -> None:
    folder = colour_folder(tmp_path / "day" / "inner")
    files = sorted(folder.iterdir())
    assert find_files(str(tmp_path / "day")) == find_files(str(tmp_path / "day" / "*" / "*.png")) == files
    assert add(gallery, tmp_path / "day") == ingest.Added(6, 0, [])
    assert add(gallery, *files) == ingest.Added(0, 6, [])
    (folder / "copy.png").write_bytes(files[0].read_bytes())
    assert add(gallery, f"{folder}/*.png") == ingest.Added(0, 7, [])
    assert {entry.camera for entry in gallery.entries()} == {"gate"}
    (tmp_path / "day" / "loop").symlink_to(tmp_path / "day")
    assert len(find_files(str(tmp_path / "day"))) == 7


def test_a_manifest_in_csv_or_parquet_says_what_each_image_is(tmp_path: Path, gallery: Gallery) -> None:
    import pyarrow as arrow
    from pyarrow import parquet

    colour_folder(tmp_path / "day", 4)
    (tmp_path / "one.csv").write_text(
        "path,modality,camera,time,track\nday/0.png,infrared,yard,2024-05-01T12:00:00Z,t7\nday/1.png,,,,\n"
    )
    rows = {"path": ["day/2.png", "day/3.png"], "modality": ["visible", "INFRARED"], "track": [None, "t8"]}
    parquet.write_table(arrow.table(rows), tmp_path / "two.parquet")
    assert add(gallery, manifest=tmp_path / "one.csv").added == add(gallery, manifest=tmp_path / "two.parquet").added
    found = {Path(entry.name).name: entry for entry in gallery.entries()}
    kinds = [str(found[f"{number}.png"].modality) for number in range(4)]
    assert kinds == ["infrared", "visible", "visible", "infrared"]
    assert [found[f"{number}.png"].track for number in range(4)] == ["t7", None, None, "t8"]
    assert [found[f"{number}.png"].camera for number in range(2)] == ["yard", "gate"]
    assert [found[f"{number}.png"].time for number in range(2)] == [1_714_564_800.0, 1_700_000_000.0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "expected the columns"),
        ("file\na.png\n", "expected the columns"),
        ("path,path\na,b\n", "expected the columns"),
        ("path,modality\na.png\n", "m.csv:2: expected 2 cells"),
        ("path,modality\na.png,thermal\n", "m.csv:2: modality: expected visible or infrared"),
        ("path,time\na.png,yesterday\n", "m.csv:2: time"),
        ("path\n\x00\n", "m.csv"),
        ("path\n\xff", "expected a CSV file in UTF-8"),
    ],
)
def test_a_bad_manifest_is_one_line_with_its_place(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "m.csv").write_bytes(text.encode("latin1"))
    with pytest.raises(VireidError, match=expected) as error:
        collect((), DAY, manifest=tmp_path / "m.csv")
    assert "\n" not in str(error.value)


def test_a_parquet_manifest_of_cells_that_python_cannot_hold_is_one_line(tmp_path: Path) -> None:
    import pyarrow as arrow
    from pyarrow import parquet

    path = arrow.array(["a.png"])
    broken = arrow.Array.from_buffers(arrow.string(), 1, arrow.array([b"\xff\xfe"]).buffers())
    for columns in (
        {"path": path, "time": arrow.array([2**62], arrow.timestamp("us"))},
        {"path": path, "time": arrow.array([0], arrow.timestamp("us", "Mars/Olympus"))},
        {"path": broken},
    ):
        parquet.write_table(arrow.table(columns), tmp_path / "m.parquet")
        with pytest.raises(VireidError, match="expected a Parquet file of text and times") as error:
            collect((), DAY, manifest=tmp_path / "m.parquet")
        assert "\n" not in str(error.value)


def test_unreadable_images_are_told_at_the_end_and_the_others_are_in(tmp_path: Path, gallery: Gallery) -> None:
    folder = colour_folder(tmp_path / "day", 5)
    (folder / "0.png").write_bytes(b"")
    (folder / "1.png").write_bytes(picture((1, 2, 3))[:60])
    (folder / "2.png").write_text("no image")
    (tmp_path / "m.csv").write_text("path\nday/3.png\nday/0.png\nday/missing.png\nday\n")
    result = add(gallery, folder)
    assert (result.added, [Path(name).name for name, _ in result.failed]) == (2, ["0.png", "1.png", "2.png"])
    result = add(gallery, manifest=tmp_path / "m.csv")
    assert (result.known, [Path(name).name for name, _ in result.failed]) == (1, ["missing.png", "day", "0.png"])
    assert all("\n" not in why for _, why in result.failed)
    for inputs in ((), (tmp_path / "nothing",), ("",), (tmp_path / "*.gif",)):
        with pytest.raises(VireidError, match="expected"):
            add(gallery, *inputs)
    with pytest.raises(VireidError, match="modality unknown"):
        add(gallery, folder, about=About())


def test_an_interrupted_ingest_goes_on_without_embedding_again(
    tmp_path: Path, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "BATCH", 4)
    folder = colour_folder(tmp_path / "day", 10)
    embedder, sizes = ColourEmbedder(), list[int]()

    def embed(images: np.ndarray, modality: Modality) -> np.ndarray:
        if len(sizes) == 2:
            sizes.append(0)
            raise KeyboardInterrupt
        sizes.append(len(images))
        return ColourEmbedder().embed(images, modality)

    monkeypatch.setattr(embedder, "embed", embed)
    with pytest.raises(KeyboardInterrupt):
        add_sources(gallery, embedder, *collect((str(folder),), DAY))
    assert gallery.info().images == 8
    assert add_sources(gallery, embedder, *collect((str(folder),), DAY)) == ingest.Added(2, 8, [])
    assert sizes == [4, 4, 0, 2]


def video(path: Path, frames: int = 6) -> Path:
    """Ten frames a second of 64 x 48: the left half red, the right half brighter from frame to frame."""
    av = pytest.importorskip("av", reason="PyAV is not installed: pip install 'vireid[video]'")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(frames):
            pixels = np.zeros((48, 64, 3), np.uint8)
            pixels[:, :32, 0], pixels[:, 32:] = 200, 40 * number
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_a_video_gives_its_boxes_with_time_and_track(tmp_path: Path, gallery: Gallery) -> None:
    film = video(tmp_path / "film.mp4")
    boxes = tmp_path / "boxes.csv"
    boxes.write_text(
        "frame,x,y,w,h,track\n4,34,4,20,40,b\n0,4,4,20,40,a\n4,-5,0,25,48,a\n4,100,0,9,9,c\n99,0,0,9,9,c\n"
    )
    result = add(gallery, film, boxes=boxes)
    assert (result.added, [why.split(": ")[1][:7] for _, why in result.failed]) == (3, ["the box"] * 2)
    found = {entry.name.split("#")[1]: entry for entry in gallery.entries()}
    assert {name: entry.track for name, entry in found.items()} == {
        "frame=0,box=0": "a", "frame=4,box=0": "b", "frame=4,box=1": "a",
    }  # fmt: skip
    assert found["frame=4,box=0"].time == pytest.approx(1_700_000_000.4)
    grey, red = np.full((1, 32, 16, 3), 160, np.uint8), np.full((1, 32, 16, 3), (200, 0, 0), np.uint8)
    for colour, track in ((grey, "b"), (red, "a")):
        query = ColourEmbedder().embed(colour, Modality.INFRARED)
        assert gallery.search(query, 1)[0].entry.track == track
    assert add(gallery, film, boxes=boxes).known == 3


def test_bad_videos_and_boxes_are_one_line(tmp_path: Path, gallery: Gallery) -> None:
    boxes, film = tmp_path / "boxes.csv", tmp_path / "film.mp4"
    bad = ("0,0,0,0,5", "-1,0,0,5,5", "0.5,0,0,5,5", "0,nan,0,5,5", "0,x,0,5,5")
    for cells in (*bad, "0,1e308,0,1e308,64", "1e300,0,0,5,5"):
        boxes.write_text(f"frame,x,y,w,h\n{cells}\n")
        with pytest.raises(VireidError, match=r"boxes.csv:2: expected a frame >= 0"):
            add(gallery, film, boxes=boxes)
    boxes.write_text("frame,x,y,w,h\n")
    with pytest.raises(VireidError, match=r"boxes.csv: contains no boxes"):
        add(gallery, film, boxes=boxes)
    boxes.write_text("frame,x,y,w,h\n0,0,0,9,9\n")
    pytest.importorskip("av", reason="PyAV is not installed: pip install 'vireid[video]'")
    film.write_bytes(b"no film at all")
    for inputs in ((film,), (tmp_path / "none.mp4",)):
        with pytest.raises(VireidError, match="not a video") as error:
            add(gallery, *inputs, boxes=boxes)
        assert "\n" not in str(error.value)
    assert "--boxes" in add(gallery, film).failed[0][1]
    with pytest.raises(VireidError, match="one video"):
        add(gallery, film, film, boxes=boxes)


def test_odd_shapes_and_names_fit(tmp_path: Path, gallery: Gallery) -> None:
    folder = colour_folder(tmp_path / "day", 1)
    (folder / "wide\n\x07.png").write_bytes(picture((9, 9, 9), (3000, 2)))
    (folder / ("夜" * 80 + ".png")).write_bytes(picture((90, 9, 9), (1, 500)))
    assert add(gallery, folder).added == 3
    images = [
        NewImage(entry, gallery.vectors([entry.id])[0], gallery.thumbnail(entry.id)) for entry in gallery.entries()
    ]
    assert all(image.entry.name.isprintable() for image in images)
