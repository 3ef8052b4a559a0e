"""Which images each protocol queries and ranks."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from tests.evaluation import datasets
from vireid.evaluation import mixed_setting, settings_for
from vireid.types import Dataset, Modality, Sample, VireidError

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "sysu_protocol"
V, I = Modality.VISIBLE, Modality.INFRARED  # noqa: E741


def real_sysu() -> Dataset:
    """The test part of SYSU-MM01 without its images, from the published permutations."""
    if not SHARED.is_dir():
        pytest.skip("the permutation file of SYSU-MM01 is not part of the repository")
    loadmat = pytest.importorskip("scipy.io").loadmat
    cells, table = [], {}
    permutations = loadmat(SHARED / "rand_perm_cam.mat")["rand_perm_cam"]
    for identity in loadmat(SHARED / "test_id.mat")["id"].ravel().tolist():
        for camera in range(1, 7):
            orders = permutations[camera - 1, 0][identity - 1, 0].astype(np.int64) - 1
            if orders.size:
                cells.append((camera, identity, I if camera in (3, 6) else V, orders.shape[1]))
                table[camera, identity] = orders
    return datasets.dataset("sysu", cells, table)


def test_sysu_has_the_published_sizes() -> None:
    data = real_sysu()
    found = {
        (s.search, s.direction, s.shots): (len(s.trials[0].query), len(s.trials[0].gallery))
        for s in settings_for(data, multi_shot=True)
    }
    to_visible, to_infrared = "infrared-to-visible", "visible-to-infrared"
    assert found["all", to_visible, 1] == (3803, 301)
    assert found["indoor", to_visible, 1] == (3803, 112)
    assert found["all", to_visible, 10] == (3803, 3010)
    assert found["indoor", to_visible, 10] == (3803, 1120)
    assert found["all", to_infrared, 1] == (6775, 56 + 95 + 96 - 58)
    for setting in settings_for(data):
        assert len(setting.trials) == 10
        assert setting.gallery_rule == "official"


def test_official_gallery_takes_the_first_entries_of_the_permutation() -> None:
    data = datasets.sysu()
    setting = next(s for s in settings_for(data, multi_shot=True) if s.shots == 10 and s.search == "all")
    single = settings_for(data)[0]
    for trial in range(10):
        wanted = []
        for identity in (3, 7, 12):
            for camera in (1, 2, 4, 5):
                order = data.gallery_permutations[camera, identity][trial]
                wanted += [f"cam{camera}/{identity:04d}/{position + 1:04d}.jpg" for position in order]
        found = [str(data.test[row].path) for row in setting.trials[trial].gallery]
        assert found == wanted
        assert [str(data.test[row].path) for row in single.trials[trial].gallery] == wanted[::4]


def test_community_gallery_is_drawn_like_the_public_code() -> None:
    data = datasets.sysu(permutations=False)
    state = random.getstate()
    for setting, cameras in zip(settings_for(data)[::2], ((1, 2, 4, 5), (1, 2)), strict=True):
        assert (setting.gallery_rule, setting.direction) == ("community", "infrared-to-visible")
        for trial in range(10):
            random.seed(trial)
            wanted = []
            for identity in sorted((7, 3, 12)):
                for camera in cameras:
                    folder = f"cam{camera}/{identity:04d}/"
                    wanted.append(random.choice(sorted(folder + f"{image:04d}.jpg" for image in (2, 1, 4, 3))))
            assert [str(data.test[row].path) for row in setting.trials[trial].gallery] == wanted
    random.setstate(state)


def test_community_multi_shot_takes_what_is_there() -> None:
    data = datasets.sysu(images=12, permutations=False)
    few = datasets.sysu(images=3, permutations=False)
    for source, expected in ((data, 10), (few, 3)):
        setting = next(s for s in settings_for(source, multi_shot=True) if s.shots == 10)
        rows = setting.trials[0].gallery
        assert len(set(rows.tolist())) == len(rows) == 3 * 4 * expected


@pytest.mark.parametrize("gallery_rule", ["official", "community"])
def test_sysu_sides(gallery_rule: str) -> None:
    data = datasets.sysu()
    settings = settings_for(data, gallery_rule=gallery_rule)  # type: ignore[arg-type]
    assert len({setting.name for setting in settings}) == len(settings) == 4
    for setting in settings:
        query_cameras = {data.test[row].camera for row in setting.trials[0].query}
        gallery_cameras = {data.test[row].camera for row in setting.trials[0].gallery}
        visible = {1, 2, 4, 5} if setting.search == "all" else {1, 2}
        if setting.official:
            assert setting.direction == "infrared-to-visible"
            assert (query_cameras, gallery_cameras) == ({3, 6}, visible)
        else:
            assert setting.direction == "visible-to-infrared"
            assert (query_cameras, gallery_cameras) == (visible, {3, 6})
        assert setting.gallery_rule == gallery_rule
        assert setting.gallery_rule in setting.name


def test_official_rule_without_permutations() -> None:
    with pytest.raises(VireidError, match=r"rand_perm_cam\.mat: needed"):
        settings_for(datasets.sysu(permutations=False), gallery_rule="official")


def test_permutations_that_do_not_fit_the_files() -> None:
    data = datasets.sysu()
    short = Dataset("sysu", data.root, (), data.test[1:], gallery_permutations=data.gallery_permutations)
    with pytest.raises(VireidError, match="lists 4 images of identity 7 in camera 1, the test part has 3"):
        settings_for(short)


def test_sysu_without_indoor_cameras_has_no_indoor_line() -> None:
    cells = [(camera, 1, I if camera in (3, 6) else V, 2) for camera in (3, 4, 5, 6)]
    assert {s.search for s in settings_for(datasets.dataset("sysu", cells))} == {"all"}


def test_sysu_with_strange_cameras_is_an_error() -> None:
    cells = [(camera, 1, I if camera == 9 else V, 2) for camera in (8, 9)]
    with pytest.raises(VireidError, match="no infrared images of cameras 3, 6"):
        settings_for(datasets.dataset("sysu", cells))


def test_regdb_and_folder_use_whole_lists() -> None:
    for layout, official in (("regdb", True), ("folder", False)):
        data = datasets.dataset(layout, [(1, 1, V, 3), (2, 1, I, 2), (1, 2, V, 1)])
        to_visible, to_infrared = settings_for(data)
        assert to_visible.trials[0].query.tolist() == to_infrared.trials[0].gallery.tolist() == [3, 4]
        assert to_visible.trials[0].gallery.tolist() == to_infrared.trials[0].query.tolist() == [0, 1, 2, 5]
        assert (len(to_visible.trials), to_visible.shots, to_visible.official) == (1, None, official)
        assert to_visible.name == f"{layout} infrared-to-visible"


def test_llcm_draws_one_image_per_identity_and_camera() -> None:
    cells = [(camera, identity, m, 5) for identity in (9, 4) for camera in (1, 2, 5) for m in (V, I)]
    data = datasets.dataset("llcm", cells)
    for setting, query in zip(settings_for(data), (I, V), strict=True):
        assert len(setting.trials) == 10
        for trial in setting.trials:
            assert len(trial.query) == 30
            assert all(data.test[row].modality == query for row in trial.query)
            drawn = [data.test[row] for row in trial.gallery]
            assert [(s.identity, s.camera) for s in drawn] == [(i, c) for i in (4, 9) for c in (1, 2, 5)]
            assert all(s.modality == query.other for s in drawn)
        assert len({tuple(trial.gallery) for trial in setting.trials}) > 1


def test_a_test_part_with_one_modality_is_an_error() -> None:
    sample = Sample(Path("a"), 1, 1, V)
    with pytest.raises(VireidError, match="the test part has no infrared images"):
        settings_for(Dataset("folder", Path("root"), (), (sample,)))


def test_mixed_setting_ranks_everything_against_everything() -> None:
    data = datasets.sysu()
    setting = mixed_setting(data)
    assert setting.trials[0].query.tolist() == setting.trials[0].gallery.tolist() == list(range(len(data.test)))
    assert setting.rule.skips_same_image
    assert setting.rule.skips_same_camera
    assert not mixed_setting(datasets.dataset("folder", [(1, 1, V, 1)])).rule.skips_same_camera
