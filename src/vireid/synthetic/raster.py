"""Ray casting: which primitive every sample sees, and where, by analytic intersection, row by row.

It uses only + - * / sqrt min max and integer operations: each is rounded the same way on every machine, so the
result does not depend on batch size, thread count or vector width.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vireid.synthetic.geometry import Scene
from vireid.synthetic.shapes import CLOSED

FAR = torch.iinfo(torch.int64).max
TESTS = 1 << 16  # tests of rays against primitives at a time, whose data stay in a core's cache


class Kind(enum.IntEnum):
    """How much of its quadric a primitive keeps; the less is cut off, the fewer tests it needs."""

    WHOLE = 0
    CUT = 1
    OPEN = 2


COLUMNS = {Kind.WHOLE: 8, Kind.CUT: 11, Kind.OPEN: 14}  # of `_Spans.table`


@dataclass(frozen=True)
class Hits:
    """The covered samples (m of them): flat position in (image, row, column), primitive, hit in the
    primitive's frame.

    ``point`` and ``ray`` are (x, y, z) of float32 (m,); the ray is not normalised; ``depth`` is along the
    camera's axis.
    """

    sample: Tensor
    primitive: Tensor
    depth: Tensor
    point: tuple[Tensor, Tensor, Tensor]
    ray: tuple[Tensor, Tensor, Tensor]


def trace(scene: Scene, images: int, rows: int, columns: int, device: torch.device) -> Hits:
    """Intersect all primitives of ``scene`` with the rays through (images, rows, columns) samples; keep the
    nearest."""
    spans = _Spans(scene, rows, columns, device)
    nearest = torch.full((images * rows * columns,), FAR, dtype=torch.int64, device=device)
    tests = TESTS if device.type == "cpu" else 64 * TESTS
    for kind in Kind:
        for part in spans.parts(kind, tests):
            _test(spans, kind, part, nearest)
    covered = (nearest != FAR).nonzero().squeeze(1)
    order = nearest.index_select(0, covered)
    depth = (order >> 32).int().view(torch.float32)
    return spans.hits(covered, order & 0xFFFFFFFF, depth)


def _test(spans: _Spans, kind: Kind, part: slice, nearest: Tensor) -> None:
    """Intersect rays with the primitives of some spans; set ``nearest`` (samples,) to what each sample sees first."""
    length = spans.length[part]
    first = torch.cumsum(length, 0) - length
    span = torch.repeat_interleave(torch.arange(len(length), device=length.device), length)
    column = torch.arange(len(span), device=length.device) + (spans.first[part] - first).index_select(0, span)
    span += part.start
    offset = column.float()
    value = spans.table[: COLUMNS[kind]].index_select(1, span)
    a = (value[0] * offset + value[1]) * offset + value[2]
    b = value[3] * offset + value[4]
    # NaN where the ray misses: no comparison below holds for it
    root = ((value[5] * offset + value[6]) * offset + value[7]).sqrt()
    depth = (-b - root) / a
    if kind is Kind.WHOLE:
        found = (depth > 0).nonzero().squeeze(1)
    else:
        far = (-b + root) / a
        # a <= 0: the ray runs inside the cone's opening, end on, where the balls at the joints hide the cone
        opposed = a > 1e-6
        before, behind = (opposed & _exists(value, kind, offset, t) for t in (depth, far))
        depth = torch.where(before, depth, far)
        found = (before | behind).nonzero().squeeze(1)
    depth = depth.index_select(0, found)
    span = span.index_select(0, found)
    # one integer orders by depth (a positive float's bits are monotone), then by primitive: no ties, no races
    order = (depth.view(torch.int32).long() << 32) + span
    sample = spans.origin.index_select(0, span) + column.index_select(0, found)
    nearest.scatter_reduce_(0, sample, order, "amin")


def _exists(value: Tensor, kind: Kind, offset: Tensor, depth: Tensor) -> Tensor:
    """Return whether the quadric has a surface at ``depth``: between bottom and top, and not cut from the front."""
    exists = (value[10] + depth * (value[8] * offset + value[9])).abs() <= 1
    if kind is Kind.OPEN:
        exists &= value[13] + depth * (value[11] * offset + value[12]) <= 1
    return exists


class _Spans:
    """For every primitive and every sample row that it may cover: the run of columns to test and the polynomials
    in the column.

    Along one row a ray's direction is linear in the column, so in the quadratic a t^2 + 2 b t + c of the
    intersection, ``a`` is quadratic, ``b`` linear and the discriminant quadratic in the column; solving
    the latter gives the run. All this is per row and in float64; columns count from the middle of the box,
    so that float32 suffices per sample. Span ``i`` tests ``length[i]`` columns, the first of which is
    ``first[i]`` from the middle, which is sample ``origin[i]``.
    """

    def __init__(self, scene: Scene, rows: int, columns: int, device: torch.device) -> None:
        def send(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Tensor:
            return torch.as_tensor(np.ascontiguousarray(values), device=device)

        box = torch.as_tensor(scene.box, device=device)
        counts = (box[:, 3] - box[:, 2]) * (box[:, 1] > box[:, 0])
        kinds = torch.as_tensor(_kinds(scene), device=device)
        order = torch.argsort(kinds, stable=True)
        primitive = torch.repeat_interleave(order, counts[order])
        begin = torch.zeros_like(counts)
        begin[order] = torch.cumsum(counts[order], 0) - counts[order]
        row = torch.arange(len(primitive), device=device) - begin[primitive] + box[primitive, 2]
        self.kind = kinds[primitive]
        middle = torch.div(box[:, 0] + box[:, 1], 2, rounding_mode="floor")[primitive]
        image = torch.as_tensor(scene.image, device=device)[primitive]
        self.primitive = primitive
        self.origin = (image * rows + row) * columns + middle
        step, fall, base = (send(scene.rays[:, :, i])[primitive] for i in range(3))
        origin = send(scene.origin)[primitive]
        shape = scene.shape
        quadric = send(shape.quadric)[primitive]
        limits = [send(values)[primitive] for values in (shape.bottom, shape.top, shape.front)]
        at = base + row[:, None] * fall + (middle + 0.5 * (row & 1))[:, None] * step
        self._coefficients(step, at, origin, quadric, limits)
        self._runs(box[primitive, 0] - middle, box[primitive, 1] - middle)

    def _coefficients(self, step: Tensor, at: Tensor, origin: Tensor, quadric: Tensor, limits: list[Tensor]) -> None:
        (sx, sy, sz), (dx, dy, dz), (ox, oy, oz) = step.unbind(1), at.unbind(1), origin.unbind(1)
        k0, k1, k2 = quadric.unbind(1)
        bend = 0.5 * k1 + k2 * oz
        a2, a1, a0 = (
            sx * sx + sy * sy - k2 * sz * sz,
            2 * (dx * sx + dy * sy - k2 * dz * sz),
            dx * dx + dy * dy - k2 * dz * dz,
        )
        b1, b0 = ox * sx + oy * sy - bend * sz, ox * dx + oy * dy - bend * dz
        c = ox * ox + oy * oy - k0 - k1 * oz - k2 * oz * oz
        self.discriminant = (b1 * b1 - a2 * c, 2 * b1 * b0 - a1 * c, b0 * b0 - a0 * c)
        bottom, top, front = limits
        half, middle = 0.5 * (top - bottom), 0.5 * (top + bottom)
        # z and y scaled so that existing parts have -1 <= z <= 1 and y <= 1
        ends = [sz / half, dz / half, (oz - middle) / half, sy / front, dy / front, oy / front]
        tests = [a2, a1, a0, b1, b0, *self.discriminant, *ends]
        self.table = torch.stack(tests).float()
        self.rays = torch.stack([sx, dx, sy, dy, sz, dz, ox, oy, oz]).float()

    def _runs(self, first: Tensor, last: Tensor) -> None:
        """Narrow the columns [first, last) to where the discriminant is positive, with a margin of one on
        either side."""
        q2, q1, q0 = self.discriminant
        curved = q2 < 0
        inner = q1 * q1 - 4 * q2 * q0
        half = inner.clamp(min=0.0).sqrt()
        bottom = torch.where(curved, 2 * q2, -1.0)
        low, high = (half - q1) / bottom, (-half - q1) / bottom
        narrowed = [first.double(), last.double()]
        narrowed[0] = torch.where(curved, torch.maximum(narrowed[0], low.floor()), narrowed[0])
        narrowed[1] = torch.where(curved, torch.minimum(narrowed[1], high.ceil() + 1), narrowed[1])
        length = torch.where(curved & (inner <= 0), 0.0, narrowed[1] - narrowed[0]).clamp(min=0.0)
        self.first, self.length = narrowed[0].long(), length.long()

    def parts(self, kind: Kind, tests: int) -> list[slice]:
        """Split the spans of one kind into runs of about ``tests`` tests."""
        first, last = torch.searchsorted(self.kind, torch.tensor([kind, kind + 1], device=self.kind.device)).tolist()
        end = torch.cumsum(self.length[first:last], 0).cpu()
        marks = torch.arange(0, int(end[-1]) if len(end) else 0, tests)
        cuts = [*torch.searchsorted(end, marks, right=True).tolist(), len(end)]
        return [slice(first + i, first + j) for i, j in pairwise(cuts) if i < j]

    def hits(self, sample: Tensor, span: Tensor, depth: Tensor) -> Hits:
        """Recompute the rays and hit points of the given spans at the given samples."""
        offset = (sample - self.origin.index_select(0, span)).float()
        value = self.rays.index_select(1, span)
        ray = tuple(value[2 * i] * offset + value[2 * i + 1] for i in range(3))
        point = tuple(value[6 + i] + depth * ray[i] for i in range(3))
        return Hits(sample, self.primitive.index_select(0, span), depth, point, ray)  # type: ignore[arg-type]


def _kinds(scene: Scene) -> npt.NDArray[np.int64]:
    shape = scene.shape
    whole = (shape.quadric[:, 2] < 0) & (shape.bottom <= -1) & (shape.top >= 1)
    kinds = np.where(whole, Kind.WHOLE, Kind.CUT)
    return np.where(shape.front < CLOSED, Kind.OPEN, kinds)
