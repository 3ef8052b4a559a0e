"""From hits to light: pattern, shading and the sensor, for visible light and for the near infrared.

Visible: sun from its side, soft light from above, both coloured. Near infrared: a lamp at the camera, whose
light falls off with the square of the distance and meets the material's infrared reflectance; there is no
colour.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vireid.data.synthetic.backdrop import Backdrop
from vireid.data.synthetic.geometry import Scene
from vireid.data.synthetic.identity import stream
from vireid.data.synthetic.raster import Hits
from vireid.data.synthetic.view import View

STRAY = 0.07  # share of infrared light that does not come straight from the lamp
LEVELS = 4096
QUARTER = math.pi / 2  # a quarter of a circle is a radius times this
VISIBLE, INFRARED = slice(0, 3), slice(3, 4)  # bands of a reflectance


def _curve() -> npt.NDArray[np.float32]:
    """Grey level (0 to 255) of linear light in 4096 steps from 0 to 1: the sRGB transfer curve."""
    light = [index / (LEVELS - 1) for index in range(LEVELS)]
    code = [12.92 * x if x <= 0.0031308 else 1.055 * x ** (1 / 2.4) - 0.055 for x in light]
    return np.round(np.array(code) * 255.0, 2).astype(np.float32)


def _bell() -> npt.NDArray[np.float32]:
    """The 256 middle quantiles of a normal distribution: a random byte picks one."""
    from statistics import NormalDist

    return np.round([NormalDist().inv_cdf((i + 0.5) / 256) for i in range(256)], 4).astype(np.float32)


CURVE, BELL = _curve(), _bell()


def _columns(hits: Hits, *parts: npt.NDArray[np.float64]) -> Tensor:
    """Look up what belongs to each hit's primitive: parts (p, k) side by side give (sum of k, m) float32."""
    table = np.ascontiguousarray(np.concatenate(parts, axis=1).T)
    return torch.as_tensor(table, device=hits.sample.device).float().index_select(1, hits.primitive)


def _pattern(surface: Tensor, hits: Hits, width: Tensor, height: Tensor) -> Tensor:
    """Share of the accent material at a hit, in [0, 1]; see ``materials.texture`` for ``surface`` (8, m).

    ``width`` is the primitive's radius and ``height`` the place along the body, both in metres.
    """
    x, y, _ = hits.point
    # a quarter of the way round per unit: rational where an angle would need the arc tangent
    turn = y / (x.abs() + y.abs() + 1e-6)
    girth = (QUARTER * width) * torch.where(x >= 0, turn, 2.0 - turn)
    along, around = height * surface[0], girth * surface[1]
    bands = ((along - along.floor()) < 0.5) * surface[2] + ((around - around.floor()) < 0.5) * surface[3]
    inside = ((x * width).abs() <= surface[5]) & ((height - surface[4]).abs() <= surface[6])
    return torch.maximum(bands, (inside & (y * surface[7] >= 0)).float())


def _reflectance(scene: Scene, hits: Hits, bands: slice) -> Tensor:
    """Return the reflectance (bands, m) of the hits; bands 0 to 2 are red, green and blue, 3 is infrared."""
    surface, shape = scene.surface, scene.shape
    base, accent, pattern = surface[:, 0:4][:, bands], surface[:, 4:8][:, bands], surface[:, 8:16]
    place = np.stack([shape.scale[:, 0], shape.scale[:, 2], shape.along], axis=1)
    value = _columns(hits, base, accent, pattern, place)
    count = base.shape[1]
    width, tall, along = value[-3], value[-2], value[-1]
    share = _pattern(value[2 * count : 2 * count + 8], hits, width, along + hits.point[2] * tall)
    return value[:count] + share * (value[count : 2 * count] - value[:count])


def _normal(scene: Scene, hits: Hits) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor, Tensor]:
    """Return the normal in the primitive's frame, its length in metres and its product with the ray.

    The scalar product of this normal, divided by the length, with a direction in that frame is the cosine in the
    world. The normal's side that the camera sees counts, so the length is negative on the inside of a shell.
    """
    x, y, z = hits.point
    value = _columns(hits, scene.light[:, 0], scene.shape.quadric[:, 1:])
    normal = (x, y, -(0.5 * value[3] + value[4] * z))
    steep = [component * rate for component, rate in zip(normal, value[:3], strict=True)]
    length = (_dot(steep, steep)).sqrt() + 1e-9
    facing = _dot(normal, hits.ray)
    return normal, torch.where(facing > 0, -length, length), facing


def _dot(a: Sequence[Tensor] | Tensor, b: Sequence[Tensor] | Tensor) -> Tensor:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def visible(scene: Scene, hits: Hits, image: Tensor, views: Sequence[View]) -> Tensor:
    """Return linear red, green and blue (3, m) of the hits; ``image`` (m,) says whose they are."""
    normal, length, _ = _normal(scene, hits)
    value = _columns(hits, scene.light[:, 1], scene.light[:, 2])
    direct = (0.85 * (_dot(normal, value[:3]) / length) + 0.15).clamp(min=0.0)
    soft = 0.7 + 0.3 * (_dot(normal, value[3:]) / length)
    light = torch.tensor([(*view.sunlight, *view.ambient) for view in views], dtype=torch.float64)
    lights = light.float().t().contiguous().to(image.device).index_select(1, image)
    return _reflectance(scene, hits, VISIBLE) * (lights[:3] * direct + lights[3:] * soft)


def infrared(scene: Scene, hits: Hits, image: Tensor, views: Sequence[View], stretch: Tensor) -> Tensor:
    """Return the infrared light (1, m) of the hits; ``stretch`` (m,) is a ray's length per unit of depth."""
    _, length, facing = _normal(scene, hits)
    cosine = (-facing / (length * stretch)).clamp(min=0.0)
    distance = hits.depth * stretch
    gain = torch.tensor([lamp_gain(view) for view in views], dtype=torch.float64).float().to(image.device)
    lamp = gain.index_select(0, image) / (distance * distance)
    return _reflectance(scene, hits, INFRARED) * (lamp * ((1.0 - STRAY) * cosine + STRAY))


def lamp_gain(view: View) -> float:
    """Lamp strength times gain: the camera evens out most, not all, of the distance's effect."""
    usual = 0.5 * (view.camera.reach[0] + view.camera.reach[1])
    distance = math.hypot(view.place[0], view.place[1])
    return 1.25 * view.lamp * distance * math.sqrt(distance * usual)


def light_backdrop(scenery: Backdrop, views: Sequence[View], is_visible: bool) -> Tensor:
    """Return the backdrop's linear light (channels, n, h, w)."""
    reflectance = scenery.reflectance
    device = reflectance.device

    def each(values: Sequence[float] | Sequence[tuple[float, float, float]]) -> Tensor:
        return (
            torch.tensor(values, dtype=torch.float64, device=device)
            .float()
            .view(len(views), 1, 1, -1)
            .permute(3, 0, 1, 2)
        )

    if is_visible:
        light = each([view.sunlight for view in views]) * scenery.sun + each([view.ambient for view in views])
        return reflectance * (light * scenery.shadow)
    lamp = each([lamp_gain(view) for view in views]) / (scenery.distance * scenery.distance)
    return reflectance * (lamp * ((1.0 - STRAY) * scenery.lamp + STRAY))


def expose(light: Tensor, views: Sequence[View], is_visible: bool) -> Tensor:
    """Turn linear light (channels, n, h, w) into images (n, h, w, 3) uint8: exposure, transfer curve,
    sensor noise."""
    channels, count, rows, columns = light.shape
    device = light.device
    gain = [view.exposure if is_visible else 1.0 for view in views]
    exposure = torch.tensor(gain, dtype=torch.float64, device=device).float()[:, None, None]
    index = (light * exposure).clamp(0.0, 1.0) * (LEVELS - 1) + 0.5
    code = torch.as_tensor(CURVE, device=device).index_select(0, index.int().flatten()).view(light.shape)
    grain = np.empty((count, rows * columns * channels), dtype=np.float32)
    for noise, view in zip(grain, views, strict=True):
        draws = np.frombuffer(stream(view.key[0], *view.key[1:], int(is_visible)).bytes(noise.size), dtype=np.uint8)
        np.multiply(BELL[draws], np.float32(view.noise), out=noise)
    grains = torch.as_tensor(grain, device=device).view(count, rows, columns, channels)
    levels = (code.permute(1, 2, 3, 0) + grains + 0.5).clamp(0.0, 255.0)
    return levels.to(torch.uint8).expand(count, rows, columns, 3).contiguous()
