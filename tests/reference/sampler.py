"""The 2PK sampler in plain lists: everybody's turn comes before anybody's second, images likewise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class Deck:
    """Cards dealt in random order; a new shuffle when they run out, with those of the same hand put last."""

    def __init__(self, cards: list[int], random: np.random.Generator) -> None:
        self.cards, self.random = cards, random
        self.left: list[int] = []

    def deal(self, count: int) -> list[int]:
        hand: list[int] = []
        while len(hand) < count:
            if not self.left:
                fresh = [int(card) for card in self.random.permutation(self.cards)]
                self.left = [c for c in fresh if c not in hand] + [c for c in fresh if c in hand]
            hand.append(self.left.pop(0))
        return hand


def epoch(
    identities: Sequence[int], modalities: Sequence[int], P: int, K: int, seed: int, number: int
) -> list[list[int]]:
    """Batches of row numbers: P K visible rows, then P K infrared ones in the same order of identities."""
    random = np.random.default_rng((seed, number))
    people = Deck(sorted(set(identities)), random)
    rows = {
        (person, modality): [
            i for i, key in enumerate(zip(identities, modalities, strict=True)) if key == (person, modality)
        ]
        for person in set(identities)
        for modality in (0, 1)
    }
    images = {key: Deck(cards, random) for key, cards in rows.items()}
    larger = max(list(modalities).count(0), list(modalities).count(1))
    batches = []
    for _ in range(max(1, larger // (P * K))):
        chosen = people.deal(P)
        batches.append([row for modality in (0, 1) for person in chosen for row in images[person, modality].deal(K)])
    return batches


def independent_epoch(
    identities: Sequence[int], modalities: Sequence[int], P: int, K: int, seed: int, number: int
) -> list[list[int]]:
    """AGW's code: identities anew for every batch, images of each with replacement, one batch more than fit."""
    random = np.random.default_rng((seed, number))
    people = sorted(set(identities))
    larger = max(list(modalities).count(0), list(modalities).count(1))
    batches = []
    for _ in range(larger // (P * K) + 1):
        chosen = [int(person) for person in random.choice(people, P, replace=False)]
        batch: list[int] = []
        for modality in (0, 1):
            for person in chosen:
                own = [i for i, key in enumerate(zip(identities, modalities, strict=True)) if key == (person, modality)]
                batch += [int(own[place]) for place in random.choice(len(own), K)]
        batches.append(batch)
    return batches
