"""Cameras, and the one moment at which a camera sees a person: place, viewpoint, pose, crop and light.

World frame: the camera stands above the origin and looks along +y, z is up, metres. Nothing here knows
identities: a view is drawn from (seed, identity number, camera, image number), so that any image can be
rendered alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from vireid.data.synthetic.difficulty import Difficulty, dial
from vireid.data.synthetic.identity import Identity, stream
from vireid.data.synthetic.materials import Colour


@dataclass(frozen=True)
class Camera:
    """A fixed pinhole camera: height in metres, pitch downwards in radians, focal length in pixels.

    ``reach`` is the nearest and farthest distance in metres at which it sees people, ``wall`` the distance
    of the wall behind them, ``sunlight`` and ``ambient`` its usual light (linear RGB), ``lamp`` its
    infrared lamp's strength.
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


@dataclass(frozen=True)
class Passer:
    """Another person in the picture, who is nobody's query: ground position, facing angle and gait as in `View`."""

    person: Identity
    place: tuple[float, float]
    yaw: float
    phase: float
    stride: float


@dataclass(frozen=True)
class View:
    """One image's circumstances, for every spectrum.

    ``place`` is the person's ground position, ``yaw`` the facing angle (0 towards the camera), ``phase``
    and ``stride`` the gait, ``crop`` the detector's error (right, down, as shares of the crop's height, and
    scale), ``sun`` the direction to the light, ``noise`` the sensor noise in grey levels, ``occluder`` None
    or (lateral offset, radius, height in metres, reflectance) of a post in front of the person, ``passers`` the other
    people in the picture, ``native`` the sensor's rows per row of the picture (1 or less), ``motion`` how far the
    person moved to the right and down while the shutter was open (shares of the crop's height), ``air`` the
    temperature of the surroundings in degrees Celsius, ``span`` the degrees that a thermal camera's gain spreads from
    black to white, ``warmest`` the temperature that it shows as white, ``key`` the numbers the noise derives from.
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
    occluder: tuple[float, float, float, float] | None
    passers: tuple[Passer, ...]
    native: float
    motion: tuple[float, float]
    air: float
    span: float
    warmest: float
    key: tuple[int, ...]


def sample_camera(seed: int, number: int) -> Camera:
    """Draw camera ``number`` of the site ``seed``: where it stands and what light it usually has."""
    rng = stream(seed, 1, number)
    height = float(rng.uniform(2.1, 3.6))
    near = float(rng.uniform(4.0, 5.0))
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
        wall=near + float(rng.uniform(4.5, 8.0)),
        sunlight=(strength * (1 + warmth), strength, strength * (1 - warmth)),
        ambient=ambient,
        azimuth=float(rng.uniform(-2.2, 2.2)),
        elevation=float(rng.uniform(0.7, 1.2)),
        lamp=float(rng.uniform(0.85, 1.15)),
    )


def sample_view(seed: int, number: int, camera: Camera, image: int, difficulty: Difficulty | float = 0.3) -> View:
    """Draw the circumstances of image ``image`` of person ``number`` before ``camera``.

    Every part of the dial draws from a stream of its own, so that turning one leaves the others as they are. Raises
    ``VireidError`` when the dial is out of range.
    """
    level = dial(difficulty)
    key = (number, camera.number, image)

    def part(index: int) -> np.random.Generator:
        return stream(seed, 2, *key, index)

    rng = part(0)
    distance = float(rng.uniform(*camera.reach))
    place = (_either(rng, 0.22) * distance, distance)
    phase, stride = float(rng.uniform(0.0, 2.0 * math.pi)), float(rng.uniform(0.75, 1.1))
    return View(
        camera=camera,
        place=place,
        yaw=_either(part(1), math.radians(20.0 + 160.0 * level.viewpoint)),
        phase=phase,
        stride=stride,
        **_light(part(2), camera, level.light),
        occluder=_post(part(3), 0.35 * level.occlusion),
        passers=(),
        crop=_crop(part(4), level.crop),
        **_sensor(part(5), level.noise),
        native=1.0 - 0.75 * level.resolution * float(part(6).random()),
        key=(seed, 3, *key),
    )


def _light(rng: np.random.Generator, camera: Camera, level: float) -> dict[str, Any]:
    azimuth = camera.azimuth + _either(rng, 0.2 + 1.2 * level)
    elevation = camera.elevation + _either(rng, 0.2)
    cast = _either(rng, 0.02 + 0.2 * level)
    bright = 2.0 ** _either(rng, 0.1 + 0.7 * level)
    return {
        "sun": _direction(azimuth, elevation),
        "sunlight": _tint(camera.sunlight, cast, bright),
        "ambient": _tint(camera.ambient, 0.5 * cast, 1.0),
        "exposure": 1.25 * 2.0 ** _either(rng, 0.1 + 0.4 * level),
        "lamp": camera.lamp * 2.0 ** _either(rng, 0.1 + 0.4 * level),
        "air": 15.0 + _either(rng, 3.0 + 10.0 * level),
        "span": 24.0 * 2.0 ** _either(rng, 0.1 + 0.4 * level),
        "warmest": 36.0 + _either(rng, 0.5 + 3.0 * level),
    }


def _crop(rng: np.random.Generator, level: float) -> tuple[float, float, float]:
    return (
        _either(rng, 0.015 + 0.05 * level),
        _either(rng, 0.01 + 0.06 * level),
        1.06 + 0.03 * float(rng.random()) + _either(rng, 0.14 * level),
    )


def _sensor(rng: np.random.Generator, level: float) -> dict[str, Any]:
    noise = 2.0 + 10.0 * level * float(rng.random())
    return {"noise": noise, "motion": (_either(rng, 0.03 * level), _either(rng, 0.01 * level))}


def _either(rng: np.random.Generator, reach: float) -> float:
    return reach * float(rng.uniform(-1.0, 1.0))


def _post(rng: np.random.Generator, probability: float) -> tuple[float, float, float, float] | None:
    hidden = float(rng.random()) < probability
    aside = _either(rng, 0.3)
    radius, height, grey = (float(rng.uniform(*reach)) for reach in ((0.05, 0.16), (0.5, 1.3), (0.05, 0.5)))
    return (aside, radius, height, grey) if hidden else None


def _direction(azimuth: float, elevation: float) -> tuple[float, float, float]:
    level = math.cos(elevation)
    return math.sin(azimuth) * level, -math.cos(azimuth) * level, math.sin(elevation)


def _tint(light: Colour, cast: float, strength: float) -> Colour:
    red, green, blue = light
    return red * strength * (1 + cast), green * strength, blue * strength * (1 - cast)
