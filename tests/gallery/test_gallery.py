"""What every gallery does, in a folder and on a real server."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.gallery.galleries import DIMENSION, ColourEmbedder, people
from vireid.gallery.query import SHORTLIST, whole_id
from vireid.gallery.records import Entry, Gallery, NewImage, Where
from vireid.gallery.store import open_gallery, store_of
from vireid.types import Modality, VireidError

pytestmark = pytest.mark.filterwarnings("ignore:.*cannot index float16")

IMAGES = people(12)


@pytest.fixture
def gallery(place: str) -> Iterator[Gallery]:
    opened = open_gallery(place, create=ColourEmbedder())
    opened.add(IMAGES)
    yield opened
    opened.close()


def naive(query: np.ndarray, images: list[NewImage], top: int) -> list[str]:
    """The ids of the images nearest to the mean of the query, by a loop."""
    mean = query.mean(axis=0)
    scores = {image.entry.id: float(image.vector @ mean / np.linalg.norm(mean)) for image in images}
    return sorted(scores, key=lambda id: -scores[id])[:top]


def allows(where: Where, entry: Entry) -> bool:
    """Whether an entry is meant, by reading the documentation of `Where`."""
    timed = entry.time is not None
    return all(
        (
            not where.ids or entry.id in where.ids,
            where.modality is None or entry.modality == where.modality,
            not where.cameras or entry.camera in where.cameras,
            entry.camera not in where.not_cameras,
            where.since is None or (timed and entry.time >= where.since),
            where.until is None or (timed and entry.time < where.until),
            not where.tracks or entry.track in where.tracks,
        )
    )


MIDDLE = 1_700_000_000.0 + 60 * 20
RESTRICTIONS = (
    Where(),
    Where(modality=Modality.INFRARED),
    Where(cameras=("c0", "c3")),
    Where(not_cameras=("c0",)),
    Where(since=MIDDLE),
    Where(until=MIDDLE),
    Where(since=MIDDLE, until=MIDDLE + 600, not_cameras=("c1",)),
    Where(tracks=("t1", "t2")),
    Where(ids=tuple(image.entry.id for image in IMAGES[:9]), modality=Modality.VISIBLE),
    Where(cameras=("quote \" and \\ and ' and 夜",)),
)


def test_search_entries_and_remove_agree_with_a_loop_for_every_restriction(gallery: Gallery) -> None:
    query = IMAGES[5].vector[None]
    for where in RESTRICTIONS:
        meant = [image for image in IMAGES if allows(where, image.entry)]
        found = gallery.search(query, 100, where)
        assert [match.entry.id for match in found] == naive(query, meant, 100), where
        for match in found:
            image = next(image for image in IMAGES if image.entry.id == match.entry.id)
            assert match.entry == image.entry
            assert match.score == pytest.approx(float(image.vector @ query[0]), abs=2e-3)
        assert gallery.entries(where) == sorted((image.entry for image in meant), key=lambda entry: entry.id), where
    where = RESTRICTIONS[6]
    rest = [image for image in IMAGES if not allows(where, image.entry)]
    assert gallery.remove(where) == len(IMAGES) - len(rest) > 0
    assert gallery.remove(where) == 0
    assert [match.entry.id for match in gallery.search(query, 100)] == naive(query, rest, 100)
    assert len(gallery.entries()) == gallery.info().images == len(rest)


def test_an_image_is_in_once_and_its_parts_come_back(gallery: Gallery) -> None:
    ids = [image.entry.id for image in IMAGES]
    assert gallery.add([*IMAGES[:3], *people(1, seed=1), *people(1, seed=1)]) == 4
    assert gallery.info().images == len(IMAGES) + 4
    assert gallery.known([*ids[:4], "0" * 64]) == set(ids[:4])
    assert gallery.known([]) == set()
    np.testing.assert_allclose(gallery.vectors(ids[::-1]), [image.vector for image in IMAGES[::-1]], atol=1e-3)
    assert gallery.vectors([]).shape == (0, DIMENSION)
    assert [gallery.thumbnail(id) for id in ids[:3]] == [image.thumbnail for image in IMAGES[:3]]
    for call in (gallery.thumbnail, lambda id: gallery.vectors([ids[0], id])):
        with pytest.raises(VireidError, match="not in this gallery"):
            call("0" * 64)


def test_info_counts_what_is_there(gallery: Gallery) -> None:
    info = gallery.info()
    assert (info.images, info.dimension, info.fingerprint) == (48, DIMENSION, ColourEmbedder().fingerprint)
    assert info.cameras == {"c0": 12, "c1": 12, "c2": 12, "c3": 12}
    assert info.modalities == {"visible": 24, "infrared": 24}
    assert (info.first, info.last) == (1_700_000_000.0, 1_700_000_000.0 + 60 * 46)


def test_several_images_are_one_query_and_the_mean_direction_ranks(gallery: Gallery) -> None:
    query = np.stack([IMAGES[0].vector, IMAGES[1].vector, IMAGES[40].vector])  # two alone would tie
    found = gallery.search(query, 10)
    assert [match.entry.id for match in found] == naive(query, IMAGES, 10)


def test_reranking_orders_the_shortlist_like_the_ranking_of_the_whole(gallery: Gallery) -> None:
    import torch

    from vireid.retrieval.reranking import KReciprocalRanking

    assert len(IMAGES) < SHORTLIST
    query = IMAGES[5].vector[None]
    vectors = torch.from_numpy(gallery.vectors([image.entry.id for image in IMAGES]))
    rows = KReciprocalRanking(torch.from_numpy(query), vectors).top(8).rows[0].tolist()
    found = gallery.search(query, 8, rerank=True)
    assert [match.entry.id for match in found] == [IMAGES[row].entry.id for row in rows]
    for match, row in zip(found, rows, strict=True):
        assert match.score == pytest.approx(float(IMAGES[row].vector @ query[0]), abs=2e-3)


def test_entries_come_in_pages(gallery: Gallery) -> None:
    found: list[Entry] = []
    while page := gallery.entries(limit=7, after=found[-1].id if found else ""):
        assert len(page) <= 7
        found += page
    assert found == sorted((image.entry for image in IMAGES), key=lambda entry: entry.id)
    assert whole_id(gallery, found[3].id[:12]) == whole_id(gallery, found[3].id) == found[3].id
    with pytest.raises(VireidError, match="no image"):
        whole_id(gallery, "0" * 20)


def test_a_gallery_opens_again_and_refuses_another_model(gallery: Gallery, place: str) -> None:
    gallery.close()
    with pytest.raises(VireidError, match="holds vectors of colours") as error:
        open_gallery(place, create=ColourEmbedder("another"))
    assert "\n" not in str(error.value)
    again = open_gallery(place)
    assert len(again.search(IMAGES[0].vector[None], 100)) == len(IMAGES)
    assert store_of(again).problems() == []
    again.remove(Where(cameras=("c1",)))
    store_of(again).compact()
    assert store_of(again).problems() == []
    assert len(again.search(IMAGES[0].vector[None], 100)) == 36
    again.close()


def test_bad_arguments_are_one_line(gallery: Gallery) -> None:
    query = IMAGES[0].vector[None]
    for call in (
        lambda: gallery.search(query, 0),
        lambda: gallery.search(query, 10**6),
        lambda: gallery.search(query[:, :5], 3),
        lambda: gallery.search(query[:0], 3),
        lambda: gallery.search(query * np.nan, 3),
        lambda: gallery.search(np.concatenate([query, -query]), 3),
        lambda: gallery.remove(Where()),
        lambda: gallery.add([people(1, dimension=5)[0]]),
    ):
        with pytest.raises(VireidError) as error:
            call()
        assert "\n" not in str(error.value)
    assert gallery.info().images == len(IMAGES)


def test_a_gallery_that_does_not_exist_is_not_made_by_reading(place: str) -> None:
    with pytest.raises(VireidError, match="no gallery"):
        open_gallery(place)
    with pytest.raises(VireidError, match="no gallery"):
        open_gallery(place)


@pytest.mark.parametrize("place", ["server"], indirect=True)
def test_two_writers_at_once_on_a_server_lose_and_double_nothing(place: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    galleries = [open_gallery(place, create=ColourEmbedder()) for _ in range(2)]
    images = people(40)
    with ThreadPoolExecutor(2) as pool:
        for number in range(0, len(images), 20):
            list(pool.map(lambda gallery, n=number: gallery.add(images[n : n + 20]), galleries))
    assert galleries[0].known([image.entry.id for image in images]) == {image.entry.id for image in images}
    assert len(galleries[1].entries()) == len(images)
    for gallery in galleries:
        gallery.close()
