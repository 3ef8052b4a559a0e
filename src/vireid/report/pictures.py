"""Ranked lists and response maps of an evaluated run, in the form that the figures take."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vireid.data.augment import normalise
from vireid.data.pixels import PixelStore
from vireid.deploy.embedder import Embedder
from vireid.deploy.run import RunEmbedder
from vireid.evaluation.metrics import QueryScores
from vireid.evaluation.protocols import Setting
from vireid.evaluation.ranked import ranked_lists
from vireid.figures.heatmaps import HeatmapRow, overlay, response_map
from vireid.figures.ranked_lists import RankedEntry, RankedList
from vireid.models.backbone import map_of
from vireid.models.network import TwoStreamNetwork
from vireid.runs.evaluation import Evaluation
from vireid.types import Modality


def spread_queries(scores: QueryScores, count: int) -> list[int]:
    """Positions of up to ``count`` valid queries of different identities, spread evenly over the query list."""
    first: dict[int, int] = {}
    for position in scores.valid.nonzero()[:, 0].tolist():
        first.setdefault(int(scores.identities[position]), position)
    positions = list(first.values())
    picks = np.linspace(0, len(positions) - 1, min(count, len(positions))).round().astype(int)
    return [positions[i] for i in picks]


def query_lists(
    evaluation: Evaluation, setting: Setting, scores: QueryScores, count: int = 5
) -> tuple[RankedList, ...]:
    """Top-10 lists of the first trial for queries chosen without looking at the answers."""
    samples, name = evaluation.dataset.test, evaluation.dataset.identity_name
    found = ranked_lists(evaluation.features, setting, spread_queries(scores, count), k=10)
    lists = []
    for query, rows, similarities, correct in zip(*vars(found).values(), strict=True):
        entries = [
            RankedEntry(
                image=image(evaluation.store, row),
                label=name(samples[row]),
                similarity=similarity,
                correct=right,
                modality=samples[row].modality,
                camera=samples[row].camera,
            )
            for row, similarity, right in zip(rows.tolist(), similarities.tolist(), correct.tolist(), strict=True)
            if np.isfinite(similarity)
        ]
        sample = samples[int(query)]
        picture = image(evaluation.store, int(query))
        lists.append(RankedList(picture, name(sample), sample.modality, sample.camera, tuple(entries)))
    return tuple(lists)


def heatmap_rows(evaluation: Evaluation, rows: list[int]) -> tuple[HeatmapRow, ...]:
    """Response maps (eq. 1) of the first model for rows of the test part: of a run stage by stage, of an export the
    one that it returns, none of a model that cannot tell."""
    model, samples = evaluation.models[0], evaluation.dataset.test
    made = []
    for row in rows if model.responds else ():
        sample, picture = samples[row], image(evaluation.store, row)
        maps = _responses(model, evaluation.store.batch(np.array([row])), sample.modality)
        overlays = {name: overlay(picture[None], value)[0] for name, value in maps.items()}
        title = f"{sample.modality}, identity {evaluation.dataset.identity_name(sample)}, camera {sample.camera}"
        made.append(HeatmapRow(title, picture, overlays))
    return tuple(made)


def _responses(model: Embedder, images: Tensor, modality: Modality) -> dict[str, Tensor]:
    """Response maps (b, h, w) in [0, 1] by name."""
    if isinstance(model, RunEmbedder):
        return {name: response_map(value) for name, value in stage_maps(model.run.network, images, modality).items()}
    pixels = np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy())
    return {"response": torch.from_numpy(model.response(pixels, modality))}


@torch.no_grad()
def stage_maps(network: TwoStreamNetwork, images: Tensor, modality: Modality) -> dict[str, Tensor]:
    """Feature maps (b, c, h, w) by stage: the shared stages, those before and after DFW, and every branch's layer4.

    Args:
        images: (b, 3, h, w) uint8 of one modality.
    """
    maps: dict[str, Tensor] = {}
    hooks, own = [], slice(len(images))  # behind them a method may have put copies of the images
    for name in ("layer2", "layer3"):
        stage = getattr(network, name)
        hooks.append(
            stage.register_forward_hook(lambda _, __, out, name=name: maps.update({name: map_of(out)[own].clone()}))
        )
        if name in network.weakening:
            weakened = f"{name} after DFW"
            module = network.weakening[name]
            hooks.append(module.register_forward_hook(lambda _, __, out, name=weakened: maps.update({name: out[own]})))
    try:
        batch = normalise(images.to(next(network.parameters()).device))
        output = network(*((batch, None) if modality is Modality.VISIBLE else (None, batch)))
    finally:
        for hook in hooks:
            hook.remove()
    return maps | {f"branch {i}": value for i, value in enumerate(output.maps, 1)}


def image(store: PixelStore, row: int) -> npt.NDArray[np.uint8]:
    """One image of a store as (height, width, 3) uint8."""
    return store.batch(np.array([row]))[0].permute(1, 2, 0).numpy()
