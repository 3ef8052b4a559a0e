"""The grid of runs behind the tables: the data, the recipe, the seeds, and the folder that all tables share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from vireid.config import Recipe
from vireid.data.layouts import open_dataset, record_of
from vireid.data.live import live_dataset
from vireid.evaluation.protocols import GalleryRule
from vireid.layouts import BUILTIN, LayoutSpec, Search, find_layout
from vireid.recipes import load_recipe
from vireid.reproduce.jobs import Job, make_job
from vireid.synthetic.standards import standard, standard_of
from vireid.training.split import fingerprint
from vireid.types import Dataset, VireidError

STANDARD = "synvi-1"
"""The set that is rendered where none is given."""
RENDERED = "(rendered)"
"""In the name of a data set wherever one is stated."""


GALLERIES: dict[GalleryRule, str] = {
    "official": "official galleries (rand_perm_cam.mat)",
    "community": "community galleries (drawn by Python's random module)",
    "whole": "the whole gallery",
}
FEATURE = (
    "cosine of the feature after the BNNeck (of a system without one, the feature), no flip averaging, last epoch; "
    "official scripts report the epoch that is best on the test set"
)
"""What captions say of the measured rows beside their galleries."""


def printed_layouts() -> dict[str, LayoutSpec]:
    """Return the layouts of the paper's data sets, by name."""
    layouts = {name: find_layout(name) for name in BUILTIN}
    return {name: layout for name, layout in layouts.items() if layout.printed}


@dataclass(frozen=True)
class Grid:
    """The runs of a command: ``seeds`` runs of every variant of ``recipe``, trained into ``out/runs``.

    On RegDB the k-th seed trains on the k-th split, so that the mean is that of the protocol. ``overrides`` apply to
    all runs; ``quick`` says that they shorten the training.
    """

    data: Path
    recipe: str
    overrides: tuple[str, ...]
    seeds: int
    out: Path
    quick: bool = False
    gallery: Literal["official", "community"] | None = None
    """Rule that draws SYSU-MM01's galleries, where one was asked for."""

    @property
    def gallery_rule(self) -> GalleryRule:
        """How the galleries are drawn that the runs are measured on."""
        if not self.layout.shots:
            return "whole"
        return self.gallery or ("official" if self.dataset.gallery_permutations else "community")

    @property
    def protocol(self) -> str:
        """What a caption says of the measured rows' galleries, feature and checkpoint."""
        return f"Measured rows: {GALLERIES[self.gallery_rule]}, {FEATURE}."

    @cached_property
    def dataset(self) -> Dataset:
        """The records of the data set (RegDB: first trial); ``rendered`` if it did not exist yet."""
        return live_dataset(standard(STANDARD).settings) if self.unrendered else open_dataset(self.data)

    @property
    def unrendered(self) -> bool:
        """Whether the data set is the standard set and has no files yet."""
        return self.data == self.out / STANDARD and not (self.data / "synthetic.json").exists()

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the data set's files, as recorded by runs."""
        return fingerprint(self.dataset)

    @cached_property
    def base(self) -> Recipe:
        """The recipe with the overrides, before a table varies it."""
        return load_recipe(self.recipe, self.overrides)

    @property
    def layout(self) -> LayoutSpec:
        """What is known of the data set's layout."""
        return find_layout(self.dataset.layout)

    @property
    def searches(self) -> tuple[Search, ...]:
        """Column groups of the layout: all that a table can show, the first alone where it shows one."""
        return self.layout.columns

    @property
    def kind(self) -> Literal["rendered", "real"]:
        """Whether the data set is rendered or real."""
        return "rendered" if record_of(self.dataset) else "real"

    @property
    def in_paper(self) -> bool:
        """Whether the paper prints numbers of this data set: real images, as many people as in one that it uses."""
        parts = {"training": self.dataset.train, "test": self.dataset.test}
        real = all(
            self.layout.published.get(f"{part} identities") == len({s.identity for s in samples})
            for part, samples in parts.items()
        )
        return bool(self.layout.printed) and self.kind == "real" and real

    @property
    def data_name(self) -> str:
        """The name of the data set in tables, which says if the set is rendered."""
        made = record_of(self.dataset)
        if made is None:
            return f"{self.data.resolve().name} ({self.dataset.layout} layout)"
        found = standard_of(made)
        return f"{found.name if found else self.data.resolve().name} {RENDERED}"

    @property
    def label(self) -> str:
        """Header of the measured rows: data, recipe, seeds, and whether training was shortened."""
        runs = f"{self.seeds} {'trial' if self.layout.splits else 'seed'}{'s' * (self.seeds > 1)}"
        short = ", quick" if self.quick else ""
        changed = f" ({', '.join(self.overrides)})" if self.overrides else ""
        return f"{self.data_name}, {Path(self.recipe).stem} recipe{changed}, {runs}{short}"

    def jobs(self, *overrides: str, recipe: str | None = None) -> tuple[Job, ...]:
        """The runs of one variant, one per seed."""
        split, both = bool(self.layout.splits), (*self.overrides, *overrides)
        return tuple(make_job(recipe or self.recipe, both, k, k + 1 if split else None) for k in range(self.seeds))

    def folder(self, job: Job) -> Path:
        """Return the run folder of a job."""
        return self.out / "runs" / job.name


def make_grid(
    data: Path | None,
    out: Path,
    *,
    recipe: str | None = None,
    seeds: int | None = None,
    quick: bool = False,
    overrides: Sequence[str] = (),
    gallery: Literal["official", "community"] | None = None,
) -> Grid:
    """Return the grid for these options; nothing is written.

    Args:
        data: a data set; None for the standard set in ``out``, which can be planned with before it is rendered.
        recipe: by default ``small`` for a rendered set, else the full method of the layout.
        seeds: by default 3 (RegDB: all 10 splits), 1 with ``quick``.
        quick: train a fifth of the epochs, at least two.
        gallery: rule that draws the galleries, for data in SYSU-MM01's layout; by default official where
            rand_perm_cam.mat is, else community.

    Raises:
        VireidError: not a data set, an unknown recipe or field, a number of seeds out of range.
    """
    grid = Grid(data or out / STANDARD, recipe or "", tuple(overrides), 1, out, quick, gallery)
    layout = grid.layout
    if gallery and not layout.draws:
        name = grid.dataset.layout
        raise VireidError(f"gallery: {gallery} is a choice for data in SYSU-MM01's layout, this is {name}")
    if gallery == "official" and not grid.dataset.gallery_permutations:
        raise VireidError(f"gallery: {grid.data}/exp/rand_perm_cam.mat is not there; use --gallery community")
    name = recipe or ("small" if record_of(grid.dataset) else layout.recipe)
    count = seeds if seeds is not None else 1 if quick else layout.splits or 3
    if not 1 <= count <= (layout.splits or 1000):
        limit = f"{layout.title} has {layout.splits} splits, one for each" if layout.splits else "1 or more"
        raise VireidError(f"seeds: expected a number of runs ({limit}), got {count}")
    settled = load_recipe(name, overrides)
    short = quick_overrides(settled) if quick else ()
    return replace(grid, recipe=name, overrides=(*overrides, *short), seeds=count)


def label_of_one(grid: Grid) -> str:
    """Return the header of rows from the first seed only."""
    return replace(grid, seeds=1).label


def quick_overrides(recipe: Recipe) -> tuple[str, ...]:
    """Return the overrides of ``--quick``: a fifth of the epochs, at least two, with warm-up and milestones scaled."""
    old = recipe.schedule
    epochs = min(old.epochs, max(2, round(old.epochs / 5)))
    share = epochs / old.epochs
    shorter = [f"schedule.epochs={epochs}", f"schedule.warmup={round(old.warmup * share, 3):g}"]
    if old.shape == "step":
        shorter.append(f"schedule.milestones={[max(1, round(m * share)) for m in old.milestones]}")
    return tuple(shorter)
