"""One small demo for all end-to-end tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

from vireid.demo import DemoSize, run_demo

SMALL = DemoSize(identities=12, test_identities=4, images=2)
OVERRIDES = ("data.height=64", "data.width=32", "data.identities=4", "data.images=2", "model.base_width=8",
             "schedule.epochs=2", "schedule.warmup=0.5")  # fmt: skip


def no_bars(name: str) -> Callable[[int, int], None]:
    return lambda done, total: None


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with ``report.html``; the rendered set is ``demo-data`` beside it."""
    out = tmp_path_factory.mktemp("demo") / "runs" / "demo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIREID_CACHE", str(out.parent / "cache"))
        run_demo(out, no_bars, SMALL, OVERRIDES)
    return out


@pytest.fixture(autouse=True)
def cache(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIREID_CACHE", str(demo.parent / "cache"))
