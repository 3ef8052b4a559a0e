"""Check that the parts of the method have an effect, on a fixed probe of training images after every epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from vireid.data.augment import normalise
from vireid.data.masks import Masks, body_masks
from vireid.data.pixels import PixelStore
from vireid.models.network import TwoStreamNetwork
from vireid.models.pooling import generalised_mean
from vireid.models.weakening import DynamicFeatureWeakening, channel_response, weakening_matrix
from vireid.training.device import autocast
from vireid.types import Dataset, Modality, Sample

PREFIX = "health/"
PROBE = 64
RESPONSE_POWER = 3.0
"""Exponent of the GeM over channels, eq. 4."""

LEAST_CHANGE, LEAST_ACTIVE, FEWEST_PEAKS, MOST_BY_POSITION = 0.05, 0.01, 3, 0.9
"""Limits below which (the last: above which) a part is called inert."""


@dataclass(frozen=True)
class Probe:
    """Rows of the pixel store for each modality, and the silhouettes (n, h, w) in that order, if any."""

    rows: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
    masks: Masks | None


def make_probe(dataset: Dataset, samples: Sequence[Sample], seed: int) -> Probe:
    """Draw up to `PROBE` of a run's training samples, half of each modality; row i of the store is sample i.

    Raises:
        VireidError: the record of a rendered set cannot be used.
    """
    random = np.random.default_rng(seed)
    modalities = np.array([s.modality for s in samples])
    drawn = [random.permutation(np.flatnonzero(modalities == m))[: PROBE // 2] for m in Modality]
    return Probe((drawn[0], drawn[1]), body_masks(dataset, [samples[i] for rows in drawn for i in rows]))


@torch.no_grad()
def measure_health(network: TwoStreamNetwork, store: PixelStore, probe: Probe, precision: str) -> dict[str, float]:
    """Return, by name with `PREFIX`, `weakening_health` of every DFW and `branches_health`.

    Runs the network in evaluation mode and draws no random number.
    """
    device = next(network.parameters()).device
    inputs: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        return lambda _, arguments: inputs.update({name: arguments[0]})

    modules = {name: m for name, m in network.named_modules() if isinstance(m, DynamicFeatureWeakening)}
    hooks = [module.register_forward_pre_hook(keep(name)) for name, module in modules.items()]
    training = network.training
    network.eval()
    try:
        sides = [normalise(store.batch(rows).to(device)) for rows in probe.rows]
        with autocast(device, precision):
            maps = network(*(side.contiguous(memory_format=torch.channels_last) for side in sides)).maps
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    found: dict[str, float] = {}
    for name, module in modules.items():
        place = name.rsplit(".", 1)[-1]
        found |= {f"{place}/{k}": v for k, v in weakening_health(module, inputs[name]).items()}
    found |= branches_health(maps, probe.masks)
    return {PREFIX + name: value for name, value in found.items() if math.isfinite(value)}


def weakening_health(module: DynamicFeatureWeakening, features: Tensor) -> dict[str, float]:
    """What DFW does to features (b, c, h, w).

    Its output for zeros is subtracted first (1/2 with the gate "features"), as the next BatchNorm removes constants.

    Returns:
        ``strong_to_weak``: share of the response (eq. 1) that strong positions (at or above the threshold) keep, over
        the share that weak ones keep; 1 weakens nothing. ``strong_before``, ``strong_after``: share of all response at
        strong positions.
        ``change``: distance between output and input after the best common scale, in norms of the input:
        0 if they are equal up to a factor, 1 if they have nothing in common.
    """
    weakened = (module.weaken(features) - module.weaken(torch.zeros_like(features[:1]))).float()
    features = features.float()
    before, after = channel_response(features), channel_response(weakened)
    strong = weakening_matrix(before, module.matrix, 0.0, module.beta) < 1
    sums = torch.stack([r[s].sum().double() for r in (before, after) for s in (strong, ~strong)]).tolist()
    strong_before, weak_before, strong_after, weak_after = sums
    norms = features.norm().double() * weakened.norm().double()
    cosine = float((features * weakened).sum(dtype=torch.float64) / norms)
    return {
        "strong_to_weak": _ratio(_ratio(strong_after, strong_before), _ratio(weak_after, weak_before)),
        "strong_before": _ratio(strong_before, strong_before + weak_before),
        "strong_after": _ratio(strong_after, strong_after + weak_after),
        "change": math.sqrt(max(0.0, 1 - cosine**2)),
    }


def branches_health(maps: Sequence[Tensor], masks: Masks | None) -> dict[str, float]:
    """Where the branches respond (eq. 4) in their maps (b, c, h, w).

    Returns:
        For every ``branch N``: ``peaks``, the number of cells that are the peak of any image; ``by_position``, the
        share of the response's variance within images that the mean over images explains (1: the same for every
        image); with ``masks`` (b, H, W) ``body``, the correlation over cells of response and area of the body, mean
        over images. For all ``branches``: ``apart``, the share of images in which they peak in different cells, and
        with ``masks`` ``apart_on_body``, in different cells that are all at least half body.
    """
    found: dict[str, float] = {}
    responses = [generalised_mean(features, RESPONSE_POWER, 1) for features in maps]
    peaks = torch.stack([response.flatten(1).argmax(1) for response in responses], 1)
    apart = torch.tensor([len(set(cells)) == len(maps) for cells in peaks.tolist()], device=peaks.device)
    area = None
    if masks is not None:
        area = torch.from_numpy(masks).to(peaks.device).float()[:, None]
        area = adaptive_avg_pool2d(area, (responses[0].shape[1], responses[0].shape[2]))[:, 0]
    for number, response in enumerate(responses, 1):
        centred = response - response.mean((1, 2), keepdim=True)
        part = f"branch {number}"
        found[f"{part}/peaks"] = float(len(peaks[:, number - 1].unique()))
        found[f"{part}/by_position"] = _ratio(float(centred.mean(0).square().mean()), float(centred.square().mean()))
        if area is not None:
            body = area - area.mean((1, 2), keepdim=True)
            norms = centred.norm(dim=(1, 2)) * body.norm(dim=(1, 2))
            found[f"{part}/body"] = float(((centred * body).sum((1, 2)) / norms)[norms > 0].mean())
    if len(maps) > 1:
        found["branches/apart"] = float(apart.float().mean())
        if area is not None:
            on_body = (area.flatten(1).gather(1, peaks) >= 0.5).all(1)
            found["branches/apart_on_body"] = float((apart & on_body).float().mean())
    return found


def health_history(lines: Sequence[dict[str, float]]) -> list[dict[str, float]]:
    """The health lines of a run's metrics in order, names without `PREFIX`."""
    found = [{k.removeprefix(PREFIX): v for k, v in line.items() if k.startswith(PREFIX)} for line in lines]
    return [health for health in found if health]


def health_lines(lines: Sequence[dict[str, float]]) -> list[str]:
    """One line on the method's health at the end of a run, and a warning for each inert part."""
    history = health_history(lines)
    if not history:
        return []
    parts: dict[str, list[str]] = {}
    for name, value in history[-1].items():
        part, measure = name.split("/")
        parts.setdefault(part, []).append(f"{measure.replace('_', ' ')} {value:.3g}")
    summary = "; ".join(f"{part}: {', '.join(numbers)}" for part, numbers in parts.items())
    return [f"Method health: {summary}", *(f"Warning: {text}" for text in health_warnings(history[-1]))]


def health_warnings(health: dict[str, float]) -> list[str]:
    """Say in plain words which parts are inert or do the opposite of their purpose; see `health_history`."""
    found = []
    for name, value in health.items():
        part, number = name.split("/")
        if number == "change" and value < LEAST_CHANGE:
            found.append(f"DFW after {part} changes features by {100 * value:.1f} %: it does nothing")
        elif number == "strong_to_weak" and value > 1:
            kept = f"keeps {value:.2f} times as much of strong as of weak positions"
            found.append(f"DFW after {part} {kept}: it does not weaken")
        elif number == "active" and value < LEAST_ACTIVE:
            found.append(f"the overlap penalty is above 0 in {100 * value:.1f} % of batches: it trains nothing")
        elif number == "by_position" and (value > MOST_BY_POSITION or health[f"{part}/peaks"] < FEWEST_PEAKS):
            peaks = f"{health[f'{part}/peaks']:.0f} cells" if health[f"{part}/peaks"] > 1 else "one cell"
            found.append(
                f"{part} peaks in {peaks} whatever the image, and position explains {100 * value:.0f} % of its "
                "response: it hardly depends on the image"
            )
        elif number == "body" and value < 0:
            found.append(f"{part} responds off the person (correlation with the body {value:.2f})")
    return found


def _ratio(a: float, b: float) -> float:
    return a / b if b > 0 else math.nan
