"""Draw training batches: P identities, K visible and K infrared images of each (2PK batches)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vireid.config import DataConfig
from vireid.types import Modality, VireidError

Rows = npt.NDArray[np.int64]


class Sampler(Protocol):
    """What the training loop draws its batches from."""

    def __len__(self) -> int:
        """Batches per epoch."""
        ...

    def epoch(self, number: int) -> list[Rows]:
        """The batches of epoch ``number`` (from 0), row numbers of the training set."""
        ...


def make_sampler(
    config: DataConfig, identities: Sequence[int] | Rows, modalities: Sequence[int] | Rows, seed: int
) -> Sampler:
    """Return the sampler of a recipe; see `CrossModalitySampler` for the arguments and errors."""
    return SAMPLERS[config.sampling](identities, modalities, config.identities, config.images, seed)


class CrossModalitySampler:
    """Row numbers of 2PK batches, epoch by epoch.

    An epoch has max(#visible, #infrared) // (P K) batches, at least one: it draws about as many images of the
    larger modality as there are. Within an epoch identities take turns (how often two of them were drawn never
    differs by more than one), and so do the images of an identity and modality. An image is drawn twice for
    one batch only if the identity has fewer than K images of that modality.

    If all rows are of one modality, a batch holds PK rows.

    ``identities`` and ``modalities`` (n,) describe row i of the training set; any numbers serve as
    identities. An epoch depends on ``seed`` and its number alone, so training resumes anywhere.

    Raises `VireidError` if P or K is below one, an identity lacks a modality, or the data have fewer than
    P identities or fewer than K images of a modality.

    Examples:
        >>> import vireid
        >>> identities, modalities = [7, 7, 8, 8, 9, 9], [0, 1, 0, 1, 0, 1]
        >>> sampler = vireid.CrossModalitySampler(identities, modalities, P=2, K=1, seed=0)
        >>> batches = sampler.epoch(0)
        >>> len(batches), batches[0].shape
        (1, (4,))
    """

    def __init__(
        self, identities: Sequence[int] | Rows, modalities: Sequence[int] | Rows, P: int, K: int, seed: int
    ) -> None:
        if P < 1 or K < 1:
            raise VireidError(f"P and K: expected whole numbers of at least 1, got P = {P}, K = {K}")
        self.P, self.K, self.seed = P, K, seed
        who, which = np.asarray(identities), np.asarray(modalities)
        self._people = np.unique(who)
        if len(self._people) < P:
            raise VireidError(f"P: the data have {len(self._people)} training identities, P asks for {P}; lower P")
        self._modalities = [modality for modality in Modality if (which == modality).any()]
        for modality in self._modalities:
            count = int((which == modality).sum())
            if count < K:
                raise VireidError(f"K: the data have {count} {modality} training images, K asks for {K}; lower K")
        self._rows = {
            (int(person), modality): np.flatnonzero((who == person) & (which == modality))
            for person in self._people
            for modality in self._modalities
        }
        for (person, modality), rows in self._rows.items():
            if not len(rows):
                raise VireidError(f"identity {person}: no {modality} training image; add some or leave it out")
        self._length = max(1, int(np.bincount(which).max()) // (P * K))

    def __len__(self) -> int:
        """Batches per epoch."""
        return self._length

    def epoch(self, number: int) -> list[Rows]:
        """The batches of epoch ``number`` (from 0), each (2PK,) int64, or (PK,) of one modality.

        First the P K visible rows, K consecutive ones per identity, then the infrared rows in the same order
        of identities.
        """
        random = np.random.default_rng((self.seed, number))
        people = _Turns(self._people, random)
        images = {key: _Turns(rows, random) for key, rows in self._rows.items()}
        batches = []
        for _ in range(self._length):
            chosen = people.take(self.P)
            drawn = [images[int(person), modality].take(self.K) for modality in self._modalities for person in chosen]
            batches.append(np.concatenate(drawn))
        return batches


class IndependentSampler(CrossModalitySampler):
    """2PK batches that know nothing of each other, as AGW's code and all derived from it draw them.

    Identities are drawn anew for every batch, without replacement within it, and an identity's images with replacement:
    one may be in a batch twice, another never be seen. An epoch has max(#visible, #infrared) // (P K) + 1 batches.
    """

    def __init__(
        self, identities: Sequence[int] | Rows, modalities: Sequence[int] | Rows, P: int, K: int, seed: int
    ) -> None:
        super().__init__(identities, modalities, P, K, seed)
        self._length = int(np.bincount(np.asarray(modalities)).max()) // (P * K) + 1

    def epoch(self, number: int) -> list[Rows]:
        random = np.random.default_rng((self.seed, number))
        batches = []
        for _ in range(self._length):
            chosen = random.choice(self._people, self.P, replace=False)
            drawn = [random.choice(self._rows[int(who), m], self.K) for m in self._modalities for who in chosen]
            batches.append(np.concatenate(drawn))
        return batches


class EitherModalitySampler(CrossModalitySampler):
    """Batches of P identities with K images each, whatever their modality, as MCJA's code draws them.

    An epoch cuts every identity's shuffled images into groups of K (one group, drawn with replacement, where there are
    fewer) and deals P identities' groups at a time until fewer than P identities have any left. Every epoch has as many
    batches as the first: a longer one is cut off, a shorter one goes on with a second deal.
    """

    def __init__(
        self, identities: Sequence[int] | Rows, modalities: Sequence[int] | Rows, P: int, K: int, seed: int
    ) -> None:
        super().__init__(identities, modalities, P, K, seed)
        self._own = {p: np.concatenate([self._rows[p, m] for m in self._modalities]) for p in self._people.tolist()}
        self._length = len(self._deal(np.random.default_rng((seed, 0))))

    def epoch(self, number: int) -> list[Rows]:
        random = np.random.default_rng((self.seed, number))
        batches: list[Rows] = []
        while len(batches) < self._length:
            batches += self._deal(random)
        return batches[: self._length]

    def _deal(self, random: np.random.Generator) -> list[Rows]:
        groups = {person: self._groups(rows, random) for person, rows in self._own.items()}
        batches = []
        while len(groups) >= self.P:
            chosen = random.choice(sorted(groups), self.P, replace=False).tolist()
            batches.append(np.concatenate([groups[person].pop() for person in chosen]))
            groups = {person: left for person, left in groups.items() if left}
        return batches

    def _groups(self, rows: Rows, random: np.random.Generator) -> list[Rows]:
        rows = random.choice(rows, self.K) if len(rows) < self.K else random.permutation(rows)
        return [rows[start : start + self.K] for start in range(0, len(rows) - self.K + 1, self.K)]


SAMPLERS = {"turns": CrossModalitySampler, "independent": IndependentSampler, "either": EitherModalitySampler}


class _Turns:
    """Deals values in random order, all before any again, and none twice in one `take` if they suffice."""

    def __init__(self, values: Rows, random: np.random.Generator) -> None:
        self._values = values
        self._random = random
        self._left: Rows = values[:0]

    def take(self, count: int) -> Rows:
        taken = self._left[:count]
        self._left = self._left[count:]
        while len(taken) < count:
            fresh = self._random.permutation(self._values)
            # who was just dealt waits till the end of the new round, unless the round is needed whole
            waits = np.isin(fresh, taken)
            fresh = np.concatenate([fresh[~waits], fresh[waits]])
            missing = count - len(taken)
            taken, self._left = np.concatenate([taken, fresh[:missing]]), fresh[missing:]
        return taken
