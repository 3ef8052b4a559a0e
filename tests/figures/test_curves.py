from __future__ import annotations

import numpy as np
import pytest

from vireid.figures.curves import CmcCurve, TrainingLog, cmc_figure, det_figure, moving_average, training_figures
from vireid.types import VireidError

pytest.importorskip("matplotlib")


def key(figure) -> list[str]:
    return [text.get_text().strip() for text in figure.legends[0].get_texts()]


def test_cmc_lines_are_the_given_percentages() -> None:
    values = np.array([0.25, 0.5, 1.0])
    figure = cmc_figure(
        [CmcCurve("one", values), CmcCurve("_two", values[:2])], CmcCurve("chance", np.array([0.1, 0.2]))
    )
    one, two, chance = figure.axes[0].get_lines()
    assert np.array_equal(one.get_xydata(), [[1, 25], [2, 50]])  # the ranks that every curve has
    assert np.array_equal(two.get_xydata(), [[1, 25], [2, 50]])
    assert np.array_equal(chance.get_xydata(), [[1, 10], [2, 20]])
    assert key(figure) == ["one, rank-1 25.0 %", "_two, rank-1 25.0 %", "chance, rank-1 10.0 %"]


def test_settings_differ_in_colour_and_in_dashes() -> None:
    lines = cmc_figure([CmcCurve(str(i), np.ones(5)) for i in range(6)]).axes[0].get_lines()
    assert len({line.get_color() for line in lines}) == 6
    assert len({str(line._unscaled_dash_pattern) for line in lines}) == 6


def test_one_rank_is_drawn() -> None:
    assert len(cmc_figure([CmcCurve("one image", np.array([1.0]))]).axes[0].get_lines()) == 1


@pytest.mark.parametrize(
    "values", [np.array([50.0, 90.0]), np.array([-0.1]), np.array([np.nan]), np.ones((2, 2)), np.array([])]
)
def test_values_that_are_no_cmc_are_refused(values: np.ndarray) -> None:
    with pytest.raises(VireidError, match="CMC curve 'x'"):
        CmcCurve("x", values)


@pytest.mark.parametrize("count", [0, 7])
def test_number_of_settings_is_limited_by_the_palette(count: int) -> None:
    with pytest.raises(VireidError, match="expected 1 to 6 settings"):
        cmc_figure([CmcCurve("x", np.ones(3))] * count)


def test_training_figures_name_every_part_in_order_and_skip_what_is_not_finite() -> None:
    steps = np.arange(5.0)
    log = TrainingLog(steps, {"total": np.array([3, np.nan, 2, np.inf, 1.0]), "overlap": np.zeros(5)}, np.full(5, 0.1))
    figures = training_figures(log)
    assert list(figures) == ["total", "overlap", "learning rate"]
    assert np.array_equal(figures["total"].axes[0].get_lines()[0].get_xydata(), [[0, 3], [2, 2], [4, 1]])
    assert len(figures["learning rate"].axes[0].get_lines()) == 1


def test_long_and_empty_logs_are_drawn() -> None:
    steps = np.arange(10_000.0)
    line = training_figures(TrainingLog(steps, {"total": 2 * steps}))["total"].axes[0].get_lines()[0]
    assert len(line.get_xdata()) == 600
    assert np.allclose(line.get_ydata(), 2 * line.get_xdata())
    assert line.get_xdata()[[0, -1]].tolist() == [8.0, 9991.5]  # means of the first 17 and the last 16 steps
    training_figures(TrainingLog(np.empty(0), {"total": np.empty(0)}))


def test_logs_of_different_lengths_are_refused() -> None:
    with pytest.raises(VireidError, match="training log, total: expected 3 values"):
        TrainingLog(np.arange(3), {"total": np.zeros(2)})
    with pytest.raises(VireidError, match="learning rate: expected no value or one per step"):
        TrainingLog(np.arange(3), {}, np.zeros(2))


@pytest.mark.parametrize(("count", "window"), [(1, 1), (1, 4), (7, 1), (7, 2), (7, 3), (7, 7), (7, 20), (40, 5)])
def test_moving_average_equals_the_loop(count: int, window: int) -> None:
    values = np.random.default_rng(count).normal(size=count)
    width = min(window, count)
    expected = []
    for i in range(count):
        # numpy's "same" window of even width reaches one entry further back than forward.
        around = [values[j] for j in range(i - width // 2, i - width // 2 + width) if 0 <= j < count]
        expected.append(sum(around) / len(around))
    assert np.allclose(moving_average(values, window), expected)


def test_a_det_curve_leaves_out_rates_that_a_logarithm_cannot_show() -> None:
    rates = np.array([1.0, 0.1, 0.01, 0.0])
    figure = det_figure({"all": (rates, rates[::-1].copy())})
    (line,) = figure.axes[0].get_lines()
    assert line.get_xdata().tolist() == [10.0, 1.0]
    assert line.get_ydata().tolist() == [1.0, 10.0]
    with pytest.raises(VireidError, match="DET"):
        det_figure({})
