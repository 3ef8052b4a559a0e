"""Cameras, and the one moment at which a camera sees a person: place, viewpoint, pose, crop and light.

World frame: the camera stands above the origin and looks along +y, z is up, metres. Nothing here knows
identities: a view is drawn from (seed, identity number, camera, image number), so that any image can be
rendered alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vireid.data.synthetic.identity import check_difficulty, stream
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
class View:
    """One image's circumstances, for either modality.

    ``place`` is the person's ground position, ``yaw`` the facing angle (0 towards the camera), ``phase``
    and ``stride`` the gait, ``crop`` the detector's error (right, down, as shares of the crop's height, and
    scale), ``sun`` the direction to the light, ``noise`` the sensor noise in grey levels, ``occluder`` None
    or (lateral offset, radius, height in metres, reflectance) of a post in front of the person, ``key`` the
    numbers the image's noise derives from.
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


def sample_view(seed: int, number: int, camera: Camera, image: int, difficulty: float = 0.3) -> View:
    """Draw the circumstances of image ``image`` of person ``number`` before ``camera``.

    ``difficulty`` in [0, 1] scales viewpoint spread, light, crop errors, noise and occluders. Raises
    ``VireidError`` when it is out of range.
    """
    check_difficulty(difficulty)
    key = (number, camera.number, image)
    rng = stream(seed, 2, *key)

    def either(reach: float) -> float:
        return _either(rng, reach)

    yaw = either(math.radians(20.0 + 160.0 * difficulty))
    distance = float(rng.uniform(*camera.reach))
    azimuth = camera.azimuth + either(0.2 + 1.2 * difficulty)
    elevation = camera.elevation + either(0.2)
    cast = either(0.02 + 0.2 * difficulty)
    bright = 2.0 ** either(0.1 + 0.7 * difficulty)
    occluder = _post(rng, 0.35 * difficulty)
    return View(
        camera=camera,
        place=(either(0.22) * distance, distance),
        yaw=yaw,
        phase=float(rng.uniform(0.0, 2.0 * math.pi)),
        stride=float(rng.uniform(0.75, 1.1)),
        crop=(
            either(0.015 + 0.05 * difficulty),
            either(0.01 + 0.06 * difficulty),
            1.06 + 0.03 * float(rng.random()) + either(0.14 * difficulty),
        ),
        sun=_direction(azimuth, elevation),
        sunlight=_tint(camera.sunlight, cast, bright),
        ambient=_tint(camera.ambient, 0.5 * cast, 1.0),
        exposure=1.25 * 2.0 ** either(0.1 + 0.4 * difficulty),
        lamp=camera.lamp * 2.0 ** either(0.1 + 0.4 * difficulty),
        noise=2.0 + 10.0 * difficulty * float(rng.random()),
        occluder=occluder,
        key=(seed, 3, *key),
    )


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
