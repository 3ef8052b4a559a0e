"""Market-1501: its folders, its junk and distractors, and what one modality can be used for."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.evaluation.datasets import features
from tests.trees import write_image, write_market
from vireid.data.layouts import open_dataset
from vireid.evaluation import score_setting, settings_for
from vireid.synthetic import synthetic_set, write_tree
from vireid.types import Features, Modality, VireidError


def fails(root: Path, *fragments: str) -> None:
    with pytest.raises(VireidError) as caught:
        open_dataset(root)
    assert "\n" not in str(caught.value)
    assert all(fragment in str(caught.value) for fragment in fragments), caught.value


def test_identities_cameras_and_parts(tmp_path: Path) -> None:
    root = write_market(tmp_path, images=3)
    (root / "query" / "Thumbs.db").write_bytes(b"x")
    (root / "gt_bbox").mkdir()
    dataset = open_dataset(root)
    assert dataset.layout == "market"
    facts = [(s.path.relative_to(root).as_posix(), s.identity, s.camera, s.modality) for s in dataset.train]
    assert facts == [
        (f"bounding_box_train/{i:04d}_c{c}s1_{100 * n:06d}_00.jpg", i, c, Modality.VISIBLE)
        for i in (2, 7, 11)
        for c in (1, 2)
        for n in range(3)
    ]
    assert dataset.queries == (0, 1, 2, 3)
    folders = [s.path.parent.name for s in dataset.test]
    assert folders == ["query"] * 4 + ["bounding_box_test"] * 13
    assert {s.identity for s in dataset.test} == {0, 1, 3}  # a distractor, no junk
    assert {dataset.identity_name(s) for s in dataset.test} == {"0000", "0001", "0003"}


def test_names_of_sets_that_are_built_alike(tmp_path: Path) -> None:
    root = write_market(tmp_path)
    random = np.random.default_rng(1)
    write_image(root / "bounding_box_train" / "0040_c8_f0046302.jpg", random, grey=False)
    last = open_dataset(root).train[-1]
    assert (last.identity, last.camera) == (40, 8)


def test_flaws(tmp_path: Path) -> None:
    root = write_market(tmp_path / "a")
    (root / "query" / "nobody.jpg").write_bytes(b"x")
    fails(root, str(root / "query" / "nobody.jpg"), "0002_c1s1_000451_03.jpg")
    (root / "query" / "nobody.jpg").rename(root / "query" / "-1_c1s1_000001_00.jpg")
    fails(root, str(root / "query" / "-1_c1s1_000001_00.jpg"), "bounding_box_test alone")
    shutil.rmtree(root / "query")
    fails(root, str(root / "query"), "restore it")
    root = write_market(tmp_path / "b", train=(1, 2), test=(2, 3))
    fails(root, "identity 0002 is in the training and the test part")
    (root / "query" / f"{'9' * 40}_c1s1_000001_00.jpg").write_bytes(b"x")
    fails(root, "expected a name such as")


def test_queries_meet_the_gallery_alone_and_skip_their_camera(tmp_path: Path) -> None:
    dataset = open_dataset(write_market(tmp_path))
    (setting,) = settings_for(dataset)
    assert setting.name == "market visible-to-visible"
    assert (setting.official, setting.published, setting.shots) == (True, 1, None)
    (trial,) = setting.trials
    assert trial.query.tolist() == [0, 1, 2, 3]
    assert trial.gallery.tolist() == list(range(4, 13))
    found = score_setting(features(dataset), setting).trials[0]
    assert found.matches.tolist() == [2, 2, 2, 2]  # of four images two are of the query's camera
    assert found.candidates.tolist() == [7, 7, 7, 7]


def test_numbers_are_those_of_a_plain_loop(tmp_path: Path) -> None:
    dataset = open_dataset(write_market(tmp_path, test=(1, 3, 4, 8), images=3, cameras=(1, 2, 5)))
    made: Features = features(dataset, noise=2.0)
    (setting,) = settings_for(dataset)
    result = score_setting(made, setting)
    unit = torch.nn.functional.normalize(made.embeddings)
    ranks, precisions = [], []
    for q in setting.trials[0].query:
        query = dataset.test[q]
        gallery = [
            g
            for g in setting.trials[0].gallery
            if (dataset.test[g].identity, dataset.test[g].camera) != (query.identity, query.camera)
        ]
        order = sorted(gallery, key=lambda g: -float(unit[q] @ unit[g]))
        hits = [k for k, g in enumerate(order, 1) if dataset.test[g].identity == query.identity]
        ranks.append(hits[0])
        precisions.append(np.mean([n / k for n, k in enumerate(hits, 1)]))
    assert result.mean["rank1"] == pytest.approx(np.mean(np.array(ranks) == 1))
    assert result.mean["map"] == pytest.approx(np.mean(precisions))
    assert 0 < result.mean["rank1"] < 1


def test_a_rendered_tree_is_read_back(tmp_path: Path) -> None:
    write_tree(tmp_path / "set", synthetic_set("market", 4, images=2, height=24, width=12))
    dataset = open_dataset(tmp_path / "set")
    assert len({s.identity for s in dataset.train}) == 2
    assert dataset.queries is not None
    assert len(dataset.queries) == 12
    assert {s.modality for s in (*dataset.train, *dataset.test)} == {Modality.VISIBLE}
    with pytest.raises(VireidError, match="images: expected 2 or more"):
        write_tree(tmp_path / "other", synthetic_set("market", 4, images=1))
