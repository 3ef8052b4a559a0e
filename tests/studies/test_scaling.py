import csv
from dataclasses import asdict
from pathlib import Path

import pytest

from vireid.cli import main
from vireid.studies import scaling as scale
from vireid.studies.scaling import STAGES, Measurement, clusters, in_own_process, measure_all, plan
from vireid.types import VireidError


def test_plan_grows_the_gallery_then_the_identities_of_the_largest() -> None:
    cases = plan((1000, 5000, 9000), 5000)
    assert [case for case in cases if case[0] == "rank"] == [
        ("rank", 1000, 50), ("rank", 5000, 250), ("rank", 5000, 1250), ("rank", 5000, 50), ("rank", 5000, 10)
    ]  # fmt: skip
    assert {stage for stage, *_ in cases} == set(STAGES)


@pytest.mark.parametrize(("sizes", "largest"), [((10,), 20_000), ((5000,), 1000), ((), 1000)])
def test_sizes_out_of_range_are_refused(sizes: tuple[int, ...], largest: int) -> None:
    with pytest.raises(VireidError, match="scale: expected gallery sizes of 1000 to the largest"):
        plan(sizes, largest)


def test_clusters_hold_every_identity() -> None:
    features, people = clusters(100, 7, dimensions=16)
    assert features.shape == (100, 16)
    assert people.unique().tolist() == list(range(7))


def test_command_measures_in_processes_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "IMAGES", (20,))
    with pytest.raises(SystemExit) as ended:
        main(["scale", "--sizes", "1000", "--out", str(tmp_path / "out")])
    assert not ended.value.code
    lines = list(csv.DictReader((tmp_path / "out" / "scale.csv").read_text().splitlines()))
    assert [line["stage"] for line in lines] == list(STAGES)
    for line in lines:
        assert float(line["seconds"]) > 0
        assert float(line["peak"]) >= float(line["before"]) > 0
    assert (tmp_path / "out" / "scale.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "out" / "scale.png").exists()


def test_a_failed_process_says_what_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale.sys, "executable", "/bin/false")
    said = r"scale: rank of 1000 vectors: exited with status 1; is there enough memory\?"
    with pytest.raises(VireidError, match=said):
        in_own_process("rank", 1000, 50)


def test_what_is_kept_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int, int]] = []

    def made(stage: str, size: int, identities: int) -> dict[str, object]:
        asked.append((stage, size, identities))
        return asdict(Measurement(stage, size, identities, 500, 2048, 1, 1.5, 0.5, 1.0))

    monkeypatch.setattr(scale, "in_own_process", made)
    cases = [("rank", 1000, 50), ("score", 1000, 50)]
    first = measure_all(cases[:1], tmp_path)
    assert measure_all(cases, tmp_path)[0] == first[0]
    assert asked == cases
    (tmp_path / "rank-1000-50.json").write_text("{}")
    with pytest.raises(VireidError, match="expected a result of vireid scale; delete it"):
        measure_all(cases, tmp_path)
