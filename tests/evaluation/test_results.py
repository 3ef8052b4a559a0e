"""What a run reports."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch

from tests.evaluation import datasets
from tests.reference.metrics import loop
from tests.reference.reranking import k_reciprocal_distance
from vireid.evaluation import Facts, comparability, mixed_setting, pool, ranked_lists, score_setting, settings_for
from vireid.evaluation.ranked import RankingMethod
from vireid.types import FeatureKind, Features, Modality, VireidError

DATA = datasets.sysu(identities=range(1, 13), images=3)
SETTING = settings_for(DATA)[0]
FEATURES = datasets.features(DATA, noise=2.0)


def trial_sides(trial: int) -> tuple[Features, Features]:
    draw = SETTING.trials[trial]
    return FEATURES[draw.query], FEATURES[draw.gallery]


def reference(similarity: np.ndarray, query: Features, gallery: Features) -> dict[str, float]:  # type: ignore[type-arg]
    found = loop(
        similarity,
        query.identities.numpy(),
        gallery.identities.numpy(),
        query.cameras.numpy(),
        gallery.cameras.numpy(),
        "sysu",
    )
    ranks = {f"rank{rank}": float(found.cmc[rank - 1]) for rank in (1, 5, 10, 20)}
    return {**ranks, "map": found.map, "minp": found.minp}


def test_mean_and_deviation_equal_the_loop_over_trials() -> None:
    result = score_setting(FEATURES, SETTING)
    wanted = []
    for trial in range(10):
        query, gallery = trial_sides(trial)
        sides = [side.embeddings.double().numpy() for side in (query, gallery)]
        sides = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in sides]
        wanted.append(reference(sides[0] @ sides[1].T, query, gallery))
    for name, value in result.mean.items():
        assert value == pytest.approx(np.mean([trial[name] for trial in wanted]), abs=1e-9)
        assert result.std[name] == pytest.approx(np.std([trial[name] for trial in wanted]), abs=1e-9)
    assert result.std["map"] > 0
    assert result.curve[0] == pytest.approx(result.mean["rank1"])
    assert len(result.curve) == min(50, 12 * 4)


def test_reranked_numbers_are_those_of_the_reference_distances() -> None:
    result = score_setting(FEATURES, SETTING, method="k-reciprocal")
    query, gallery = trial_sides(4)
    distance = k_reciprocal_distance(query.embeddings.numpy(), gallery.embeddings.numpy())
    wanted = reference(-distance, query, gallery)
    for name, value in wanted.items():
        assert getattr(result.per_trial[4], name) == pytest.approx(value)
    assert result.to_dict()["rerank"] is True


def test_the_dictionary_states_every_fact_and_is_json() -> None:
    facts = Facts(FeatureKind.BEFORE_BNNECK, flip_averaging=True, checkpoint_rule="validation")
    found = json.loads(json.dumps(score_setting(FEATURES, SETTING, facts=facts).to_dict()))
    assert {
        "protocol": "sysu",
        "search": "all",
        "direction": "infrared-to-visible",
        "gallery_rule": "official",
        "shots": 1,
        "trials": 10,
        "official": True,
        "identity_cmc": True,
        "method": "cosine",
        "rerank": False,
        "feature": "before BNNeck",
        "flip_averaging": True,
        "checkpoint_rule": "validation",
        "queries": 72,
        "gallery_images": [48] * 10,
        "gallery_identities": [12] * 10,
        "valid_queries": [72] * 10,
    }.items() <= found.items()
    assert set(found["mean"]) == set(found["std"]) == {"rank1", "rank5", "rank10", "rank20", "map", "minp"}
    assert pytest.approx(found["chance"]["rank1"], rel=0.05) == 1 / 12


@pytest.mark.parametrize("method", get_args(RankingMethod))
def test_every_way_of_ranking_is_named(method: RankingMethod) -> None:
    assert score_setting(FEATURES, SETTING, method=method).method == method


def test_an_unknown_way_of_ranking() -> None:
    with pytest.raises(VireidError, match="expected one of cosine, k-reciprocal, query-expansion, camera-aware, got x"):
        score_setting(FEATURES, SETTING, method="x")  # type: ignore[arg-type]


def test_warnings() -> None:
    plain = score_setting(FEATURES, SETTING)
    assert plain.warnings == ("the gallery ranks 12 entries: rank-12 and beyond are 1 whatever the model",)
    one = replace(SETTING, trials=SETTING.trials[:1], official=False)
    text = " | ".join(score_setting(FEATURES, one, method="k-reciprocal", facts=Facts(flip_averaging=True)).warnings)
    for part in ("1 of the protocol's 10 trials", "not part of a published", "flip averaging", "k-reciprocal"):
        assert part in text
    cells = [(1, 1, Modality.VISIBLE, 1), (2, 1, Modality.INFRARED, 2), (2, 7, Modality.INFRARED, 3)]
    data = datasets.dataset("folder", cells)
    dropped = score_setting(datasets.features(data), settings_for(data)[0])
    assert any("3 of 5 queries have no true match" in warning for warning in dropped.warnings)
    assert dropped.per_trial[0].valid_queries == 2


def test_results_that_must_not_share_a_table() -> None:
    official = score_setting(FEATURES, SETTING)
    community = score_setting(FEATURES, settings_for(DATA, gallery_rule="community")[0])
    reranked = score_setting(FEATURES, SETTING, method="k-reciprocal")
    assert comparability([official, official]) == ()
    assert "gallery rules community and official" in comparability([official, community])[0]
    assert "cosine and k-reciprocal results are mixed" in comparability([official, reranked])[0]


def test_pooling_splits() -> None:
    data = datasets.dataset("regdb", [(c, i, Modality(c - 1), 4) for i in range(8) for c in (1, 2)])
    setting = settings_for(data)[0]
    first, second = (score_setting(datasets.features(data, noise=2, seed=seed), setting) for seed in (0, 1))
    both = pool([first, second])
    assert both.mean["map"] == pytest.approx((first.mean["map"] + second.mean["map"]) / 2)
    assert both.to_dict()["trials"] == 2
    with pytest.raises(VireidError, match="got 2 kinds"):
        pool([first, score_setting(datasets.features(data), setting, method="k-reciprocal")])


def test_features_of_another_data_set() -> None:
    with pytest.raises(VireidError, match="features: 10 rows, the setting needs more"):
        score_setting(FEATURES[:10], SETTING)


def test_mixed_search_skips_the_query_and_its_camera() -> None:
    setting = mixed_setting(DATA)
    result = score_setting(FEATURES, setting)
    assert not any("trials" in warning for warning in result.warnings)
    scores = result.trials[0]
    # Of 18 images of its identity a query may find the 15 of other cameras; cameras 2 and 3 lose each other's 3.
    expected = torch.where((FEATURES.cameras == 2) | (FEATURES.cameras == 3), 12, 15)
    assert torch.equal(scores.matches, expected)
    # Perfect features in both modalities find everything.
    perfect = Features(torch.eye(13)[FEATURES.identities], FEATURES.identities, FEATURES.cameras, FEATURES.modalities)
    assert score_setting(perfect, setting).mean["minp"] == 1.0


def test_ranked_lists_leave_out_what_the_rule_removes() -> None:
    queries = [0, 5, 40, 71]
    lists = ranked_lists(FEATURES, SETTING, queries, k=48, trial=3)
    draw = SETTING.trials[3]
    unit = torch.nn.functional.normalize(FEATURES.embeddings)
    for position, query in enumerate(queries):
        row = int(draw.query[query])
        allowed = [int(g) for g in draw.gallery if not (FEATURES.cameras[row] == 3 and FEATURES.cameras[g] == 2)]
        wanted = sorted(allowed, key=lambda g: -float(unit[row] @ unit[g]))
        assert int(lists.query[position]) == row
        assert lists.gallery[position, : len(wanted)].tolist() == wanted
        same = [bool(FEATURES.identities[g] == FEATURES.identities[row]) for g in wanted]
        assert lists.correct[position, : len(wanted)].tolist() == same
        assert bool((lists.similarity[position, len(wanted) :] == -torch.inf).all())
        assert not bool(lists.correct[position, len(wanted) :].any())
