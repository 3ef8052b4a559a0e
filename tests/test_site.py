"""The documentation site: built strictly, whole without a network, and nothing public left out."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest

import vireid

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parents[1]


def build(root: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """Build the site of the checkout at ``root`` as ``make docs`` does."""
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)],
        cwd=root,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(root / "src")},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("docs") / "site"
    done = build(ROOT, out)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """Yield the file and fragment of every link of a page that is no address of the web."""
    for link in re.findall(r'(?:href|src)="([^"]*)"', page.read_text()):
        parts = urlsplit(unescape(link))
        if not parts.scheme and not parts.netloc:
            yield (page.parent / unquote(parts.path)).resolve() if parts.path else page, unquote(parts.fragment)


def test_every_link_leads_to_a_file_and_a_place_in_it(site: Path) -> None:
    ids = {page: set(re.findall(r'id="([^"]+)"', page.read_text())) for page in site.rglob("*.html")}
    checked = 0
    for page in ids:
        for target, fragment in links(page):
            if page.name == "404.html":  # its links start at the site's root
                continue
            assert target.is_file(), f"{page.relative_to(site)}: {target}"
            assert not fragment or fragment.startswith("__") or fragment in ids[target], f"{page}: {target}#{fragment}"
            checked += 1
    assert checked > 1000


def test_what_the_package_offers_is_in_the_reference(site: Path) -> None:
    overview = (site / "api" / "index.html").read_text()
    for name in vireid.__all__:
        assert re.search(rf'href="\w+\.html#vireid\.\w+\.{name}"', overview), name


def test_it_opens_from_a_folder_and_asks_the_network_for_nothing(site: Path, browser: Browser) -> None:
    page, asked, errors = browser.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((site / "index.html").as_uri())
    page.keyboard.press("f")
    page.keyboard.type("hetero-center")
    page.locator(".md-search-result__item").first.wait_for(timeout=30_000)
    page.goto((site / "api" / "data.html").as_uri())
    assert page.locator("h2 >> text=CrossModalitySampler").count() == 1
    assert not errors
    assert asked
    assert {urlsplit(url).scheme for url in asked} <= {"file", "data", "blob"}


def test_a_dead_link_or_a_name_without_a_docstring_fails_the_build(tmp_path: Path) -> None:
    for name in ("docs", "src", "examples", "deploy"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "results"))
    for name in ("README.md", "CHANGELOG.md", "LICENSE", "mkdocs.yml"):
        shutil.copy(ROOT / name, tmp_path / name)
    module = tmp_path / "src" / "vireid" / "evaluation" / "metrics.py"
    text = module.read_text()
    module.write_text(re.sub(r'(class Metrics:\n)    """.*?"""\n', r"\1", text, flags=re.DOTALL))
    assert text != module.read_text()
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode != 0
    assert "public names without a docstring: vireid.evaluation.Metrics" in done.stdout + done.stderr
    module.write_text(text)
    done = build(tmp_path, tmp_path / "site")  # the pages on results are not there
    assert done.returncode != 0
    assert re.search(r"contains a link '\S*results/README.md', but the target is not found", done.stdout + done.stderr)
