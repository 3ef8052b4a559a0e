"""From embeddings to rankings: similarity, neighbours, re-ranking. Knows nothing of data sets."""

from vireid.retrieval.approximate import GalleryIndex
from vireid.retrieval.neighbours import nearest
from vireid.retrieval.ranking import CosineRanking, MatrixRanking, Neighbours, Ranking
from vireid.retrieval.reranking import KReciprocalRanking, rerank
from vireid.retrieval.variants import CameraRanking, ExpandedRanking

__all__ = [
    "CameraRanking",
    "CosineRanking",
    "ExpandedRanking",
    "GalleryIndex",
    "KReciprocalRanking",
    "MatrixRanking",
    "Neighbours",
    "Ranking",
    "nearest",
    "rerank",
]
