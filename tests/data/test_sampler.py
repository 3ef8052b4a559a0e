from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import sampler as reference
from vireid.config import DataConfig
from vireid.data.sampler import SAMPLERS, CrossModalitySampler, EitherModalitySampler, IndependentSampler, make_sampler
from vireid.types import Modality, VireidError


@st.composite
def _labels(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Identities with odd numbers, 1 to 7 images per modality, in random row order."""
    counts = draw(st.lists(st.tuples(st.integers(1, 7), st.integers(1, 7)), min_size=1, max_size=9))
    rows = [(13 * i + 5, m) for i, pair in enumerate(counts) for m in (0, 1) for _ in range(pair[m])]
    order = np.random.default_rng(draw(st.integers(0, 1000))).permutation(len(rows))
    table = np.array(rows)[order]
    return table[:, 0], table[:, 1]


@settings(max_examples=150, deadline=None)
@given(
    labels=_labels(),
    P=st.integers(1, 9),
    K=st.integers(1, 9),
    seed=st.integers(0, 10),
    epoch=st.integers(0, 9),
)
def test_invariants(labels: tuple[np.ndarray, np.ndarray], P: int, K: int, seed: int, epoch: int) -> None:
    identities, modalities = labels
    people = set(identities.tolist())
    per_modality = np.bincount(modalities)
    if len(people) < P or per_modality.min() < K:
        with pytest.raises(VireidError):
            CrossModalitySampler(identities, modalities, P, K, seed)
        return
    sampler = CrossModalitySampler(identities, modalities, P, K, seed)
    batches = sampler.epoch(epoch)
    assert len(batches) == len(sampler) == max(1, per_modality.max() // (P * K))
    turns: Counter[int] = Counter(dict.fromkeys(people, 0))
    uses: Counter[int] = Counter()
    for batch in batches:
        assert batch.shape == (2 * P * K,)
        assert batch.dtype == np.int64
        assert (modalities[batch] == np.repeat([0, 1], P * K)).all()
        groups = identities[batch].reshape(2, P, K)
        assert (groups == groups[:, :, :1]).all()
        assert (groups[0] == groups[1]).all()
        chosen = groups[0, :, 0].tolist()
        assert len(set(chosen)) == P
        turns.update(chosen)
        uses.update(batch.tolist())
        for rows in batch.reshape(2 * P, K):
            available = ((identities == identities[rows[0]]) & (modalities == modalities[rows[0]])).sum()
            assert len(set(rows.tolist())) == min(K, available)
    assert max(turns.values()) - min(turns.values()) <= 1
    for person in people:
        for modality in (0, 1):
            rows = np.flatnonzero((identities == person) & (modalities == modality))
            counts = [uses[int(row)] for row in rows]
            assert max(counts) - min(counts) <= 1


def _plain() -> tuple[np.ndarray, np.ndarray]:
    return np.repeat(np.arange(6), 8), np.tile(np.repeat([0, 1], 4), 6)


def test_an_epoch_depends_on_seed_and_number_alone() -> None:
    one, other = (CrossModalitySampler(*_plain(), 2, 3, seed=4) for _ in range(2))
    one.epoch(0)
    one.epoch(1)
    flat = [np.concatenate(s).tolist() for s in (one.epoch(5), other.epoch(5), other.epoch(6))]
    assert flat[0] == flat[1] != flat[2]
    assert flat[0] != np.concatenate(CrossModalitySampler(*_plain(), 2, 3, seed=5).epoch(5)).tolist()


def test_draws_are_random_within_an_identity() -> None:
    sampler = CrossModalitySampler(*_plain(), 6, 1, seed=0)
    firsts = {int(row) for epoch in range(40) for row in sampler.epoch(epoch)[0]}
    assert firsts == set(range(48))


@pytest.mark.parametrize(
    ("identities", "modalities", "P", "K", "message"),
    [
        ([1, 1, 2, 2], [0, 1, 0, 1], 3, 1, r"P: the data have 2 training identities, P asks for 3"),
        ([1, 1, 2, 2], [0, 1, 0, 1], 2, 3, r"K: the data have 2 visible training images, K asks for 3"),
        ([1, 1, 2, 2, 2], [0, 1, 0, 1, 0], 2, 3, r"K: the data have 2 infrared training images"),
        ([1, 1, 7, 7], [0, 1, 0, 0], 2, 1, r"identity 7: no infrared training image"),
        ([1, 1], [0, 1], 0, 1, r"P and K: expected whole numbers of at least 1"),
        ([], [], 1, 1, r"P: the data have 0 training identities"),
    ],
)
def test_impossible_requests(identities: list[int], modalities: list[int], P: int, K: int, message: str) -> None:
    with pytest.raises(VireidError, match=message) as caught:
        CrossModalitySampler(identities, modalities, P, K, 0)
    assert "\n" not in str(caught.value)


def test_accepts_modality_members() -> None:
    modalities = [Modality.VISIBLE, Modality.INFRARED] * 2
    assert len(CrossModalitySampler([3, 3, 4, 4], modalities, 2, 1, 0).epoch(0)[0]) == 4


@settings(max_examples=100, deadline=None)
@given(labels=_labels(), P=st.integers(1, 5), K=st.integers(1, 5), seed=st.integers(0, 10), number=st.integers(0, 9))
def test_batches_equal_those_of_the_plain_loop(
    labels: tuple[np.ndarray, np.ndarray], P: int, K: int, seed: int, number: int
) -> None:
    identities, modalities = labels
    P = min(P, len(set(identities.tolist())))
    K = min(K, int(np.bincount(modalities).min()))
    found = CrossModalitySampler(identities, modalities, P, K, seed).epoch(number)
    expected = reference.epoch(identities.tolist(), modalities.tolist(), P, K, seed, number)
    assert [batch.tolist() for batch in found] == expected


@settings(max_examples=40, deadline=None)
@given(labels=_labels(), P=st.integers(1, 4), K=st.integers(1, 6), seed=st.integers(0, 10), number=st.integers(0, 5))
def test_independent_batches_equal_the_naive_draw(
    labels: tuple[np.ndarray, np.ndarray], P: int, K: int, seed: int, number: int
) -> None:
    identities, modalities = labels
    if len(set(identities.tolist())) < P or np.bincount(modalities).min() < K:
        return
    sampler = IndependentSampler(identities, modalities, P, K, seed)
    found = sampler.epoch(number)
    assert [x.tolist() for x in found] == reference.independent_epoch(
        identities.tolist(), modalities.tolist(), P, K, seed, number
    )
    assert len(found) == len(sampler)


def test_independent_batches_repeat_images() -> None:
    """Four of five images with replacement: all differ in 19 % of the cases."""
    identities, modalities = np.repeat(np.arange(10), 10), np.tile(np.repeat([0, 1], 5), 10)
    groups = [
        rows
        for number in range(60)
        for batch in IndependentSampler(identities, modalities, 5, 4, 0).epoch(number)
        for rows in batch.reshape(-1, 4)
    ]
    assert np.mean([len(set(rows.tolist())) == 4 for rows in groups]) == pytest.approx(0.192, abs=0.03)


@settings(max_examples=60, deadline=None)
@given(labels=_labels(), P=st.integers(1, 4), K=st.integers(1, 6), seed=st.integers(0, 10))
def test_either_modality_deals_whole_groups_of_an_identity(
    labels: tuple[np.ndarray, np.ndarray], P: int, K: int, seed: int
) -> None:
    identities, modalities = labels
    if len(set(identities.tolist())) < P or np.bincount(modalities).min() < K:
        return
    sampler = EitherModalitySampler(identities, modalities, P, K, seed)
    for number in (0, 3):
        batches = sampler.epoch(number)
        assert len(batches) == len(sampler)
        for batch in batches:
            groups = identities[batch].reshape(P, K)
            assert (groups == groups[:, :1]).all()
            assert len(set(groups[:, 0].tolist())) == P
    first = np.concatenate(sampler.epoch(0)).reshape(-1, K)  # one deal: no image twice where K are there
    for person in set(identities.tolist()):
        used = first[identities[first[:, 0]] == person].ravel().tolist()
        if (identities == person).sum() >= K:
            assert len(set(used)) == len(used)


@pytest.mark.parametrize("sampling", SAMPLERS)
def test_a_recipe_names_its_sampler(sampling: str) -> None:
    config = DataConfig(sampling=sampling, identities=2, images=3)  # type: ignore[arg-type]
    sampler = make_sampler(config, *_plain(), seed=4)
    assert type(sampler) is SAMPLERS[sampling]
    assert all(len(x) == (6 if sampling == "either" else 12) for x in sampler.epoch(0))
