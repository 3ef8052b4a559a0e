"""One tiny run and its float32 export for all tests of this folder."""

from pathlib import Path

import pytest

from tests.tiny import tiny_run
from vireid.deploy.export import export_run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Of a network this narrow after two batches of noise, int8 spares few blocks or all of them as the seed has it.
    return tiny_run(tmp_path_factory.mktemp("deploy"), "schedule.epochs=1", "training.seed=3")


@pytest.fixture(scope="session")
def exported(run: Path) -> Path:
    return export_run(run, cache=run.parent / "cache")[0]
