"""A gallery copied elsewhere, and written into a file for other programs."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from tests.gallery.galleries import ColourEmbedder, people
from vireid.gallery.format import Dtype
from vireid.gallery.records import Where
from vireid.gallery.store import open_gallery
from vireid.gallery.transfer import Copied, copy_gallery, open_copy, write_parquet
from vireid.types import VireidError

pytestmark = pytest.mark.filterwarnings("ignore:.*cannot index float16")


def test_a_copy_elsewhere_is_the_same_and_compared(place: str, tmp_path: Path) -> None:
    from pyarrow import parquet

    images, source = people(5), str(tmp_path / "source")
    gallery = open_gallery(source, create=ColourEmbedder())
    gallery.add(images)
    with pytest.raises(VireidError, match="already"):
        open_copy(gallery, source, f"{source}/../source")
    copy = open_copy(gallery, source, place)
    copy.add(images[:3])
    assert copy_gallery(gallery, copy) == copy_gallery(gallery, copy) == Copied(len(images), 0)
    assert copy.entries() == gallery.entries()
    assert write_parquet(copy, tmp_path / "out.parquet") == len(images)
    rows = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["id"] for row in rows] == sorted(image.entry.id for image in images)
    copy.remove(Where(ids=(images[4].entry.id,)))
    changed = people(5)[4]
    changed.entry.__dict__["camera"] = "elsewhere"
    copy.add([changed])
    with pytest.raises(VireidError, match=f"image {images[4].entry.id}: differs in the target"):
        copy_gallery(gallery, copy)
    copy.remove(Where(ids=(images[4].entry.id,)))
    copy.add(people(2, seed=4))
    assert copy_gallery(gallery, copy) == Copied(len(images), 8)
    gallery.close()
    copy.close()


@pytest.mark.parametrize(
    ("kept", "copied", "change", "fits"),
    [
        ("float32", "float32", 0, True),
        ("float32", "float32", 1e-7, False),
        ("float16", "float16", 0, True),
        ("float16", "float16", 1e-3, False),
        ("float32", "float16", 0, True),
        ("float16", "float32", 0, True),
        ("float16", "float32", 1e-7, True),
        ("float32", "float16", 1e-3, False),
    ],
)
def test_a_copy_is_compared_at_the_precision_that_both_keep(
    tmp_path: Path, kept: Dtype, copied: Dtype, change: float, fits: bool
) -> None:
    source = open_gallery(str(tmp_path / "source"), create=ColourEmbedder(), dtype=kept)
    target = open_gallery(str(tmp_path / "target"), create=ColourEmbedder(), dtype=copied)
    images = people(2)
    for image in images:
        image.vector[0] = 0.5  # 1e-7 above it is another float32, and not another float16
        image.vector[1:] *= 0.75**0.5 / np.linalg.norm(image.vector[1:])
    source.add(images)
    images[2].vector[0] += change
    target.add(images)
    with nullcontext() if fits else pytest.raises(VireidError, match="differs in the target"):
        assert copy_gallery(source, target).images == len(images)
    source.close()
    target.close()
