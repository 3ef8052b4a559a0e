"""Cameras, and views: the moment at which a camera sees a person, with place, viewpoint, pose, crop and light.

World frame: the camera stands above the origin and looks along +y, z is up, metres. Nothing here depends on who
the person is: a view is drawn from (seed, identity number, camera, image number), so that any image can be
rendered on its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from vireid.difficulty import Difficulty, dial
from vireid.synthetic.identity import Identity, sample_stranger, stream
from vireid.synthetic.materials import Colour
from vireid.synthetic.occluders import Occluder, beside, sample_occluder

HALF = 0.27  # half the width of a person, metres


@dataclass(frozen=True)
class Camera:
    """A fixed pinhole camera: height in metres, pitch downwards in radians, focal length in pixels.

    ``reach`` is the nearest and farthest distance in metres at which it sees people, ``wall`` the distance
    of the wall behind them, ``sunlight`` and ``ambient`` its usual light (linear RGB), ``lamp`` the strength of
    its infrared lamp, ``noise`` a factor on its sensor's noise, ``coarse`` how much low resolution affects it,
    in [0, 1], ``jpeg`` the quality of its files (75 to 95).
    """

    number: int
    seed: int
    height: float
    pitch: float
    focal: float
    reach: tuple[float, float]
    wall: float
    sunlight: Colour
    ambient: Colour
    azimuth: float
    elevation: float
    lamp: float
    noise: float
    coarse: float
    jpeg: int


@dataclass(frozen=True)
class Passer:
    """A passer-by, who is not an identity of the set: ground position, facing angle and gait as in `View`."""

    person: Identity
    place: tuple[float, float]
    yaw: float
    phase: float
    stride: float


@dataclass(frozen=True)
class View:
    """The circumstances of one image, for every spectrum.

    ``place`` is the person's ground position, ``yaw`` the facing angle (0 towards the camera), ``phase``
    and ``stride`` the gait, ``crop`` the detector's error (right, down, as shares of the crop's height, and
    scale), ``sun`` the direction to the light, ``noise`` the sensor noise in grey levels, ``occluder`` the object in
    front of the person, if any, ``passers`` the other people in the picture, ``native`` the sensor rows per row of the
    picture (1 or less), ``motion`` how far the person moved to the right and down while the shutter was open (shares
    of the crop's height), ``air`` the temperature of the surroundings in degrees Celsius, ``span`` the number of
    degrees between black and white at a thermal camera's gain, ``warmest`` the temperature that it shows as white,
    ``key`` the numbers from which the noise is derived.
    """

    camera: Camera
    place: tuple[float, float]
    yaw: float
    phase: float
    stride: float
    crop: tuple[float, float, float]
    sun: tuple[float, float, float]
    sunlight: Colour
    ambient: Colour
    exposure: float
    lamp: float
    noise: float
    occluder: Occluder | None
    passers: tuple[Passer, ...]
    native: float
    motion: tuple[float, float]
    air: float
    span: float
    warmest: float
    key: tuple[int, ...]


def sample_camera(seed: int, number: int) -> Camera:
    """Draw camera ``number`` of the site ``seed``: its position and its usual light."""
    rng = stream(seed, 1, number)
    height = float(rng.uniform(1.5, 4.0))
    near = float(rng.uniform(3.8, 5.2))
    middle = near + 1.5
    warmth = float(rng.uniform(-0.12, 0.12))
    level = float(rng.uniform(0.45, 0.7))
    ambient = (level * (1 + 0.5 * warmth), level, level * (1 - 0.5 * warmth))
    strength = float(rng.uniform(0.5, 0.9))
    return Camera(
        number=number,
        seed=seed,
        height=height,
        pitch=math.atan2(height - 0.9, middle),
        focal=float(rng.uniform(700.0, 1100.0)),
        reach=(near, near + 3.0),
        wall=near + float(rng.uniform(5.0, 8.5)),
        sunlight=(strength * (1 + warmth), strength, strength * (1 - warmth)),
        ambient=ambient,
        azimuth=float(rng.uniform(-2.2, 2.2)),
        elevation=float(rng.uniform(0.7, 1.2)),
        lamp=float(rng.uniform(0.85, 1.15)),
        noise=float(rng.uniform(0.7, 1.4)),
        coarse=float(rng.random()),
        jpeg=int(rng.integers(75, 96)),
    )


def sample_view(seed: int, number: int, camera: Camera, image: int, difficulty: Difficulty | float = 0.3) -> View:
    """Draw the circumstances of image ``image`` of person ``number`` in front of ``camera``.

    Every part of the dial draws from its own stream, so that changing one part leaves the others unchanged. Raises
    ``VireidError`` if the dial is out of range.
    """
    level = dial(difficulty)
    key = (number, camera.number, image)

    def part(index: int) -> np.random.Generator:
        return stream(seed, 2, *key, index)

    rng = part(0)
    phase = float(rng.uniform(0.0, 2.0 * math.pi))
    stride = float(rng.uniform(0.8, 1.05)) if float(rng.random()) < 0.88 else 0.12  # the others stand and wait
    rng = part(1)
    yaw = _either(rng, math.radians(20.0 + 160.0 * level.viewpoint))
    near, far = camera.reach
    distance = 0.5 * (near + far) + _either(rng, (0.4 + 0.6 * level.viewpoint) * 0.5 * (far - near))
    place = (_either(rng, 0.22) * distance, distance)
    occluder = sample_occluder(part(3), place, level.occlusion)
    return View(
        camera=camera,
        place=place,
        yaw=yaw,
        phase=phase,
        stride=stride,
        **_light(part(2), camera, level.light),
        occluder=occluder,
        passers=_passers(seed, key, place, camera.wall, level, alone=occluder is not None),
        crop=_crop(part(4), level.crop),
        **_sensor(part(5), camera, level.noise),
        native=1.0 - 0.75 * level.resolution * (0.6 * camera.coarse + 0.4 * float(part(6).random())),
        key=(seed, 3, *key),
    )


def _passers(
    seed: int, key: tuple[int, int, int], place: tuple[float, float], wall: float, level: Difficulty, alone: bool
) -> tuple[Passer, ...]:
    """Draw the other people in the picture: occasionally somebody behind and, unless ``alone``, somebody in front, who
    hides a share of the person that grows with the dial."""
    found = []
    for index, in_front in enumerate((False, True)):
        rng = stream(seed, 7, *key, index)
        present = float(rng.random()) < (0.3 if in_front else 0.35) * level.occlusion
        share, side = float(rng.random()), 1.0 if float(rng.random()) < 0.5 else -1.0
        if in_front:
            behind = -float(rng.uniform(1.2, 1.9))
            near = 1.0 + behind / place[1]  # as a share of the distance from camera to person
            hidden = (0.25 + 0.45 * level.occlusion) * share
            aside = side * near * (HALF + HALF / near - 2.0 * HALF * hidden)
        else:
            behind = float(rng.uniform(1.2, min(2.6, wall - place[1] - 0.6)))
            aside = side * (0.15 + 0.6 * share)
        yaw, phase = _either(rng, math.pi), float(rng.uniform(0.0, 2.0 * math.pi))
        stride = float(rng.uniform(0.8, 1.05))
        if present and not (in_front and alone):
            stranger = sample_stranger(seed, (*key, index), level)
            found.append(Passer(stranger, beside(place, behind, aside), yaw, phase, stride))
    return tuple(found)


def _light(rng: np.random.Generator, camera: Camera, level: float) -> dict[str, Any]:
    azimuth = camera.azimuth + _either(rng, 0.2 + 1.2 * level)
    elevation = camera.elevation + _either(rng, 0.2)
    cast = _either(rng, 0.02 + 0.2 * level)
    bright = 2.0 ** _either(rng, 0.1 + 0.7 * level)
    air, warmest = 15.0 + _either(rng, 3.0 + 10.0 * level), 34.0 + _either(rng, 0.5 + 2.5 * level)
    return {
        "sun": _direction(azimuth, elevation),
        "sunlight": _tint(camera.sunlight, cast, bright),
        "ambient": _tint(camera.ambient, 0.5 * cast, 1.0),
        "exposure": 1.25 * 2.0 ** _either(rng, 0.1 + 0.4 * level),
        "lamp": camera.lamp * 2.0 ** _either(rng, 0.1 + 0.4 * level),
        "air": air,
        "span": max(6.0, warmest - air) * (1.25 + (0.1 + 0.7 * level) * float(rng.random())),
        "warmest": warmest,
    }


def _crop(rng: np.random.Generator, level: float) -> tuple[float, float, float]:
    """Draw the detector's error: at ``level`` 0 the whole body is inside; at 1 half of the pictures cut off up to a
    quarter of it at the feet, and some cut off a little of the head or of one side."""
    aside, below = _either(rng, 0.012 + 0.05 * level), _either(rng, 0.01 + 0.03 * level)
    scale = 1.05 + 0.03 * float(rng.random()) + _either(rng, 0.1 * level)
    feet, head, side = (
        most * float(rng.random()) if float(rng.random()) < chance * level else 0.0
        for most, chance in ((0.25, 0.5), (0.1, 0.12), (0.2, 0.12))
    )
    aside += side if float(rng.random()) < 0.5 else -side
    kept = 1.0 - feet - head
    return aside, below + 0.5 * (head - feet) / kept, scale * kept


def _sensor(rng: np.random.Generator, camera: Camera, level: float) -> dict[str, Any]:
    noise = (2.0 + 10.0 * level * float(rng.random())) * camera.noise
    return {"noise": noise, "motion": (_either(rng, 0.03 * level), _either(rng, 0.01 * level))}


def _either(rng: np.random.Generator, reach: float) -> float:
    return reach * float(rng.uniform(-1.0, 1.0))


def _direction(azimuth: float, elevation: float) -> tuple[float, float, float]:
    level = math.cos(elevation)
    return math.sin(azimuth) * level, -math.cos(azimuth) * level, math.sin(elevation)


def _tint(light: Colour, cast: float, strength: float) -> Colour:
    red, green, blue = light
    return red * strength * (1 + cast), green * strength, blue * strength * (1 - cast)
