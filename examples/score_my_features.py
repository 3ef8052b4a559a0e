"""Score features of any model with the SYSU-MM01 rule: plain, re-ranked, and how sure the numbers are.

Needs torch and numpy only. Replace `my_features` by your own: one row per image, in any order.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vireid.evaluation import RULES, Labels, score_queries, summarise
from vireid.evaluation.uncertainty import compare, intervals
from vireid.retrieval import CosineRanking, KReciprocalRanking


def my_features(identities: Tensor, infrared: bool, noise: float) -> Tensor:
    """Stand in for a network: (n, 128) embeddings that share an identity's direction and add noise."""
    generator = torch.Generator().manual_seed(7)
    person = torch.randn(96, 128, generator=generator)
    modality = torch.randn(2, 128, generator=generator)[int(infrared)]
    generator.manual_seed(int(infrared))
    return person[identities] + modality + noise * torch.randn(len(identities), 128, generator=generator)


def main() -> None:
    """Score two stand-in models on the same queries and gallery."""
    # Queries: ten infrared images of each of 96 people, cameras 3 and 6. Gallery: one visible image per camera.
    query = Labels(torch.arange(96).repeat_interleave(10), torch.tensor([3, 6]).repeat(480))
    gallery = Labels(torch.arange(96).repeat_interleave(4), torch.tensor([1, 2, 4, 5]).repeat(96))

    found = {}
    for name, noise in (("my model", 1.8), ("another model", 2.0)):
        sides = (
            my_features(query.identities, infrared=True, noise=noise),
            my_features(gallery.identities, infrared=False, noise=noise),
        )
        for ranking in (CosineRanking(*sides), KReciprocalRanking(*sides)):
            scores = score_queries(ranking, query, gallery, RULES["sysu"])
            metrics = summarise(scores)
            print(
                f"{name:14} {ranking.method:13} rank-1 {metrics.rank1:6.1%}  mAP {metrics.map:6.1%}  "
                f"mINP {metrics.minp:6.1%}  ({metrics.valid_queries} queries)"
            )
            found[name, ranking.method] = [scores]

    low, high = intervals(found["my model", "cosine"])["map"]
    print(f"mAP of my model, 95 % interval over people: {low:.1%} to {high:.1%}")
    gain = compare(found["my model", "cosine"], found["another model", "cosine"])["map"]
    print(f"Gain over the other: {gain.mean:+.1%} ({gain.low:+.1%} to {gain.high:+.1%}), p = {gain.p:.4f}")


if __name__ == "__main__":
    main()
