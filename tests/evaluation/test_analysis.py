"""Thresholds, camera pairs and modality pairs against counting by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from tests.evaluation import datasets
from tests.reference.metrics import loop
from vireid.evaluation import RULES, Labels, mixed_setting, score_setting, settings_for
from vireid.evaluation.analysis import analyse
from vireid.evaluation.breakdown import breakdown
from vireid.evaluation.calibration import calibrate
from vireid.retrieval import MatrixRanking

DATA = datasets.sysu(identities=range(1, 9), images=3)
FEATURES = datasets.features(DATA, noise=1.5)
SETTING = settings_for(DATA)[0]


def pairs(trial: int) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Similarities of the same and of different people, one pair after the other."""
    unit = torch.nn.functional.normalize(FEATURES.embeddings)
    same, different = [], []
    for q in SETTING.trials[trial].query.tolist():
        for g in SETTING.trials[trial].gallery.tolist():
            if (int(FEATURES.cameras[q]), int(FEATURES.cameras[g])) == (3, 2):
                continue
            target = same if FEATURES.identities[q] == FEATURES.identities[g] else different
            target.append(float(unit[q] @ unit[g]))
    return np.array(same), np.array(different)


def test_rates_at_a_threshold_equal_counting() -> None:
    found = analyse(FEATURES, score_setting(FEATURES, SETTING))
    sides = [pairs(trial) for trial in range(10)]
    same, different = (np.concatenate(side) for side in zip(*sides, strict=True))
    points = [*found.thresholds.values(), found.equal_error, *found.det]
    for point in points:
        # 0.0002 leaves room for the last bit of the similarities.
        assert point.false_match_rate == pytest.approx((different >= point.threshold).mean(), abs=2e-4)
        assert point.false_non_match_rate == pytest.approx((same < point.threshold).mean(), abs=2e-3)
    for wanted, point in found.thresholds.items():
        assert point.false_match_rate <= wanted
        assert (different >= point.threshold - 2 / (1 << 14) - 1e-6).mean() > wanted
    rates = [(point.false_match_rate, point.false_non_match_rate) for point in found.det]
    assert rates[0][0] == 1
    assert (np.diff(np.array(rates), axis=0) * [-1, 1] >= 0).all()
    assert abs(found.equal_error.false_match_rate - found.equal_error.false_non_match_rate) < 0.02


def test_similarity_on_an_edge_counts_as_at_the_threshold() -> None:
    similarity = torch.tensor([[1.0, 0.5, -1.0, 0.25]])
    query = Labels(torch.tensor([1]), torch.tensor([1]))
    gallery = Labels(torch.tensor([1, 1, 2, 2]), torch.tensor([2, 2, 2, 2]))
    found = calibrate([(MatrixRanking(similarity), query, gallery)], RULES["folder"])
    point = found.at_false_match_rate(0.5)
    assert point.false_match_rate == 0.5
    assert -1 < point.threshold <= -1 + 2 / (1 << 14)
    none = found.at_false_match_rate(0)
    assert (none.false_match_rate, none.false_non_match_rate) == (0.0, 0.0)
    assert 0.25 < none.threshold <= 0.25 + 2 / (1 << 14)


@pytest.mark.parametrize("by", ["camera", "modality"])
def test_every_cell_equals_the_loop_on_its_pair(by: str) -> None:
    setting = mixed_setting(DATA) if by == "modality" else SETTING
    groups = FEATURES.cameras if by == "camera" else FEATURES.modalities
    unit = torch.nn.functional.normalize(FEATURES.embeddings)
    names = {0: "visible", 1: "infrared"} if by == "modality" else {c: f"camera {c}" for c in range(1, 7)}
    cells = {(cell.query, cell.gallery): cell for cell in breakdown(FEATURES, setting, by)}  # type: ignore[arg-type]
    seen = 0
    for q in np.unique(groups[setting.trials[0].query]):
        for g in np.unique(groups[setting.trials[0].gallery]):
            firsts, precisions = [], []
            for trial in setting.trials:
                queries = trial.query[groups[trial.query].numpy() == q]
                gallery = trial.gallery[groups[trial.gallery].numpy() == g]
                for row in queries:
                    allowed = [other for other in gallery if by == "camera" or other_allowed(row, other)]
                    outcome = loop_one(unit, row, allowed)
                    if outcome is not None:
                        firsts.append(outcome[0])
                        precisions.append(outcome[1])
            if not firsts:
                assert (names[int(q)], names[int(g)]) not in cells
                continue
            cell = cells[names[int(q)], names[int(g)]]
            seen += 1
            assert cell.valid_queries == len(firsts)
            assert cell.rank1 == pytest.approx(np.mean(np.array(firsts) == 1))
            assert cell.map == pytest.approx(np.mean(precisions))
    assert seen == len(cells) == (7 if by == "camera" else 4)


def other_allowed(row: int, other: int) -> bool:
    cameras = {int(FEATURES.cameras[row]), int(FEATURES.cameras[other])}
    same = FEATURES.identities[row] == FEATURES.identities[other]
    return row != other and not (same and len(cameras) == 1) and cameras != {2, 3}


def loop_one(unit: torch.Tensor, row: int, gallery: list[int]) -> tuple[int, float] | None:
    """First rank (by image: only rank 1 is read, where images and identities agree) and AP of one query."""
    camera = FEATURES.cameras[row : row + 1].numpy()
    if not any(
        FEATURES.identities[g] == FEATURES.identities[row] and {int(camera[0]), int(FEATURES.cameras[g])} != {2, 3}
        for g in gallery
    ):
        return None
    rows = torch.tensor(np.array(gallery))
    found = loop(
        (unit[row] @ unit[rows].T)[None].numpy(),
        FEATURES.identities[row : row + 1].numpy(),
        FEATURES.identities[rows].numpy(),
        camera,
        FEATURES.cameras[rows].numpy(),
        "sysu",
    )
    return found.first[0], found.map


def test_analysis_is_json_and_complete() -> None:
    result = score_setting(FEATURES, SETTING)
    found = json.loads(json.dumps(analyse(FEATURES, result).to_dict()))
    assert set(found["thresholds"]) == {"0.01", "0.001", "0.0001"}
    assert len(found["worst_ranks"]) == 10
    assert found["worst_ranks"][0] == result.trials[0].worst_rank.tolist()
    ranks = np.concatenate([t.worst_rank.numpy() for t in result.trials])
    assert found["worst_quantiles"]["all"] == ranks.max()
    assert found["worst_quantiles"]["median"] == np.median(ranks)
    low, high = found["intervals"]["rank1"]
    assert low <= result.mean["rank1"] <= high
    assert {cell["query"] for cell in found["modalities"]} == {"infrared"}
