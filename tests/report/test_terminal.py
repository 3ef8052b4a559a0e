import io
from pathlib import Path

from rich.console import Console

from vireid.data.check import CheckReport, Count
from vireid.layouts.listing import Problem
from vireid.models.cost import Cost
from vireid.report.terminal import check_tables, cost_table, score_table


def shown(*tables: object) -> str:
    console = Console(file=io.StringIO(), width=200)
    for table in tables:
        console.print(table)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_check_shows_sizes_and_every_problem_as_it_is_named() -> None:
    problem = Problem("unreadable", "cam1/[bold]0001/0001.jpg", "the image file is empty")
    counts = (Count("test identities", 95, 96), Count("images", 12, None))
    text = shown(*check_tables(CheckReport(Path("root"), "sysu", counts, (problem,), ("a note",))))
    for part in (
        "sysu layout",
        "95",
        "96",
        "cam1/[bold]0001/0001.jpg",
        "the image file is empty",
        "a note",
        "1 problem",
    ):
        assert part in text, part


def test_scores_stand_beside_chance_and_re_ranking() -> None:
    numbers = dict.fromkeys(("rank1", "rank5", "rank10", "rank20", "map", "minp"), 0.5)
    scores = {
        "queries": 7, "gallery": 9, "protocol": "sysu", "method": "cosine", "valid_queries": 6, **numbers,
        "chance": {"rank1": 0.111, "map": 0.2}, "warnings": ["mind this"],
    }  # fmt: skip
    text = shown(score_table(scores | {"beside": [scores | {"method": "k-reciprocal", "rank1": 0.75}]}))
    for part in ("50.00", "75.00", "11.10", "k-reciprocal", "mind this", "7 queries"):
        assert part in text, part


def test_costs_are_in_the_units_of_table_2() -> None:
    text = shown(cost_table({"full": Cost(38_706_304, 15_101_116_416, 15_150_385_152, 2**30, 12.34)}))
    for part in ("38.706", "15.1011", "15.1504", "1024", "12.3"):
        assert part in text, part
