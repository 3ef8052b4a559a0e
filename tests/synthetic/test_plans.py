"""What a synthetic set is to hold, before anything is rendered: the real sets' shapes, exactly."""

from __future__ import annotations

import io
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import loadmat

from vireid.layouts import find_layout
from vireid.layouts.counts import scaled
from vireid.synthetic.materials import Spectrum
from vireid.synthetic.plans import Plan, plan
from vireid.synthetic.settings import VERSION, from_record, rendered_layouts, synthetic_set
from vireid.types import Modality, VireidError

SYSU = Path(__file__).parents[2].parent / "shared" / "data" / "sysu_protocol"
LAYOUTS = rendered_layouts()


def ids(work: Plan, name: str) -> set[int]:
    return {int(word) for word in work.files[name].decode().split(",")}


@pytest.fixture(scope="module")
def sysu() -> Plan:
    return plan(synthetic_set("sysu", 491, seed=3))


def test_sysu_has_the_real_sets_shape(sysu: Plan) -> None:
    train, val, test = (ids(sysu, f"exp/{name}_id.txt") for name in ("train", "val", "test"))
    assert (len(train | val), len(test), len(val)) == (395, 96, 99)
    assert not train & test
    assert not val & (train | test)
    tested = [shot for shot in sysu.shots if shot.identity in test]
    images = Counter(shot.camera for shot in tested)
    people = {camera: len({shot.identity for shot in tested if shot.camera == camera}) for camera in range(1, 7)}
    assert [images[camera] for camera in range(1, 7)] == [1374, 1565, 1883, 1918, 1918, 1920]
    assert list(people.values()) == [56, 56, 93, 94, 95, 96]
    assert images[3] + images[6] == 3803
    assert people[1] + people[2] + people[4] + people[5] == 301
    assert people[1] + people[2] == 112
    modalities = Counter(shot.spectrum.modality for shot in sysu.shots if shot.identity not in test)
    assert modalities == {Modality.VISIBLE: 22_258, Modality.INFRARED: 11_909}
    assert len({(shot.identity, shot.spectrum) for shot in sysu.shots}) == 491 * 2


def test_sysu_test_rows_are_the_real_ones_in_another_order(sysu: Plan) -> None:
    if not SYSU.is_dir():
        pytest.skip("the real rand_perm_cam.mat is not at hand")
    cells = loadmat(SYSU / "rand_perm_cam.mat")["rand_perm_cam"]
    real = [
        tuple(cells[camera, 0][identity - 1, 0].shape[1] for camera in range(6))
        for identity in loadmat(SYSU / "test_id.mat")["id"].ravel()
    ]
    found = Counter((shot.identity, shot.camera) for shot in sysu.shots)
    test = sorted(ids(sysu, "exp/test_id.txt"))
    ours = [tuple(found[identity, camera] for camera in range(1, 7)) for identity in test]
    assert sorted(ours) == sorted(real)
    assert ours != sorted(ours)


def test_sysu_permutations_match_the_images(sysu: Plan) -> None:
    cells = loadmat(io.BytesIO(sysu.files["exp/rand_perm_cam.mat"]))["rand_perm_cam"]
    found = Counter((shot.camera, shot.identity) for shot in sysu.shots)
    absent = 0
    for camera, identity in product(range(1, 7), range(1, 492)):
        draws = cells[camera - 1, 0][identity - 1, 0]
        count = found[camera, identity]
        absent += count == 0
        assert draws.shape == (10, count)
        assert (np.sort(draws, axis=1) == np.arange(1, count + 1)).all()
    assert absent > 500


def test_regdb_and_llcm_have_the_real_sets_sizes() -> None:
    regdb = plan(synthetic_set("regdb"))
    assert set(Counter((shot.identity, shot.spectrum) for shot in regdb.shots).values()) == {10}
    for part, trial in product(("train", "test"), range(1, 11)):
        for name in ("visible", "thermal"):
            assert len(regdb.files[f"idx/{part}_{name}_{trial}.txt"].splitlines()) == 2060
    llcm = plan(synthetic_set("llcm"))
    test = ids(llcm, "idx/test_id.txt")
    people = {shot.identity for shot in llcm.shots}
    published = find_layout("llcm").published
    assert len(llcm.shots) == published["images"]
    assert len(test) == published["test identities"]
    assert len(people - test) == published["training identities"]
    assert {shot.camera for shot in llcm.shots} == set(range(1, 10))
    assert len({(shot.identity, shot.spectrum) for shot in llcm.shots}) == 1064 * 2
    assert all(shot.path.startswith("test_") == (shot.identity in test) for shot in llcm.shots)


@pytest.mark.parametrize("like", LAYOUTS)
def test_no_two_images_show_the_same_moment_or_have_one_path(like: str) -> None:
    shots = plan(synthetic_set(like, 30, seed=1)).shots
    assert len({shot.path for shot in shots}) == len(shots)
    assert len({(shot.identity, shot.camera, shot.image) for shot in shots}) == len(shots)


@pytest.mark.parametrize("like", LAYOUTS)
def test_a_given_number_of_images_is_everybodys(like: str) -> None:
    shots = plan(synthetic_set(like, 5, images=3)).shots
    per_cell = Counter((shot.identity, shot.camera, shot.spectrum) for shot in shots)
    assert set(per_cell.values()) == {3}
    assert len(per_cell) == 5 * {"sysu": 6, "regdb": 2, "llcm": 18, "folder": 2, "market": 6}[like]


@pytest.mark.parametrize("like", LAYOUTS)
def test_the_order_of_making_says_nothing_about_people(like: str) -> None:
    shots = plan(synthetic_set(like, 60, images=4)).shots
    cells: dict[tuple[int, Spectrum], list[int]] = {}
    for shot in shots:
        cells.setdefault((shot.camera, shot.spectrum), []).append(shot.identity)
    assert [(shot.camera, shot.spectrum) for shot in shots] == [key for key in cells for _ in cells[key]]
    for people in cells.values():
        same = np.mean(np.diff(people) == 0)
        assert same < 0.08  # 1 in 80 by chance, 3 in 4 in order
        assert abs(np.corrcoef(people, np.arange(len(people)))[0, 1]) < 0.25


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("identities", [2, 3, 7, 40])
def test_small_sets_keep_both_modalities_and_the_share_of_test_people(identities: int, seed: int) -> None:
    for like in ("sysu", "llcm"):
        settings = synthetic_set(like, identities, seed=seed)
        people: dict[int, set[Modality]] = {}
        for shot in plan(settings).shots:
            people.setdefault(shot.identity, set()).add(shot.spectrum.modality)
        assert people == {identity: set(Modality) for identity in range(1, identities + 1)}
    assert synthetic_set("sysu", 100).test_identities == 20


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30).filter(any), st.integers(0, 500))
def test_scaled_hits_the_sum_and_stays_within_one(counts: list[int], total: int) -> None:
    found = scaled(np.array(counts), total)
    assert found.sum() == total
    assert (np.abs(found - np.array(counts) * total / sum(counts)) < 1).all()
    assert not found[np.array(counts) == 0].any()


def test_the_same_settings_give_the_same_plan_and_another_seed_another() -> None:
    first, again, other = (plan(synthetic_set("llcm", 12, seed=seed)) for seed in (4, 4, 5))
    assert first == again
    assert first.shots != other.shots


def test_a_record_gives_the_settings_back() -> None:
    levels = {"viewpoint": 0.1, "light": 0.2, "occlusion": 0.3, "crop": 0.4, "noise": 0.5, "resolution": 0.6}
    for settings in (
        synthetic_set("regdb", seed=7, difficulty=0.5, masks=True),
        synthetic_set("llcm", 9, images=2, difficulty=levels | {"lookalikes": 1.0}, infrared="thermal"),
    ):
        assert from_record(settings.record()) == settings
    assert synthetic_set("regdb").infrared is Spectrum.THERMAL
    assert synthetic_set("sysu").infrared is Spectrum.NEAR
    record = synthetic_set().record()
    with pytest.raises(VireidError, match=f"expected a record of version {VERSION}, got 1"):
        from_record(record | {"version": 1})
    with pytest.raises(VireidError, match="unexpected keyword argument 'colour'"):
        from_record(record | {"colour": 1})
