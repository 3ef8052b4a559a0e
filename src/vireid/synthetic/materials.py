"""Materials and garments: what a surface reflects in visible light and, separately, in near infrared."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np

from vireid.types import Modality

Colour = tuple[float, float, float]

# Common clothing colours as sRGB values in [0, 1]; `dye` varies each a little, so two reds are not the same red.
CLOTH: tuple[Colour, ...] = (
    (0.10, 0.10, 0.11), (0.24, 0.24, 0.26), (0.52, 0.52, 0.54), (0.88, 0.88, 0.86), (0.13, 0.18, 0.34),
    (0.24, 0.36, 0.60), (0.55, 0.72, 0.88), (0.70, 0.14, 0.16), (0.86, 0.45, 0.50), (0.20, 0.44, 0.26),
    (0.42, 0.46, 0.24), (0.84, 0.72, 0.24), (0.82, 0.48, 0.18), (0.45, 0.30, 0.20), (0.74, 0.64, 0.48),
    (0.45, 0.24, 0.48), (0.20, 0.52, 0.54), (0.36, 0.10, 0.16),
)  # fmt: skip
BOTTOMS: tuple[Colour, ...] = (
    (0.10, 0.10, 0.11), (0.24, 0.24, 0.26), (0.13, 0.18, 0.34), (0.24, 0.36, 0.60), (0.52, 0.52, 0.54),
    (0.45, 0.58, 0.74), (0.74, 0.64, 0.48), (0.45, 0.30, 0.20), (0.42, 0.46, 0.24), (0.88, 0.88, 0.86),
    (0.36, 0.10, 0.16),
)  # fmt: skip
LEATHER: tuple[Colour, ...] = (
    (0.10, 0.10, 0.11), (0.28, 0.18, 0.12), (0.50, 0.34, 0.20), (0.88, 0.88, 0.86), (0.52, 0.52, 0.54),
    (0.62, 0.20, 0.18),
)  # fmt: skip
COMMON_CLOTH = 5  # look-alikes wear one of the first five colours of a palette
SKIN: tuple[Colour, ...] = (
    (0.93, 0.76, 0.66),
    (0.85, 0.65, 0.52),
    (0.70, 0.50, 0.38),
    (0.48, 0.33, 0.25),
    (0.33, 0.23, 0.18),
)
HAIR: tuple[Colour, ...] = (
    (0.10, 0.08, 0.08),
    (0.22, 0.15, 0.11),
    (0.42, 0.28, 0.18),
    (0.72, 0.58, 0.36),
    (0.55, 0.53, 0.52),
)


class Spectrum(enum.Enum):
    """What a camera records: daylight, the light of its own near-infrared lamp, or heat."""

    VISIBLE = "visible"
    NEAR = "near"
    THERMAL = "thermal"

    @property
    def modality(self) -> Modality:
        """The modality of its cameras."""
        return Modality.VISIBLE if self is Spectrum.VISIBLE else Modality.INFRARED


class Pattern(enum.Enum):
    """How the accent material lies on the base material, in body coordinates."""

    PLAIN = "plain"
    STRIPES = "stripes"
    PINSTRIPES = "pinstripes"
    CHECKS = "checks"
    TWO_TONE = "two-tone"
    LOGO = "logo"


@dataclass(frozen=True)
class Material:
    """Linear reflectances in [0, 1]: three for visible light, one for near infrared."""

    colour: Colour
    infrared: float


@dataclass(frozen=True)
class Garment:
    """The surface of a piece of clothing. ``period`` is the pattern's repeat in metres."""

    base: Material
    accent: Material
    pattern: Pattern = Pattern.PLAIN
    period: float = 0.1

    @staticmethod
    def plain(material: Material) -> Garment:
        return Garment(material, material)


def linear(srgb: Colour) -> Colour:
    """Return the linear reflectance of a colour given as sRGB values (square law, close enough for paint)."""
    red, green, blue = srgb
    return red * red, green * green, blue * blue


def dye(rng: np.random.Generator, palette: tuple[Colour, ...], decorrelation: float, jitter: float = 0.05) -> Material:
    """Draw a material from ``palette``.

    The near-infrared level follows the visible lightness only by the share ``1 - decorrelation``; the rest
    is the dye's chemistry, which is invisible. Both are drawn on a perceptual (square-root) scale.
    """
    base = palette[int(rng.integers(len(palette)))]
    red, green, blue = (min(max(value + float(rng.uniform(-jitter, jitter)), 0.03), 0.95) for value in base)
    lightness = 0.3 * red + 0.59 * green + 0.11 * blue
    own = float(rng.uniform(0.2, 0.95))
    level = 0.1 + 0.9 * (decorrelation * own + (1.0 - decorrelation) * lightness)
    return Material(linear((red, green, blue)), level * level)


def texture(garment: Garment, warmth: float = 0.0, *, sleeve: bool = False) -> tuple[float, ...]:
    """Return the 17 numbers that describe a garment to the shader.

    Base visible reflectance (3) and infrared (1), accent visible (3) and infrared (1); repeats per metre
    along the body and around it, their weights; a box of accent: centre height, half width, half height
    (metres) and which side of the body it lies on (1 front, -1 back, 0 both); ``warmth``, from the temperature of
    the air (0) to that of the skin (1). Sleeves carry no logo and take the accent of a two-tone garment.
    """
    along = around = weight_along = weight_around = side = 0.0
    centre, half_width, half_height = 0.0, -1.0, -1.0
    base = garment.base
    if garment.pattern is Pattern.STRIPES:
        along, weight_along = 1.0 / garment.period, 1.0
    elif garment.pattern is Pattern.PINSTRIPES:
        around, weight_around = 1.0 / garment.period, 1.0
    elif garment.pattern is Pattern.CHECKS:
        along = around = 1.0 / garment.period
        weight_along = weight_around = 0.5
    elif garment.pattern is Pattern.TWO_TONE and sleeve:
        base = garment.accent
    elif garment.pattern is Pattern.TWO_TONE:
        centre, half_width, half_height = 1.0 + garment.period, 9.0, 0.72
    elif garment.pattern is Pattern.LOGO and not sleeve:
        centre, half_width, half_height, side = 0.36, garment.period, 0.6 * garment.period, 1.0
    pattern = (along, around, weight_along, weight_around, centre, half_width, half_height, side)
    return (*base.colour, base.infrared, *garment.accent.colour, garment.accent.infrared, *pattern, warmth)
