"""From people and views to rays: the input of the ray tracer, per primitive, in NumPy float64."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vireid.synthetic.figure import dress
from vireid.synthetic.identity import Identity
from vireid.synthetic.occluders import assemble
from vireid.synthetic.shapes import Array, Frames, Point, Shapes, corners, frames
from vireid.synthetic.view import View
from vireid.types import VireidError

ROWS = 2  # sample rows per pixel
NEAR = 0.3  # metres; the tracer requires that nothing is behind the camera
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Window:
    """The part of the image plane that one image covers, with its camera in the person's body frame.

    Image plane coordinates are in units of the focal length, u to the right and v down; a ray's direction is
    ``right * u + down * v + forward``. ``sun`` points to the light.
    """

    origin: Point
    right: Point
    down: Point
    forward: Point
    sun: Point
    left: float = 0.0
    top: float = 0.0
    width: float = 1.0
    height: float = 1.0


@dataclass(frozen=True)
class Scene:
    """All primitives of a batch, one row each, grouped by image.

    ``image`` (p,): the image that a primitive belongs to; ``body`` (p,): True if it is part of the person;
    ``rays`` (p, 3, 3): columns map (sample column, half more in odd rows; sample row; 1) to a ray's
    direction in the primitive's frame; ``origin`` (p, 3): the camera in that frame; ``light`` (p, 3, 3): rows are
    1 / scale, the direction to the sun and up, in that frame; ``surface`` (p, 17): see ``materials.texture``;
    ``box`` (p, 4): first and last + 1 sample column, then row.
    """

    image: Integers
    body: npt.NDArray[np.bool_]
    rays: Array
    origin: Array
    light: Array
    surface: Array
    box: Integers
    shape: Frames
    windows: tuple[Window, ...]


def build(people: Sequence[Identity], views: Sequence[View], height: int, width: int) -> Scene:
    """Lay out a batch of images of ``height`` x ``width`` pixels, which have ``2 * height`` x ``width`` samples.

    The two samples of a pixel lie a quarter pixel from its centre, one up and left, the other down and right, so that
    vertical and horizontal edges are both antialiased: the samples of odd rows are half a column to the right.
    """
    shapes = Shapes()
    body: list[bool] = []
    image: list[int] = []
    for index, (person, view) in enumerate(zip(people, views, strict=True)):
        figure = dress(person, view.phase, view.stride)
        own = len(figure.rows)
        _surround(figure, view)
        shapes.rows += figure.rows
        shapes.surfaces += figure.surfaces
        body += [True] * own + [False] * (len(figure.rows) - own)
        image += [index] * len(figure.rows)
    shape = frames(np.array(shapes.rows))
    owner, is_body = np.array(image), np.array(body)
    cameras = [_camera(view) for view in views]
    bounds = _bounds(cameras, corners(shape), owner)
    windows = []
    for index, (camera, view) in enumerate(zip(cameras, views, strict=True)):
        mine = bounds[(owner == index) & is_body]
        windows.append(_crop(camera, view, mine, width / height))
    return _scene(shape, owner, is_body, np.array(shapes.surfaces), bounds, windows, ROWS * height, width)


def _scene(
    shape: Frames,
    owner: Integers,
    body: npt.NDArray[np.bool_],
    surface: Array,
    bounds: Array,
    windows: list[Window],
    rows: int,
    columns: int,
) -> Scene:
    def each(values: list[Point]) -> Array:
        return np.array(values)[owner]

    left, top = (np.array([getattr(w, name) for w in windows])[owner] for name in ("left", "top"))
    across = np.array([w.width / columns for w in windows])[owner]
    down = np.array([w.height / rows for w in windows])[owner]
    u = _turn(shape.frame, each([w.right for w in windows]))
    v = _turn(shape.frame, each([w.down for w in windows]))
    forward = _turn(shape.frame, each([w.forward for w in windows]))
    start = forward + (left + 0.25 * across)[:, None] * u + (top + 0.5 * down)[:, None] * v
    rays = np.stack([across[:, None] * u, down[:, None] * v, start], axis=2)
    origin = _turn(shape.frame, each([w.origin for w in windows]) - shape.centre)
    light = np.stack(
        [1.0 / shape.scale, _turn(shape.frame, each([w.sun for w in windows])), shape.frame[:, :, 2]], axis=1
    )
    first_column = np.clip(np.floor((bounds[:, 0] - left) / across - 1.0), 0, columns)
    last_column = np.clip(np.ceil((bounds[:, 1] - left) / across + 1.0), 0, columns)
    first_row = np.clip(np.floor((bounds[:, 2] - top) / down - 0.5), 0, rows)
    last_row = np.clip(np.ceil((bounds[:, 3] - top) / down + 0.5), 0, rows)
    box = np.stack([first_column, last_column, first_row, last_row], axis=1).astype(np.int64)
    return Scene(owner, body, rays, origin, light, surface, box, shape, tuple(windows))


def _camera(view: View) -> Window:
    """Express the view's camera and sun in the person's body frame."""

    def into_body(x: float, y: float, z: float) -> Point:
        return *_into_body(view, x, y), z

    tilt = view.camera.pitch
    return Window(
        origin=into_body(-view.place[0], -view.place[1], view.camera.height),
        right=into_body(1.0, 0.0, 0.0),
        down=into_body(0.0, -math.sin(tilt), -math.cos(tilt)),
        forward=into_body(0.0, math.cos(tilt), -math.sin(tilt)),
        sun=into_body(*view.sun),
    )


def _into_body(view: View, x: float, y: float) -> tuple[float, float]:
    """Turn a horizontal vector from the world into the frame of the view's person."""
    ahead = (math.sin(view.yaw), -math.cos(view.yaw))  # the person's facing direction on the ground
    return x * ahead[1] - y * ahead[0], x * ahead[0] + y * ahead[1]


def _bounds(cameras: list[Window], points: Array, owner: Integers) -> Array:
    """Return (p, 4): smallest and largest u, then v, of each primitive's box on the image plane."""
    origin, right, down, forward = (
        np.array([getattr(camera, name) for camera in cameras])[owner][:, None, :]
        for name in ("origin", "right", "down", "forward")
    )
    ray = points - origin
    depth = _sum(ray * forward)
    if depth.min() < NEAR:
        raise VireidError(
            f"views: expected everything {NEAR} m or more in front of the camera, got {depth.min():.2f} m"
        )
    u, v = _sum(ray * right) / depth, _sum(ray * down) / depth
    return np.stack([u.min(axis=1), u.max(axis=1), v.min(axis=1), v.max(axis=1)], axis=1)


def _crop(camera: Window, view: View, bounds: Array, aspect: float) -> Window:
    """Place the detector's window around the body, with its errors, on whole sensor pixels."""
    left, right = float(bounds[:, 0].min()), float(bounds[:, 1].max())
    top, bottom = float(bounds[:, 2].min()), float(bounds[:, 3].max())
    aside, below, scale = view.crop
    height = max(bottom - top, (right - left) / aspect) * scale  # wide enough for swinging arms and legs
    focal = view.camera.focal
    height = math.floor(height * focal + 0.5) / focal
    width = height * aspect
    x = (left + right) / 2 + aside * height - width / 2
    y = (top + bottom) / 2 + below * height - height / 2
    return Window(
        camera.origin,
        camera.right,
        camera.down,
        camera.forward,
        camera.sun,
        left=math.floor(x * focal + 0.5) / focal,
        top=math.floor(y * focal + 0.5) / focal,
        width=width,
        height=height,
    )


def _surround(figure: Shapes, view: View) -> None:
    """Add the other people of the view and its occluder to the person's ``figure``."""
    for passer in view.passers:
        _put(figure, dress(passer.person, passer.phase, passer.stride), view, passer.place, passer.yaw)
    if view.occluder is not None:
        _put(figure, assemble(view.occluder), view, view.occluder.place, view.occluder.yaw)


def _put(figure: Shapes, thing: Shapes, view: View, place: tuple[float, float], yaw: float) -> None:
    """Add ``thing``, standing at ``place`` and facing ``yaw``, to the ``figure`` of the view's person."""
    cosine, sine = math.cos(yaw - view.yaw), math.sin(yaw - view.yaw)
    x, y = _into_body(view, place[0] - view.place[0], place[1] - view.place[1])
    for row in thing.rows:
        start, axis, side = (
            (cosine * row[i] - sine * row[i + 1], sine * row[i] + cosine * row[i + 1], row[i + 2]) for i in (0, 3, 6)
        )
        figure.rows.append((start[0] + x, start[1] + y, start[2], *axis, *side, *row[9:]))
    figure.surfaces += thing.surfaces


def _sum(values: Array) -> Array:
    return np.asarray(values[..., 0] + values[..., 1] + values[..., 2])


def _turn(frame: Array, vectors: Array) -> Array:
    """Multiply (p, 3, 3) matrices by (p, 3) vectors, summing in a fixed order."""
    return _sum(frame * vectors[:, None, :])
