"""What every `Gallery` must do, whatever holds it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.gallery.fakes import FakeEmbedder, meant
from tests.service.people import new_image
from vireid.gallery.records import Gallery, Where
from vireid.types import Modality, VireidError

WHERES = (
    Where(),
    Where(modality=Modality.INFRARED),
    Where(cameras=("c0", "c2")),
    Where(not_cameras=("c0",), modality=Modality.VISIBLE),
    Where(since=1_700_000_003.0, until=1_700_000_009.0),
    Where(tracks=("t1",)),
    Where(cameras=('c0" or "" == "',)),
)


def check_gallery(gallery: Gallery, count: int = 12) -> None:
    """Fill an empty gallery of `FakeEmbedder` and ask it everything."""
    images = [new_image(seed, FakeEmbedder()) for seed in range(count)]
    ids = [image.entry.id for image in images]
    assert gallery.add(images[:5]) == 5
    assert gallery.add(iter(images)) == count - 5
    assert gallery.add([]) == 0
    assert gallery.known([*ids, "0" * 64]) == set(ids)
    assert gallery.known([]) == set()
    _check_info(gallery, count)
    vectors = np.stack([image.vector for image in images])
    entries = sorted((image.entry for image in images), key=lambda entry: entry.id)
    for where in WHERES:
        expected = [entry for entry in entries if meant(entry, where)]
        assert gallery.entries(where) == expected
        scores = vectors @ vectors[3]
        order = [i for i in np.argsort(-scores, kind="stable") if meant(images[i].entry, where)]
        found = gallery.search(vectors[3:4], 4, where)
        assert [match.entry for match in found] == [images[i].entry for i in order[:4]]
        assert [match.score for match in found] == pytest.approx(scores[order[:4]], abs=2e-3)
    assert gallery.entries(limit=3, after=entries[4].id) == entries[5:8]
    assert gallery.entries(Where(ids=tuple(ids))) == entries
    assert gallery.search(vectors[:3], 1)[0].entry.id in ids[:3]
    assert np.allclose(gallery.vectors([ids[7], ids[2]]), vectors[[7, 2]], atol=2e-3)
    assert gallery.thumbnail(ids[5]) == images[5].thumbnail
    for unknown in (lambda: gallery.vectors(["0" * 64]), lambda: gallery.thumbnail("0" * 64)):
        with pytest.raises(VireidError, match="0000"):
            unknown()
    with pytest.raises(VireidError):
        gallery.remove(Where())
    assert gallery.remove(Where(ids=(ids[0], ids[1]))) == 2
    assert gallery.remove(Where(cameras=("c2",))) == sum(image.entry.camera == "c2" for image in images[2:])
    assert all(match.entry.id not in ids[:2] for match in gallery.search(vectors[:1], count))
    assert gallery.known(ids[:2]) == set()


def _check_info(gallery: Gallery, count: int) -> None:
    info, model = gallery.info(), FakeEmbedder()
    assert (info.model, info.fingerprint, info.dimension) == (model.name, model.fingerprint, model.dimension)
    assert info.images == count
    assert sum(info.cameras.values()) == sum(info.modalities.values()) == count
    assert (info.first, info.last) == (1_700_000_000.0, 1_700_000_000.0 + count - 1)
