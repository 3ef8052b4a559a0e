"""From rankings to numbers: protocols, CMC, mAP, mINP, and what a run reports."""

from vireid.evaluation.metrics import Metrics, QueryScores, cmc, score_queries, summarise
from vireid.evaluation.protocols import Setting, Trial, mixed_setting, settings_for
from vireid.evaluation.ranked import RankedLists, RankingMethod, rank_trial, ranked_lists
from vireid.evaluation.results import Facts, Result, comparability, pool, score_setting
from vireid.evaluation.rules import RULES, Labels, MatchRule
from vireid.evaluation.scoring import score, score_file
from vireid.evaluation.uncertainty import Difference, compare

__all__ = [
    "RULES",
    "Difference",
    "Facts",
    "Labels",
    "MatchRule",
    "Metrics",
    "QueryScores",
    "RankedLists",
    "RankingMethod",
    "Result",
    "Setting",
    "Trial",
    "cmc",
    "comparability",
    "compare",
    "mixed_setting",
    "pool",
    "rank_trial",
    "ranked_lists",
    "score",
    "score_file",
    "score_queries",
    "score_setting",
    "settings_for",
    "summarise",
]
