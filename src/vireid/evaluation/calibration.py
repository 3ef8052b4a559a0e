"""From similarities to alarms: the threshold for a wanted false-match rate, and the DET curve."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from vireid.evaluation.rules import Labels, MatchRule, removed
from vireid.retrieval.ranking import Ranking

BINS = 1 << 14
"""Bins from similarity -1 to 1, and one more for 1 itself; thresholds are lower edges, 0.00012 apart."""


@dataclass(frozen=True)
class OperatingPoint:
    """What an alarm at ``threshold`` (similarity at or above it) does.

    ``false_match_rate``: share of comparisons of different people that raise it. ``false_non_match_rate``:
    share of comparisons of the same person that do not.
    """

    threshold: float
    false_match_rate: float
    false_non_match_rate: float


@dataclass(frozen=True)
class Calibration:
    """Similarities of all comparisons a protocol allows, of the same person and of different people.

    Shapes: (BINS + 1,) int64 counts.
    """

    genuine: Tensor
    impostor: Tensor

    def at_false_match_rate(self, wanted: float) -> OperatingPoint:
        """Return the lowest threshold whose false-match rate is at most ``wanted`` (0 to 1).

        A rate near or below one in the number of different-people comparisons is an extrapolation: the
        threshold is then the similarity no such comparison reached. The rate is per comparison; a search of a
        gallery of n images raises about n times as many false alarms.
        """
        rates = self._false_match_rates()
        return self._point(int((rates <= wanted).nonzero()[0]))

    def equal_error(self) -> OperatingPoint:
        """Return the point where the two rates are closest."""
        return self._point(int((self._false_match_rates() - self._false_non_match_rates()).abs().argmin()))

    def det(self, points: int = 64) -> list[OperatingPoint]:
        """Return the DET curve, at most ``points`` from a false-match rate of 1 down to a single false match.

        They are spread evenly over the logarithm of the rate.
        """
        rates = self._false_match_rates()
        lowest = 1 / max(1, int(self.impostor.sum()))
        wanted = torch.logspace(0, torch.tensor(lowest).log10().item(), points, dtype=torch.float64)
        edges = sorted({int((rates <= rate).nonzero()[0]) for rate in wanted.tolist()})
        return [self._point(edge) for edge in edges]

    def _false_match_rates(self) -> Tensor:
        """(BINS + 2,) rates at every lower edge, and 0 beyond the last bin."""
        above = self.impostor.flip(0).cumsum(0).flip(0).double() / self.impostor.sum().clamp_min(1)
        return torch.cat([above, above.new_zeros(1)])

    def _false_non_match_rates(self) -> Tensor:
        below = self.genuine.cumsum(0).double() / self.genuine.sum().clamp_min(1)
        return torch.cat([below.new_zeros(1), below])

    def _point(self, edge: int) -> OperatingPoint:
        return OperatingPoint(
            2 * edge / BINS - 1,
            float(self._false_match_rates()[edge]),
            float(self._false_non_match_rates()[edge]),
        )


def calibrate(trials: Iterable[tuple[Ranking, Labels, Labels]], rule: MatchRule) -> Calibration:
    """Count the similarities of all allowed comparisons of the trials.

    Args:
        trials: rankings with similarities from -1 to 1 (others are counted at the ends), and the labels of
            their queries and galleries.
        rule: comparisons it removes are not counted.
    """
    width = BINS + 1
    counts = torch.zeros(2 * width, dtype=torch.int64)
    for ranking, query, gallery in trials:
        sides = query.to(ranking.device), gallery.to(ranking.device)
        counts += torch.stack(ranking.map(partial(_count, *sides, rule))).sum(dim=0)
    return Calibration(genuine=counts[width:], impostor=counts[:width])


def _count(query: Labels, gallery: Labels, rule: MatchRule, rows: slice, similarity: Tensor) -> Tensor:
    """Return the comparisons of some queries in every bin, those of different people first."""
    side, width = query[rows], BINS + 1
    # float64, so that a float32 similarity falls on the right side of every edge.
    bins = ((similarity.double() + 1) * (BINS / 2)).floor_().clamp_(0, BINS).long()
    bins += width * (side.identities[:, None] == gallery.identities)
    excluded = removed(rule, side, gallery)
    allowed = bins.flatten() if excluded is None else bins[~excluded]
    return torch.bincount(allowed, minlength=2 * width).cpu()
