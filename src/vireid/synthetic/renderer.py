"""Rendering pictures of synthetic people: the entry point of the renderer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from vireid.synthetic import sensor, shade
from vireid.synthetic.backdrop import backdrop
from vireid.synthetic.geometry import ROWS, Scene, build
from vireid.synthetic.identity import Identity
from vireid.synthetic.materials import Spectrum
from vireid.synthetic.raster import trace
from vireid.synthetic.view import View
from vireid.types import VireidError

BATCH_SAMPLES = 250_000  # images are rendered in batches of about this many samples, which stay in the caches


def render(
    people: Sequence[Identity],
    views: Sequence[View],
    spectrum: Spectrum,
    height: int,
    width: int,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Render person ``i`` as view ``i`` shows it: uint8 (n, height, width, 3) on ``device``.

    Infrared images have three equal channels. The same arguments give the same bytes for any batch and number
    of threads. Raises ``VireidError`` if the two lists differ in length, a side is below 8 pixels or somebody
    stands behind the camera.
    """
    return render_with_masks(people, views, spectrum, height, width, device)[0]


def render_with_masks(
    people: Sequence[Identity],
    views: Sequence[View],
    spectrum: Spectrum,
    height: int,
    width: int,
    device: torch.device | str = "cpu",
) -> tuple[Tensor, Tensor]:
    """Like ``render``, with masks besides the images: bool (n, height, width), True where the person is visible.

    Masks have no motion blur, and exclude other people and anything in front of the person.
    """
    if len(people) != len(views):
        raise VireidError(f"views: expected one for each of the {len(people)} people, got {len(views)}")
    if min(height, width) < 8:
        raise VireidError(f"height, width: expected at least 8 pixels, got {height} x {width}")
    target = torch.device(device)
    images = torch.empty((len(people), height, width, 3), dtype=torch.uint8, device=target)
    masks = torch.empty((len(people), height, width), dtype=torch.bool, device=target)
    sizes = [sensor.sensor_size(view, spectrum, height, width) for view in views]
    for rows, columns in sorted(set(sizes)):
        alike = [index for index, size in enumerate(sizes) if size == (rows, columns)]
        step = max(1, BATCH_SAMPLES // (ROWS * rows * columns))
        for first in range(0, len(alike), step):
            mine = alike[first : first + step]
            batch = [people[index] for index in mine], [views[index] for index in mine]
            codes, body = _render_batch(*batch, spectrum, rows, columns, target)
            images[mine] = sensor.fit(codes, height, width)
            masks[mine] = sensor.fit_mask(body, height, width)
    return images, masks


def _render_batch(
    people: Sequence[Identity],
    views: Sequence[View],
    spectrum: Spectrum,
    height: int,
    width: int,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Return a sensor's grey levels (n, height, width, channels) uint8 and the masks (n, height, width)."""
    count = len(people)
    scene = build(people, views, height, width)
    hits = trace(scene, count, ROWS * height, width, device)
    image = torch.div(hits.sample, ROWS * height * width, rounding_mode="floor")
    if spectrum is Spectrum.VISIBLE:
        light = shade.visible(scene, hits, image, views)
    else:
        stretch = _stretch(scene, height, width, device).index_select(0, hits.sample)
        lit = shade.thermal if spectrum is Spectrum.THERMAL else shade.infrared
        light = lit(scene, hits, image, views, stretch)
    body = torch.as_tensor(scene.body, device=device).index_select(0, hits.primitive)
    planes = torch.cat([light, torch.ones_like(light[:1]), body[None].float()])
    seen = _add_up(planes, hits.sample, (count, height, ROWS, width)) / ROWS
    total, covered, person = seen[:-2], seen[-2], seen[-1]
    scenery = backdrop(views, scene.windows, height, width, shade.BANDS[spectrum], device)
    behind = shade.light_backdrop(scenery, views, spectrum, [_spots(*pair) for pair in zip(people, views, strict=True)])
    blended = sensor.open_shutter(total, covered, person, behind, views)
    if spectrum is Spectrum.THERMAL:
        return sensor.develop(blended, views), person >= 0.5
    return sensor.expose(blended, views, spectrum), person >= 0.5


def _spots(person: Identity, view: View) -> list[shade.Spot]:
    """Return where the people in a picture stand, and their heights."""
    others = [(*passer.place, passer.person.build.height) for passer in view.passers]
    return [(*view.place, person.build.height), *others]


def _add_up(planes: Tensor, sample: Tensor, shape: tuple[int, int, int, int]) -> Tensor:
    """Add up the two samples of each pixel: (c, m) at samples (m,) to (c, n, h, w)."""
    empty = torch.zeros((len(planes), math.prod(shape)), device=planes.device)
    grid = empty.scatter_(1, sample.expand(len(planes), -1), planes).view(-1, *shape)
    return grid[:, :, :, 0] + grid[:, :, :, 1]


def _stretch(scene: Scene, height: int, width: int, device: torch.device) -> Tensor:
    """Return the squared length of every sample's ray per unit of depth, flat (n * 2 * height * width,) float32."""

    def each(name: str) -> Tensor:
        values = [getattr(window, name) for window in scene.windows]
        return torch.tensor(values, dtype=torch.float64, device=device).float()[:, None, None]

    row = torch.arange(ROWS * height, device=device)[:, None]
    column = torch.arange(width, device=device) + (0.25 + 0.5 * (row & 1))
    u = each("left") + each("width") * (column / width)
    v = each("top") + each("height") * ((row + 0.5) / (ROWS * height))
    return (1.0 + u * u + v * v).flatten()
