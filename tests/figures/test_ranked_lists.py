from __future__ import annotations

import numpy as np
import pytest

from vireid.figures.ranked_lists import RankedEntry, RankedList, ranked_figure
from vireid.figures.style import RIGHT, WRONG, to_png
from vireid.types import Modality, VireidError


def image(seed: int, shape: tuple[int, int, int] = (16, 8, 3)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def ranked(correct: list[bool]) -> RankedList:
    entries = tuple(
        RankedEntry(image(i), f"person $_{i}", 0.9 - i / 100, right, Modality.VISIBLE, i)
        for i, right in enumerate(correct)
    )
    return RankedList(image(99), "person", Modality.INFRARED, 6, entries)


def test_first_match_is_the_rank_of_the_first_right_answer() -> None:
    assert ranked([True, False]).first_match == 1
    assert ranked([False, False, True, True]).first_match == 3
    assert ranked([False]).first_match is None
    assert ranked([]).first_match is None


def test_figure_marks_right_and_wrong_by_sign_and_colour() -> None:
    pytest.importorskip("matplotlib")
    figure = ranked_figure([ranked([False, True, False])], columns=2)
    query, wrong, right = figure.axes
    assert query.get_title() == "query"
    assert query.get_xlabel() == "person\ninfrared\ncam 6"
    assert (wrong.get_title(), wrong.title.get_color()) == ("0.90 ✗", WRONG)
    assert (right.get_title(), right.title.get_color()) == ("0.89 ✓", RIGHT)
    assert right.get_xlabel() == "person $_1\nvisible\ncam 1"
    assert np.array_equal(right.get_images()[0].get_array(), image(1))


def test_rows_of_different_length_and_shape_are_drawn() -> None:
    pytest.importorskip("matplotlib")
    wide = RankedList(image(0, (8, 16, 3)), "a name that is far too long", Modality.VISIBLE, "roof", ())
    assert to_png(ranked_figure([ranked([True] * 12), wide]), dpi=50).startswith(b"\x89PNG")


def test_nothing_to_draw_and_wrong_images_are_refused() -> None:
    with pytest.raises(VireidError, match="at least one list"):
        ranked_figure([])
    with pytest.raises(VireidError, match="ranked entry, image: expected a uint8 image"):
        RankedEntry(image(0).astype(float), "a", 0.5, True, Modality.VISIBLE, 1)
    with pytest.raises(VireidError, match="ranked list, query: expected a uint8 image"):
        RankedList(image(0)[..., 0], "a", Modality.VISIBLE, 1, ())
