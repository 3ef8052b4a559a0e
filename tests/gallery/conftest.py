"""A real Milvus server for the tests, and the two kinds of places that a gallery can be at."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.gallery.milvus_server import milvus_server

_numbers = itertools.count()


@pytest.fixture(scope="session")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that lives as long as the tests."""
    pytest.importorskip("milvus", reason="milvus is not installed: pip install 'vireid[test]'")
    with ExitStack() as stack:
        try:
            address = stack.enter_context(milvus_server(tmp_path_factory.mktemp("milvus")))
        except (OSError, RuntimeError, TimeoutError) as error:
            pytest.skip(f"a Milvus server does not start on this machine: {error}")
        yield address


@pytest.fixture(params=["folder", "server"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a new gallery can be made."""
    if request.param == "folder":
        return str(tmp_path / "store")
    return f"{request.getfixturevalue('milvus')}/test{next(_numbers)}"
