"""The style of all figures: palette and sizes, and conversion to SVG, PNG or PDF.

Figures are made with matplotlib's object interface (``matplotlib.figure.Figure``), never through ``pyplot``,
so nothing here opens a window or keeps state between figures.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vireid.files import atomic_path
from vireid.types import VireidError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMN_WIDTH = 3.5
"""Inches: one column of a two-column paper."""
PAGE_WIDTH = 7.16
"""Inches: both columns of a two-column paper."""

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's colours, which differ for every kind of colour vision, strongest contrast on white first."""
DASHES = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)), (0, (3, 1.5)), (0, (8, 2)))
"""Line styles that go with PALETTE, because colour alone does not survive greyscale printing."""
RIGHT = "#009E73"
WRONG = "#D55E00"
INK = "#1B1F24"
"""Colour of text and axes. ``to_svg`` turns it into ``currentColor``, so inline figures follow the dark mode."""

_RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # shipped with matplotlib, so figures are the same on every machine
    "font.size": 8.0,
    "axes.titlesize": 8.0,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "legend.fontsize": 7.0,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.14,
    "grid.linewidth": 0.6,
    "text.usetex": False,
    "text.parse_math": False,  # a name with dollar signs is not a formula
    "svg.fonttype": "none",  # text stays text: selectable, searchable, in the page's font
    "svg.hashsalt": "vireid",
    "pdf.fonttype": 42,
}


def missing_extra(package: str) -> VireidError:
    """Return the error that names the optional ``package`` and the command that installs it."""
    return VireidError(f"{package} is not installed and figures need it: install with pip install 'vireid[report]'")


@contextmanager
def drawing() -> Iterator[None]:
    """Apply the style while a figure is drawn or saved, and restore the caller's settings afterwards.

    Raises:
        VireidError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise missing_extra("matplotlib") from error
    with matplotlib.rc_context(_RC):
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of ``width`` x ``height`` inches; call it inside ``drawing()``."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def printable(text: str) -> str:
    r"""Return ``text`` with every character without a glyph (control, direction marks, bytes) as an escape.

    >>> printable("cam\x001")
    'cam\\x001'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def to_svg(figure: Figure) -> str:
    """Return ``figure`` as one ``<svg>`` element that can be placed in a page next to others.

    Equal figures give equal text. Text and axes take the text colour of the page, the background is transparent,
    and ids are unique to the figure, so that two inline figures do not share clip paths.
    """
    markup = _saved(figure, "svg").decode("utf-8")
    markup = re.sub(r"<metadata>.*?</metadata>", "", markup[markup.index("<svg") :], flags=re.DOTALL)
    markup = re.sub(re.escape(INK), "currentColor", markup, flags=re.IGNORECASE)
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', markup))
    markup = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in used else "", markup)
    prefix = "f" + hashlib.sha256(markup.encode("utf-8")).hexdigest()[:10]
    return re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{prefix}-", markup).strip()


def to_png(figure: Figure, dpi: int = 200) -> bytes:
    """Return ``figure`` as the bytes of a PNG file on a white background, with ``dpi`` pixels per inch."""
    return _saved(figure, "png", dpi)


def write_figure(path: Path, figure: Figure, dpi: int = 300) -> None:
    """Write ``figure`` to ``path`` atomically, in the format of its suffix (.png, .pdf or .svg); ``dpi`` applies to
    pictures.

    Raises:
        VireidError: another suffix, or the file cannot be written.
    """
    kind = path.suffix.lower().lstrip(".")
    if kind not in {"png", "pdf", "svg"}:
        raise VireidError(f"{path}: expected a file name that ends in .png, .pdf or .svg")
    content = to_svg(figure).encode("utf-8") if kind == "svg" else _saved(figure, kind, dpi)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def _saved(figure: Figure, kind: str, dpi: int = 200) -> bytes:
    # Dates would make equal figures differ.
    dateless = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[kind]
    buffer = io.BytesIO()
    with drawing():
        figure.savefig(buffer, format=kind, dpi=dpi, transparent=kind == "svg", metadata=dateless)
    return buffer.getvalue()
