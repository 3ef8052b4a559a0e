"""Shading: from hits to the light or heat that reaches the camera, for each spectrum.

Visible: direct sunlight and soft light from above, both coloured; people cast shadows. Near infrared: a lamp at the
camera, brightest along its axis, whose light falls off with the square of the distance and is reflected by the
material's infrared reflectance; there is no colour. Thermal: skin is warm, clothes are cooler the thicker they are,
objects have the temperature of the air; light and colour have no effect.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vireid.synthetic.backdrop import SIDE, Backdrop, interpolate
from vireid.synthetic.geometry import Scene
from vireid.synthetic.identity import stream
from vireid.synthetic.materials import Spectrum
from vireid.synthetic.raster import Hits
from vireid.synthetic.view import View

CONTACT = 0.45  # radius of the dark patch under a person, metres
STRAY = 0.07  # share of infrared light that does not come directly from the lamp
QUARTER = math.pi / 2  # a quarter of a circle is a radius times this
FOLD = (0.035, 0.08)  # breadth and length of a fold of cloth, metres
FOLDS = 3  # random stream of an image's folds, besides one for the noise of each spectrum
SKIN = 34.0  # degrees Celsius of a face
VISIBLE, INFRARED, WARMTH = slice(0, 3), slice(3, 4), slice(4, 5)  # bands of a surface
BANDS = {Spectrum.VISIBLE: VISIBLE, Spectrum.NEAR: INFRARED, Spectrum.THERMAL: WARMTH}
Spot = tuple[float, float, float]  # where a body stands in the world, and its height, metres


def _columns(hits: Hits, *parts: npt.NDArray[np.float64]) -> Tensor:
    """Look up the rows of each hit's primitive: parts (p, k), concatenated, give (sum of k, m) float32."""
    table = np.ascontiguousarray(np.concatenate(parts, axis=1).T)
    return torch.as_tensor(table, device=hits.sample.device).float().index_select(1, hits.primitive)


def _pattern(surface: Tensor, hits: Hits, width: Tensor, height: Tensor) -> Tensor:
    """Return the share of the accent material at a hit, in [0, 1]; see ``materials.texture`` for ``surface`` (8, m).

    ``width`` is the primitive's radius and ``height`` the position along the body, both in metres.
    """
    x, y, _ = hits.point
    along, around = height * surface[0], _girth(hits, width) * surface[1]
    bands = ((along - along.floor()) < 0.5) * surface[2] + ((around - around.floor()) < 0.5) * surface[3]
    inside = ((x * width).abs() <= surface[5]) & ((height - surface[4]).abs() <= surface[6])
    return torch.maximum(bands, (inside & (y * surface[7] >= 0)).float())


def _girth(hits: Hits, width: Tensor) -> Tensor:
    """Return the distance around a primitive of radius ``width`` metres to the hits, from its side, in metres."""
    x, y, _ = hits.point
    # a quarter of the circumference per unit: a rational function, where an angle would need the arc tangent
    turn = y / (x.abs() + y.abs() + 1e-6)
    return (QUARTER * width) * torch.where(x >= 0, turn, 2.0 - turn)


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
    world. The normal points to the side that the camera sees, so the length is negative on the inside of a shell.
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
    """Return linear red, green and blue (3, m) of the hits; ``image`` (m,) is the image of each."""
    normal, length, _ = _normal(scene, hits)
    value = _columns(hits, scene.light[:, 1], scene.light[:, 2])
    direct = (0.85 * (_dot(normal, value[:3]) / length) + 0.15).clamp(min=0.0)
    soft = 0.7 + 0.3 * (_dot(normal, value[3:]) / length)
    light = torch.tensor([(*view.sunlight, *view.ambient) for view in views], dtype=torch.float64)
    lights = light.float().t().contiguous().to(image.device).index_select(1, image)
    return _reflectance(scene, hits, VISIBLE) * (lights[:3] * direct + lights[3:] * soft)


def infrared(scene: Scene, hits: Hits, image: Tensor, views: Sequence[View], stretch: Tensor) -> Tensor:
    """Return the infrared light (1, m) of the hits; ``stretch`` (m,) is the square of a ray's length per unit of
    depth."""
    _, length, facing = _normal(scene, hits)
    cosine = (-facing / (length * stretch.sqrt())).clamp(min=0.0)
    gain = _each([lamp_gain(view) for view in views], image.device).index_select(0, image)
    lamp = _beam(gain, hits.depth, stretch)
    return _reflectance(scene, hits, INFRARED) * (lamp * ((1.0 - STRAY) * cosine + STRAY))


def thermal(scene: Scene, hits: Hits, image: Tensor, views: Sequence[View], stretch: Tensor) -> Tensor:
    """Return the apparent temperature (1, m) of the hits in degrees Celsius; ``stretch`` as for `infrared`."""
    _, length, facing = _normal(scene, hits)
    graze = 1.0 + facing / (length * stretch.sqrt())  # 1 where the ray slides along the surface
    air = _each([view.air for view in views], image.device).index_select(0, image)
    shape = scene.shape
    place = np.stack([shape.scale[:, 0], shape.scale[:, 2], shape.along], axis=1)
    warmth, width, tall, along = _columns(hits, scene.surface[:, 16:17], place)
    # cloth is warmer where it touches the body; the folds differ in every image
    folds = torch.as_tensor(np.stack([_folds(view) for view in views]), device=image.device).view(1, -1)
    (fold,) = interpolate(folds, image, _girth(hits, width) / FOLD[0], (along + hits.point[2] * tall) / FOLD[1])
    warmth = warmth + warmth * (1.0 - warmth) * fold
    # cloth and skin emit least at grazing angles, where they reflect the surroundings instead
    degrees: Tensor = air + (SKIN - air) * warmth * (1.0 - 0.35 * graze * graze * graze)
    return degrees[None]


def _folds(view: View) -> npt.NDArray[np.float32]:
    """Return how close to the body the clothes of an image lie: (4096,) in [-0.5, 0.5]."""
    draws = stream(view.key[0], *view.key[1:], FOLDS).bytes(SIDE * SIDE)
    return np.asarray(np.frombuffer(draws, dtype=np.uint8) / np.float32(255) - np.float32(0.5))


def _beam(gain: Tensor, depth: Tensor, stretch: Tensor) -> Tensor:
    """Return the lamp's light on a surface: brightest in the middle, with the inverse square of the distance."""
    return gain / (depth * depth * stretch * stretch * stretch)


def lamp_gain(view: View) -> float:
    """Return lamp strength times gain: the camera compensates most, but not all, of the effect of distance."""
    usual = 0.5 * (view.camera.reach[0] + view.camera.reach[1])
    distance = math.hypot(view.place[0], view.place[1])
    return 1.3 * view.lamp * distance * math.sqrt(distance * usual)


def light_backdrop(scenery: Backdrop, views: Sequence[View], spectrum: Spectrum, spots: Sequence[list[Spot]]) -> Tensor:
    """Return the image of the backdrop (channels, n, h, w): linear light, or degrees Celsius for thermal.

    ``spots`` has the bodies that cast shadows in each image.
    """
    device = scenery.surface.device
    if spectrum is Spectrum.THERMAL:
        return _per_image([view.air for view in views], device) + 16.0 * (scenery.surface - 0.25)
    on_floor, depth, stretch = scenery.on_floor, scenery.depth, scenery.stretch
    if spectrum is Spectrum.NEAR:
        stand = _per_image([view.camera.height for view in views], device)
        wall = _per_image([view.camera.wall for view in views], device)
        cosine = torch.where(on_floor, stand, wall) / (depth * stretch.sqrt())
        lamp = _beam(_per_image([lamp_gain(view) for view in views], device), depth, stretch)
        return scenery.surface * (lamp * ((1.0 - STRAY) * cosine + STRAY))
    overhead = _per_image([view.sun[2] for view in views], device)
    facing = _per_image([max(0.0, -view.sun[1]) for view in views], device)
    cast, contact = _shadows(scenery, views, spots)
    sun = torch.where(on_floor, overhead, facing) * cast
    lights = [
        sun * _per_image([view.sunlight[band] for view in views], device)
        + _per_image([view.ambient[band] for view in views], device)
        for band in range(3)
    ]
    return scenery.surface * torch.stack([light * contact for light in lights])


def _shadows(scenery: Backdrop, views: Sequence[View], spots: Sequence[list[Spot]]) -> tuple[Tensor, Tensor]:
    """Return factors (n, h, w) on the sunlight, for the shadows of bodies on floor and wall, and on all light, for the
    dark area under their feet.

    From a point of the backdrop, go horizontally towards the sun until level with the body: the distance to the side
    and the height of the ray there decide whether the body, a spindle 0.28 m thick either way, blocks the light.
    """
    x, y, z = scenery.point
    device = x.device
    level = [math.sqrt(view.sun[0] * view.sun[0] + view.sun[1] * view.sun[1]) for view in views]
    east = _per_image([view.sun[0] / flat for view, flat in zip(views, level, strict=True)], device)
    north = _per_image([view.sun[1] / flat for view, flat in zip(views, level, strict=True)], device)
    climb = _per_image([view.sun[2] / flat for view, flat in zip(views, level, strict=True)], device)
    cast, contact = torch.ones_like(x), torch.ones_like(x)
    for index in range(max(len(bodies) for bodies in spots)):
        # an image with fewer bodies gets one far behind the camera
        bodies = [each[index] if index < len(each) else (0.0, -1e3, 1.0) for each in spots]
        left, back, tall = (_per_image([body[i] for body in bodies], device) for i in range(3))
        ahead = back - y
        share = (z + climb * (left * east + ahead * north)) / tall - x * (climb * east / tall)  # of the body's height
        off = 12.0 * (left * north - ahead * east) - x * (12.0 * north)
        bulge = share - 0.55
        core = (3.36 - 10.8 * (bulge * bulge) - off.abs()).clamp(0.0, 1.0)
        cast = cast - cast * core * 0.9
        aside = x * (1.0 / CONTACT) - left * (1.0 / CONTACT)
        near = torch.where(scenery.on_floor, 1.0 - ahead * ahead * (1.0 / CONTACT**2), 0.0) - aside * aside
        near = near.clamp(min=0.0)
        contact = contact - contact * near * near * 0.5
    return cast, contact


def _each(values: Sequence[float], device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, device=device).float()


def _per_image(values: Sequence[float], device: torch.device) -> Tensor:
    return _each(values, device)[:, None, None]
