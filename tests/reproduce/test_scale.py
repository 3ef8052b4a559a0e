"""What a search costs: every size in a process of its own, the table, the figure."""

import csv
from pathlib import Path

import pytest

from vireid.reproduce.scale import IMAGES_OF_ONE, Cost, measure, scale_figure, write_scale
from vireid.reproduce.terminal import scale_table
from vireid.types import VireidError


def test_sizes_are_measured_and_written(tmp_path: Path) -> None:
    done: list[tuple[int, int]] = []
    costs = write_scale(tmp_path, (800, 80), lambda *progress: done.append(progress))
    assert [(cost.images, cost.identities) for cost in costs] == [(80, 20), (800, 200), (80, 2), (800, 20)]
    assert all(cost.rank_seconds > 0 and cost.rerank_seconds > 0 and cost.peak_gib > 0.05 for cost in costs)
    with (tmp_path / "scale.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["images"]) for row in rows] == [80, 800, 80, 800]
    assert float(rows[1]["rerank_seconds"]) == costs[1].rerank_seconds
    assert (tmp_path / "scale.png").exists()
    assert done[-1] == (4, 4)


def test_a_figure_has_a_line_for_each_kind_of_gallery() -> None:
    costs = [Cost(n, n // each, n / 1e4, n / 1e3, 1.0) for each in IMAGES_OF_ONE for n in (100, 1000)]
    times, memory = scale_figure(costs).axes
    assert [len(line.get_xdata()) for line in times.lines] == [2, 2, 2, 2]
    assert len(memory.lines) == 2
    assert scale_table(costs).row_count == 4


@pytest.mark.parametrize("images", [(), (10,)])
def test_sizes_too_small_are_refused(tmp_path: Path, images: tuple[int, ...]) -> None:
    with pytest.raises(VireidError, match="expected gallery sizes of at least 40"):
        write_scale(tmp_path, images)
    with pytest.raises(VireidError, match="expected 1 to 3 identities"):
        measure(3, 4)
