"""Choose an epoch by the mAP of held-out training identities, never by test images."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch

from vireid.data.pixels import PixelStore
from vireid.evaluation.metrics import score_queries, summarise
from vireid.evaluation.rules import Labels, MatchRule
from vireid.files import atomic_path, write_json
from vireid.layouts import find_layout
from vireid.models.network import TwoStreamNetwork
from vireid.retrieval.ranking import CosineRanking
from vireid.training.checkpoint import portable
from vireid.training.features import network_features
from vireid.training.monitor import Monitor
from vireid.types import FeatureKind, Features, Modality, Sample

BEST, HISTORY = "best.safetensors", "validation.json"


@dataclass(frozen=True)
class Validation:
    """mAP of held-out training identities, mean of both directions, by the rules of the layout.

    If all samples are of one modality, each is a query in all others, without those of its camera and identity.

    Args:
        samples: images of the held-out identities, row i of ``store`` is sample i.
        precision: as in `vireid.training.device.autocast`.
        validated: called with every (step, mAP) after it is recorded.
    """

    samples: tuple[Sample, ...]
    store: PixelStore
    layout: str
    precision: str
    validated: Callable[[int, float], None] | None = None

    def measure(self, network: TwoStreamNetwork, step: int, out: Path, monitor: Monitor) -> None:
        """Record the mAP after ``step`` batches in ``out`` and keep the network if it is the best so far."""
        kinds = network_features(network, self.store, self.samples, precision=self.precision)
        score = self._map(kinds[FeatureKind.AFTER_BNNECK])
        earlier = [entry for entry in _history(out) if entry["step"] < step]
        if all(score > entry["map"] for entry in earlier):
            with atomic_path(out / BEST) as path:
                safetensors.torch.save_file(portable(network.state_dict()), path)
        write_json(out / HISTORY, {"map": [*earlier, {"step": step, "map": score}]})
        monitor.record({"step": step, "validation_map": score})
        if self.validated:
            self.validated(step, score)

    def best(self, out: Path) -> tuple[str, Path]:
        """Return the selection rule in words and the weights it chose (validation.json has their step)."""
        identities = len({s.identity for s in self.samples})
        return f"best mAP on {identities} held-out training identities", out / BEST

    def _map(self, features: Features) -> float:
        sides = [features[(features.modalities == m).nonzero()[:, 0]] for m in Modality]
        if all(len(side) for side in sides):
            rule, pairs = find_layout(self.layout).rule, [(sides[0], sides[1]), (sides[1], sides[0])]
        else:
            rule = MatchRule("validation", skips_same_camera=True, skips_same_image=True)
            pairs = [(features, features)]
        images = torch.arange(len(features))
        found = [
            score_queries(
                CosineRanking(query.embeddings, gallery.embeddings),
                Labels.of(query, images[: len(query)]),
                Labels.of(gallery, images[: len(gallery)]),
                rule,
            )
            for query, gallery in pairs
        ]
        return sum(summarise(scores).map for scores in found) / len(found)


def _history(out: Path) -> list[dict[str, float]]:
    path = out / HISTORY
    return list(json.loads(path.read_text())["map"]) if path.exists() else []
