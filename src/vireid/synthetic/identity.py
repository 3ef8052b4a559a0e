"""The identity of a synthetic person: everything that stays the same across cameras and between day and night."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from vireid.difficulty import Difficulty, dial
from vireid.synthetic.materials import (
    BOTTOMS,
    CLOTH,
    COMMON_CLOTH,
    HAIR,
    LEATHER,
    SKIN,
    Colour,
    Garment,
    Material,
    Pattern,
    dye,
)

_Kind = TypeVar("_Kind", bound=enum.Enum)


class Hair(enum.Enum):
    SHORT = "short"
    BALD = "bald"
    BOB = "bob"
    LONG = "long"
    PONYTAIL = "ponytail"
    BUN = "bun"
    CURLY = "curly"


class Hat(enum.Enum):
    NONE = "none"
    CAP = "cap"
    BEANIE = "beanie"
    BRIM = "brim"


class Hood(enum.Enum):
    NONE = "none"
    DOWN = "down"
    UP = "up"


class Lower(enum.Enum):
    TROUSERS = "trousers"
    SHORTS = "shorts"
    SKIRT = "skirt"


class Bag(enum.Enum):
    NONE = "none"
    BACKPACK = "backpack"
    SHOULDER = "shoulder bag"
    HAND = "handbag"


@dataclass(frozen=True)
class Build:
    """Body proportions: ``height`` in metres, everything else as a factor on the average body (1.0)."""

    height: float
    mass: float
    legs: float
    shoulders: float
    hips: float
    head: float
    arms: float


@dataclass(frozen=True)
class Gait:
    """How someone walks: factors on the average ``stride`` and arm ``swing`` (1.0), how far the arms ``lag`` behind the
    legs and how far the ``toes`` point outwards (radians)."""

    stride: float
    swing: float
    lag: float
    toes: float


@dataclass(frozen=True)
class Identity:
    """One synthetic person. Lengths are in metres; ``sleeve`` and ``lower_length`` are shares of the arm and
    the leg."""

    build: Build
    gait: Gait
    skin: Material
    hair: Hair
    hair_colour: Material
    hat: Hat
    hat_colour: Material
    upper: Garment
    sleeve: float
    thickness: float
    hem: float
    open_coat: bool
    inner: Garment
    hood: Hood
    lower: Lower
    lower_garment: Garment
    lower_length: float
    lower_width: float
    shoes: Material
    boots: bool
    bag: Bag
    bag_colour: Material
    bag_side: int


def stream(seed: int, *key: int) -> np.random.Generator:
    """Return the random generator that belongs to ``key``, independent of anything drawn before."""
    return np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=key))


def sample_identity(seed: int, number: int, difficulty: Difficulty | float = 0.3) -> Identity:
    """Draw person ``number`` (0 or more) of the population ``seed``.

    The dial's part ``lookalikes`` narrows the range of builds, makes people dress alike, makes patterns vanish in near
    infrared and weakens the link between a dye's lightness there and in visible light. Raises ``VireidError`` if the
    dial is out of range.
    """
    return _Wardrobe(stream(seed, 0, number), dial(difficulty).lookalikes).dress()


def sample_stranger(seed: int, key: tuple[int, ...], difficulty: Difficulty | float = 0.3) -> Identity:
    """Draw a passer-by, dressed like the population ``seed`` but not one of its numbered people."""
    return _Wardrobe(stream(seed, 8, *key), dial(difficulty).lookalikes).dress()


class _Wardrobe:
    """Draws the attributes of one person, in a fixed order."""

    def __init__(self, rng: np.random.Generator, lookalikes: float) -> None:
        self.rng = rng
        self.spread = 1.0 - 0.6 * lookalikes
        self.alike = 0.7 * lookalikes
        self.decorrelation = 0.5 + 0.5 * lookalikes
        self.vanish = 0.25 + 0.5 * lookalikes

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def around(self, centre: float, reach: float) -> float:
        return centre + reach * self.spread * float(self.rng.uniform(-1.0, 1.0))

    def cloth(self, palette: tuple[Colour, ...] = CLOTH) -> Material:
        return dye(self.rng, palette[:COMMON_CLOTH] if self.chance(self.alike) else palette, self.decorrelation)

    def garment(self, palette: tuple[Colour, ...], patterns: tuple[Pattern, ...], plain: float) -> Garment:
        base, accent = self.cloth(palette), self.cloth(palette)
        if self.chance(self.vanish):  # two dyes that look the same in near infrared
            accent = Material(accent.colour, base.infrared)
        pattern = patterns[int(self.rng.integers(len(patterns)))]
        if self.chance(plain + (1.0 - plain) * self.alike):
            pattern = Pattern.PLAIN
        period = float(self.rng.uniform(0.08, 0.18))
        return Garment(base, accent, pattern, period)

    def dress(self) -> Identity:
        rng = self.rng
        build, gait = self._build(), self._gait()
        ordinary = self.chance(self.alike)
        lower = Lower.TROUSERS if ordinary else self._pick(Lower, (0.55, 0.22, 0.23))
        open_coat = not ordinary and self.chance(0.25)
        sleeve = 1.0 if ordinary or open_coat else float(rng.choice([0.0, 0.22, 0.32, 0.6, 1.0, 1.0, 1.0]))
        thick = open_coat or (sleeve == 1.0 and self.chance(0.5))
        lower_length = {
            Lower.TROUSERS: 1.0,
            Lower.SHORTS: self.around(0.48, 0.16),
            Lower.SKIRT: self.around(0.5, 0.25),
        }[lower]
        hat = Hat.NONE if ordinary else self._pick(Hat, (0.64, 0.14, 0.12, 0.10))
        hood = Hood.NONE if ordinary or sleeve < 1.0 else self._pick(Hood, (0.5, 0.25, 0.25))
        return Identity(
            build=build,
            gait=gait,
            skin=dye(rng, SKIN, 0.2, jitter=0.015),
            hair=self._hair(ordinary),
            hair_colour=dye(rng, HAIR, 0.4, jitter=0.02),
            hat=Hat.NONE if hood is Hood.UP else hat,
            hat_colour=self.cloth(),
            upper=self.garment(CLOTH, tuple(Pattern)[1:], 0.35),
            sleeve=sleeve,
            thickness=self.around(0.03, 0.012) if thick else 0.008,
            hem=self.around(0.26, 0.2) if thick else self.around(0.08, 0.06),
            open_coat=open_coat,
            inner=Garment.plain(self.cloth()),
            hood=hood,
            lower=lower,
            lower_garment=self.garment(BOTTOMS, (Pattern.CHECKS, Pattern.PINSTRIPES), 0.8),
            lower_length=lower_length,
            lower_width=self.around(1.12, 0.16),
            shoes=self.cloth(LEATHER),
            boots=not ordinary and self.chance(0.2),
            bag=self._pick(Bag, (0.4 + 0.3 * self.alike, 0.25, 0.2, 0.15)),
            bag_colour=self.cloth(),
            bag_side=1 if self.chance(0.5) else -1,
        )

    def _hair(self, ordinary: bool) -> Hair:
        return Hair.SHORT if ordinary else self._pick(Hair, (0.26, 0.1, 0.14, 0.16, 0.12, 0.1, 0.12))

    def _build(self) -> Build:
        return Build(
            height=self.around(1.71, 0.20),
            mass=self.around(1.05, 0.32),
            legs=self.around(1.0, 0.05),
            shoulders=self.around(1.0, 0.12),
            hips=self.around(1.0, 0.12),
            head=self.around(1.0, 0.06),
            arms=self.around(1.0, 0.05),
        )

    def _gait(self) -> Gait:
        return Gait(
            stride=self.around(1.0, 0.2),
            swing=self.around(1.0, 0.5),
            lag=self.around(0.0, 0.35),
            toes=self.around(0.14, 0.14),
        )

    def _pick(self, kind: type[_Kind], weights: tuple[float, ...]) -> _Kind:
        """Draw a member of an enumeration with the given (unnormalised) weights."""
        members = list(kind)
        edges = np.cumsum(weights)
        return members[min(len(members) - 1, int(np.searchsorted(edges, self.rng.random() * edges[-1], side="right")))]
