"""The difficulty dial: one number overall, or one for each part that makes the task hard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from vireid.types import VireidError

DIFFICULTY = 0.3
"""Level of a part that is not set."""


def _part(meaning: str) -> Any:
    return field(default=DIFFICULTY, metadata={"meaning": meaning})


@dataclass(frozen=True)
class Difficulty:
    """Difficulty of each part of the task, from 0 (clean) to 1 (hard).

    Raises ``VireidError`` for a part out of range.
    """

    viewpoint: float = _part("Turn of the people, and how close they come, so that cameras look down on them.")
    light: float = _part("Sun, colour cast, exposure, lamp, thermal gain.")
    occlusion: float = _part("Objects on the floor and other people in front of the person.")
    crop: float = _part("Detector jitter that cuts off feet, heads and sides.")
    noise: float = _part("Sensor noise and motion blur.")
    resolution: float = _part("Loss of sensor resolution: fewer rows than the image has.")
    lookalikes: float = _part("People of similar build and dress, and dyes that look the same in infrared.")

    def __post_init__(self) -> None:
        for part in fields(self):
            value = getattr(self, part.name)
            if not 0.0 <= value <= 1.0:
                raise VireidError(f"{part.name}: expected a number from 0 (clean) to 1 (hard), got {value}")

    @classmethod
    def even(cls, level: float) -> Difficulty:
        """Return the dial with every part at ``level``."""
        if not 0.0 <= level <= 1.0:
            raise VireidError(f"difficulty: expected a number from 0 (clean) to 1 (hard), got {level}")
        return cls(**{part.name: level for part in fields(cls)})

    @classmethod
    def of(cls, level: float, parts: Mapping[str, float | None]) -> Difficulty:
        """Return the dial with every part at ``level``, except those for which ``parts`` gives another level."""
        return replace(cls.even(level), **{name: own for name, own in parts.items() if own is not None})


def dial(difficulty: Difficulty | float) -> Difficulty:
    """Return ``difficulty`` as a dial; a number means the same level for every part."""
    return difficulty if isinstance(difficulty, Difficulty) else Difficulty.even(difficulty)
