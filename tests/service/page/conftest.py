from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

pytest.importorskip("fastapi", reason="the page is served by FastAPI: pip install 'vireid[search]'")
pytest.importorskip("playwright", reason="the page is tested in a browser: pip install 'vireid[test]'")

from playwright.sync_api import Browser, BrowserContext

from tests.service.page.desk import Desk, Upload, window
from tests.service.page.mock import TOKEN, create_app, served
from tests.service.page.people import Picture, before, gallery

PEOPLE = 5


@pytest.fixture(scope="session")
def pictures() -> list[Picture]:
    return gallery(PEOPLE, images=2)


@pytest.fixture(scope="session")
def unseen() -> list[Picture]:
    """Pictures of the first person that the gallery does not hold: two by night and one by day."""
    return [*before("yard", [0], image=7), *before("lane", [0], image=8), *before("gate", [0], image=9)]


@pytest.fixture(scope="session")
def base_url(pictures: list[Picture], unseen: list[Picture]) -> Iterator[str]:
    with served(create_app(pictures, unseen)) as url:
        yield url


@pytest.fixture(scope="session")
def token() -> str:
    return TOKEN


@pytest.fixture(scope="session")
def night(unseen: list[Picture]) -> list[Upload]:
    """Two infrared pictures of one person."""
    return [upload(picture) for picture in unseen[:2]]


@pytest.fixture(scope="session")
def day(unseen: list[Picture]) -> Upload:
    """A visible picture of the same person."""
    return upload(unseen[2])


def upload(picture: Picture) -> Upload:
    return {"name": picture.name.replace("/", "-"), "mimeType": "image/jpeg", "buffer": picture.data}


@pytest.fixture(scope="module")
def context(browser: Browser) -> BrowserContext:
    return window(browser)


@pytest.fixture
def door(context: BrowserContext, base_url: str) -> Iterator[Desk]:
    """The page before anybody has entered."""
    with faultless(Desk(context, base_url)) as desk:
        yield desk


@pytest.fixture
def desk(door: Desk, token: str) -> Desk:
    return door.enter(token)


@pytest.fixture
def searched(desk: Desk, night: list[Upload]) -> Desk:
    """The page with the matches of one infrared picture."""
    desk.give(night[0])
    desk.search()
    return desk


@contextmanager
def faultless(desk: Desk) -> Iterator[Desk]:
    """Close the tab at the end; nothing may have gone wrong in it that nobody saw."""
    yield desk
    desk.page.close()
    assert desk.faults == []
