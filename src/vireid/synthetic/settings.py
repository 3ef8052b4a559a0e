"""Settings of a synthetic set: every choice that its bytes depend on."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from vireid.difficulty import DIFFICULTY, Difficulty, dial
from vireid.layouts import find_layout, layout_names
from vireid.synthetic.materials import Spectrum
from vireid.types import VireidError

VERSION = 2  # of the files: raised with every change that alters a byte


@dataclass(frozen=True)
class SyntheticSet:
    """The settings of one synthetic set; `synthetic_set` fills in the values of the real set.

    ``like`` is the layout, ``identities`` the number of people, ``test_identities`` how many of them are for testing
    (0 where the layout has no lists), ``images`` the number per person and camera (LLCM: and modality) or None for the
    counts of the real set, ``height`` and ``width`` those of the images in pixels, ``infrared`` what the infrared
    cameras see by, ``masks`` whether the people's silhouettes are written too.

    Raises ``VireidError`` for a number out of range.
    """

    like: str
    identities: int
    test_identities: int
    seed: int
    difficulty: Difficulty
    images: int | None
    height: int
    width: int
    infrared: Spectrum
    masks: bool

    def __post_init__(self) -> None:
        if self.identities < 2:
            raise VireidError(f"identities: expected at least 2, got {self.identities}")
        lists = find_layout(self.like, "like").lists
        if not lists and self.test_identities:
            raise VireidError(f"test_identities: the {self.like} layout has no lists; leave it out")
        if lists and not 1 <= self.test_identities < self.identities:
            raise VireidError(f"test_identities: expected 1 to {self.identities - 1}, got {self.test_identities}")
        if self.seed < 0:
            raise VireidError(f"seed: expected 0 or more, got {self.seed}")
        if self.images is not None and self.images < 1:
            raise VireidError(f"images: expected 1 or more, got {self.images}")
        if min(self.height, self.width) < 8:
            raise VireidError(f"height, width: expected at least 8 pixels, got {self.height} x {self.width}")
        if self.infrared is Spectrum.VISIBLE:
            raise VireidError("infrared: expected near or thermal, got visible")

    def record(self) -> dict[str, Any]:
        """Return the contents of ``synthetic.json``; a dial with equal parts is one number."""
        levels = asdict(self.difficulty)
        even = len(set(levels.values())) == 1
        plain = {part.name: getattr(self, part.name) for part in fields(self)}
        return {
            "version": VERSION,
            **plain,
            "difficulty": self.difficulty.viewpoint if even else levels,
            "infrared": self.infrared.value,
        }


def synthetic_set(
    like: str = "sysu",
    identities: int | None = None,
    *,
    test_identities: int | None = None,
    seed: int = 0,
    difficulty: Difficulty | float | dict[str, float] = DIFFICULTY,
    images: int | None = None,
    height: int = 288,
    width: int = 144,
    infrared: Spectrum | str | None = None,
    masks: bool = False,
) -> SyntheticSet:
    """Return the settings of a synthetic set; values that are None are those of the real set in that layout.

    ``like``: a layout, see `vireid.layouts.find_layout`. ``identities``: 491 (sysu), 412 (regdb), 1,064 (llcm), 1,501
    (market) or 100 (folder), of which the real set's share is for testing.
    ``infrared``: thermal for regdb, near elsewhere. Raises ``VireidError`` for a name or number out of range, or a
    layout that cannot be rendered.
    """
    layout = find_layout(like, "like")
    if layout.people is None:
        raise VireidError(f"like: {like} cannot be rendered; expected one of {', '.join(rendered_layouts())}")
    people, tested = layout.people
    count = people if identities is None else identities
    if test_identities is None:
        test_identities = max(1, round(count * tested / people)) if tested else 0
    if infrared is None:
        infrared = layout.infrared
    if infrared not in (names := [spectrum.value for spectrum in Spectrum]) and not isinstance(infrared, Spectrum):
        raise VireidError(f"infrared: expected {' or '.join(names[1:])}, got {infrared}")
    return SyntheticSet(
        like=like,
        identities=count,
        test_identities=test_identities,
        seed=seed,
        difficulty=Difficulty(**difficulty) if isinstance(difficulty, dict) else dial(difficulty),
        images=images,
        height=height,
        width=width,
        infrared=Spectrum(infrared),
        masks=masks,
    )


def rendered_layouts() -> list[str]:
    """Return the names of the layouts that can be rendered."""
    return [name for name in layout_names() if find_layout(name).tree]


def from_record(record: dict[str, Any]) -> SyntheticSet:
    """Return the settings in a record of this version: the inverse of `SyntheticSet.record`.

    Raises ``VireidError`` for a record of another version or with other fields.
    """
    if record.get("version") != VERSION:
        raise VireidError(f"version: expected a record of version {VERSION}, got {record.get('version')}")
    try:
        return synthetic_set(**{name: value for name, value in record.items() if name != "version"})
    except TypeError as error:
        raise VireidError(f"the record of a synthetic set: {error}") from None
