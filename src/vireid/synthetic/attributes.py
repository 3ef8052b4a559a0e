"""Ground truth in words and numbers: what a person wears and how a camera sees them.

``attributes.csv``, at the root of a rendered set, has one line per image: its path, identity, camera and spectrum, then
`describe` of the person, then `describe_view` of the view.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from functools import cache

from vireid.synthetic.identity import Bag, Hat, Hood, Identity, sample_identity
from vireid.synthetic.materials import BOTTOMS, CLOTH, HAIR, LEATHER, SKIN, Colour, Garment, Material, Pattern
from vireid.synthetic.plans import Shot
from vireid.synthetic.settings import SyntheticSet
from vireid.synthetic.view import View, sample_camera, sample_view

Labels = dict[str, str]

CLOTH_NAMES = (
    "black", "dark grey", "grey", "white", "navy", "blue", "light blue", "red", "pink", "green", "olive", "yellow",
    "orange", "brown", "beige", "purple", "teal", "burgundy",
)  # fmt: skip
BOTTOMS_NAMES = (
    "black", "dark grey", "navy", "blue", "grey", "light blue", "beige", "brown", "olive", "white", "burgundy",
)  # fmt: skip
LEATHER_NAMES = ("black", "brown", "tan", "white", "grey", "red")
SKIN_NAMES = ("very light", "light", "medium", "brown", "dark")
HAIR_NAMES = ("black", "dark brown", "brown", "blond", "grey")
SIDES = ("front", "right", "back", "left")  # side of the person that the camera sees at 0, 90, 180 and 270 degrees


def describe(person: Identity) -> Labels:
    """Return a person's attributes. Build and gait are factors on the average body; lengths are shares of arm and leg.

    Colours are the common names of the palettes in visible light; the colour of an item not worn is empty.
    """
    build, gait = asdict(person.build), asdict(person.gait)
    return {
        "height_cm": f"{100.0 * build.pop('height'):.0f}",
        **{f"build_{name}": f"{value:.2f}" for name, value in build.items()},
        **{f"gait_{name}": f"{value:.2f}" for name, value in gait.items()},
        "skin": _named(person.skin, SKIN, SKIN_NAMES),
        "hair": person.hair.value,
        "hair_colour": _named(person.hair_colour, HAIR, HAIR_NAMES),
        "hat": person.hat.value,
        "hat_colour": _worn(person.hat is not Hat.NONE, person.hat_colour),
        "hood": person.hood.value,
        "upper": "coat" if person.open_coat else "jacket" if person.hood is not Hood.NONE else "top",
        "sleeve": f"{person.sleeve:.2f}",
        "thickness_mm": f"{1000.0 * person.thickness:.0f}",
        "hem": f"{person.hem:.2f}",
        **_garment("upper", person.upper, CLOTH, CLOTH_NAMES),
        "inner_colour": _worn(person.open_coat, person.inner.base),
        "lower": person.lower.value,
        "lower_length": f"{person.lower_length:.2f}",
        "lower_width": f"{person.lower_width:.2f}",
        **_garment("lower", person.lower_garment, BOTTOMS, BOTTOMS_NAMES),
        "footwear": "boots" if person.boots else "shoes",
        "footwear_colour": _named(person.shoes, LEATHER, LEATHER_NAMES),
        "bag": person.bag.value,
        "bag_colour": _worn(person.bag is not Bag.NONE, person.bag_colour),
        "bag_side": "" if person.bag in (Bag.NONE, Bag.BACKPACK) else "right" if person.bag_side > 0 else "left",
    }


def describe_view(view: View) -> Labels:
    """Return how a camera sees the person.

    ``facing`` is the visible side of the person, ``facing_deg`` how far they are turned from the camera (0 to 359, 90
    when they walk to the right of the picture); ``crop_*`` is the detector's error (right, down and scale, as shares of
    the crop's height); ``resolution`` is the number of sensor rows per row of the picture.
    """
    turn = math.degrees(view.yaw + math.atan2(*view.place))
    right, down, scale = view.crop
    return {
        "facing": SIDES[round(turn / 90.0) % 4],
        "facing_deg": f"{round(turn) % 360}",
        "distance_m": f"{math.hypot(*view.place):.2f}",
        "occluder": view.occluder.thing.value if view.occluder else "none",
        "passers": f"{len(view.passers)}",
        "crop_right": f"{right:.3f}",
        "crop_down": f"{down:.3f}",
        "crop_scale": f"{scale:.3f}",
        "resolution": f"{view.native:.2f}",
    }


def agreement(first: Labels, second: Labels) -> float:
    """Return the share of attributes that are equal in two people, as a matcher that sees everything would."""
    return sum(second[name] == value for name, value in first.items()) / len(first)


def label_rows(settings: SyntheticSet, shots: Iterable[Shot]) -> Iterator[Labels]:
    """Yield the line of ``attributes.csv`` for each image of a set."""

    @cache
    def who(identity: int) -> Labels:
        return describe(sample_identity(settings.seed, identity, settings.difficulty))

    camera = cache(lambda number: sample_camera(settings.seed, number))
    for shot in shots:
        view = sample_view(settings.seed, shot.identity, camera(shot.camera), shot.image, settings.difficulty)
        yield {
            "path": shot.path,
            "identity": f"{shot.identity}",
            "camera": f"{shot.camera}",
            "spectrum": shot.spectrum.value,
            **who(shot.identity),
            **describe_view(view),
        }


def label_table(rows: Iterable[Labels]) -> bytes:
    """Return the contents of ``attributes.csv`` with these lines, sorted by path."""
    lines = sorted(rows, key=lambda row: row["path"])
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue().encode()


def _garment(name: str, garment: Garment, palette: tuple[Colour, ...], names: tuple[str, ...]) -> Labels:
    return {
        f"{name}_colour": _named(garment.base, palette, names),
        f"{name}_pattern": garment.pattern.value,
        f"{name}_accent": _named(garment.accent, palette, names) if garment.pattern is not Pattern.PLAIN else "",
    }


def _worn(worn: bool, material: Material) -> str:
    return _named(material, CLOTH, CLOTH_NAMES) if worn else ""


def _named(material: Material, palette: tuple[Colour, ...], names: tuple[str, ...]) -> str:
    """Return the name of the palette colour nearest to a material's visible one, on the scale used to draw dyes."""

    def apart(index: int) -> float:
        return sum(
            (math.sqrt(level) - drawn) ** 2 for level, drawn in zip(material.colour, palette[index], strict=True)
        )

    return names[min(range(len(palette)), key=apart)]
