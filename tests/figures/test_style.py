from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from vireid.figures.curves import CmcCurve, cmc_figure
from vireid.figures.style import DASHES, PALETTE, drawing, new_figure, printable, to_png, to_svg, write_figure
from vireid.types import VireidError

matplotlib = pytest.importorskip("matplotlib")

HOSTILE = '<script>alert(1)</script> & "q" $a_b$ \x07\u202e \udc80'


def curve(label: str, rank1: float = 0.5) -> CmcCurve:
    return CmcCurve(label, np.linspace(rank1, 1, 20))


def test_svg_is_one_well_formed_element_and_equal_for_equal_figures() -> None:
    first, second = (to_svg(cmc_figure([curve("a")], curve("chance", 0.1))) for _ in range(2))
    assert first == second
    assert ElementTree.fromstring(first).tag == "{http://www.w3.org/2000/svg}svg"
    assert "<metadata" not in first


def test_svg_takes_the_colour_of_the_page() -> None:
    svg = to_svg(cmc_figure([curve("a")]))
    assert "currentColor" in svg
    assert "#1b1f24" not in svg.lower()
    assert PALETTE[0].lower() in svg.lower()


def test_two_figures_in_one_page_share_no_id_and_refer_only_to_their_own() -> None:
    svgs = [to_svg(cmc_figure([curve("a", rank1)])) for rank1 in (0.2, 0.4)]
    ids = [set(re.findall(r' id="([^"]+)"', svg)) for svg in svgs]
    assert ids[0]
    assert not ids[0] & ids[1]
    for svg, own in zip(svgs, ids, strict=True):
        assert set(re.findall(r'(?:url\(#|href="#)([^")]+)', svg)) == own


def test_hostile_label_is_text_in_the_svg() -> None:
    svg = to_svg(cmc_figure([curve(HOSTILE)]))
    texts = ["".join(node.itertext()) for node in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    assert any(printable(HOSTILE) in text for text in texts)
    assert "<script" not in svg


def test_printable_shows_what_has_no_glyph() -> None:
    assert printable("Ünï 人 $x$") == "Ünï 人 $x$"
    assert printable("a\nb\u202e\udc80") == r"a\nb\u202e\udc80"


def test_settings_of_the_caller_survive_and_do_not_leak_in() -> None:
    with matplotlib.rc_context({"font.size": 33, "text.usetex": True}):
        before = dict(matplotlib.rcParams)
        svg = to_svg(cmc_figure([curve("a")]))
        assert dict(matplotlib.rcParams) == before
    assert svg == to_svg(cmc_figure([curve("a")]))


def test_png_is_opaque_white() -> None:
    import io

    from PIL import Image

    with drawing():
        figure = new_figure(1, 0.5)
    image = Image.open(io.BytesIO(to_png(figure, dpi=100))).convert("RGBA")
    assert image.size == (100, 50)
    assert image.getpixel((0, 0)) == (255, 255, 255, 255)


@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG"), (".PDF", b"%PDF"), (".svg", b"<svg")])
def test_write_figure_by_suffix_leaves_one_file(tmp_path: Path, suffix: str, magic: bytes) -> None:
    path = tmp_path / f"figure{suffix}"
    write_figure(path, cmc_figure([curve(HOSTILE)]))
    assert path.read_bytes().startswith(magic)
    assert list(tmp_path.iterdir()) == [path]


def test_unknown_suffix_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(VireidError, match=r"\.png, \.pdf or \.svg"):
        write_figure(tmp_path / "figure.jpg", cmc_figure([curve("a")]))
    assert not list(tmp_path.iterdir())


def test_missing_matplotlib_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(VireidError, match=r"pip install 'vireid\[report\]'"):
        cmc_figure([curve("a")])


def test_each_colour_has_a_dash_of_its_own() -> None:
    assert len(set(PALETTE)) == len(PALETTE) == len(set(map(str, DASHES)))


def test_no_pyplot_and_no_import_before_use() -> None:
    script = (
        "import sys, numpy\n"
        "import vireid.report.document, vireid.figures.heatmaps, vireid.figures.curves as curves\n"
        "from vireid.figures.style import to_svg\n"
        "assert not {'matplotlib', 'jinja2'} & set(sys.modules)\n"
        "to_svg(curves.cmc_figure([curves.CmcCurve('a', numpy.ones(3))]))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
