import numpy as np
import torch

from tests.tiny import tiny_recipe
from vireid.evaluation.metrics import QueryScores
from vireid.models.network import build_network
from vireid.report.pictures import spread_queries, stage_maps
from vireid.types import Modality


def scores(identities: list[int], matches: list[int]) -> QueryScores:
    found = torch.tensor(matches)
    zeros = torch.zeros_like(found)
    return QueryScores(found, zeros, zeros, zeros, zeros.double(), torch.tensor(identities), zeros)


def test_queries_are_valid_of_different_identities_and_spread_over_the_list() -> None:
    identities = np.repeat(np.arange(10), 4).tolist()
    matches = [0 if i % 4 == 0 else 1 for i in range(40)]
    chosen = spread_queries(scores(identities, matches), 5)
    assert len(chosen) == 5
    assert chosen[0] == 1
    assert chosen[-1] == 37
    assert len({identities[i] for i in chosen}) == 5
    assert all(matches[i] for i in chosen)


def test_fewer_identities_than_asked_for_give_one_query_each() -> None:
    assert spread_queries(scores([7, 7, 8], [1, 1, 1]), 5) == [0, 2]


def test_stage_maps_are_what_the_network_computes() -> None:
    network = build_network(tiny_recipe().model, 3).eval()
    images = torch.randint(0, 256, (2, 3, 48, 32), dtype=torch.uint8)
    maps = stage_maps(network, images, Modality.INFRARED)
    assert list(maps) == ["layer2", "layer2 after DFW", "layer3", "layer3 after DFW", "branch 1", "branch 2"]
    for name in ("layer2", "layer3"):
        torch.testing.assert_close(maps[f"{name} after DFW"], network.weakening[name](maps[name]))
    torch.testing.assert_close(maps["branch 1"], network.branches[0].layer4(maps["layer3 after DFW"]))
    assert not any(m._forward_hooks for m in network.modules())


def test_a_network_without_dfw_shows_its_stages_once() -> None:
    network = build_network(tiny_recipe("model.weakening.after=[]", "model.branches=1").model, 3).eval()
    maps = stage_maps(network, torch.zeros(1, 3, 48, 32, dtype=torch.uint8), Modality.VISIBLE)
    assert list(maps) == ["layer2", "layer3", "branch 1"]
