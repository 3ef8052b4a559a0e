"""Each supported data set in one file: how its folders look and how they are read, evaluated and rendered.

A layout is found by its name, among those that installed packages offer (entry-point group ``vireid.layouts``), or by
``package.module:NAME``. docs/datasets.md adds one.
"""

from __future__ import annotations

from functools import cache

from vireid.layouts.spec import LayoutSpec, MatchRule, Search
from vireid.layouts.tree import Order, Place, Tree, identity_row, labelled_lines
from vireid.plugins import find, known_names

__all__ = [
    "BUILTIN",
    "LayoutSpec",
    "MatchRule",
    "Order",
    "Place",
    "Search",
    "Tree",
    "find_layout",
    "identity_row",
    "labelled_lines",
    "layout_names",
]

BUILTIN = {
    "sysu": "vireid.layouts.sysu:SYSU",
    "regdb": "vireid.layouts.regdb:REGDB",
    "llcm": "vireid.layouts.llcm:LLCM",
    "folder": "vireid.layouts.folder:FOLDER",
    "market": "vireid.layouts.market:MARKET",
    "manifest": "vireid.layouts.manifest:MANIFEST",
}
"""The layouts of this package, imported on demand; if a folder fits several, the first wins."""


def layout_names() -> list[str]:
    """Names of the layouts, those of this package first; imports none of them."""
    return [*BUILTIN, *(name for name in known_names("layout", BUILTIN) if name not in BUILTIN)]


@cache
def find_layout(name: str, field: str = "layout") -> LayoutSpec:
    """Return the layout that a name or ``package.module:NAME`` stands for.

    Args:
        field: what errors begin with, for example ``data.layout``.

    Raises:
        VireidError: an unknown name, a module that fails to import, or an object that is not a `LayoutSpec`.

    Examples:
        >>> from vireid.layouts import find_layout
        >>> sysu = find_layout("sysu")
        >>> sysu.title, sysu.rule.never_compared, [search.title for search in sysu.columns]
        ('SYSU-MM01', ((3, 2), (2, 3)), ['All search, infrared to visible', 'Indoor search, infrared to visible'])
    """
    found: LayoutSpec = find(
        "layout",
        name,
        BUILTIN,
        field,
        expected="a vireid.layouts.LayoutSpec",
        accepts=lambda found: isinstance(found, LayoutSpec),
    )
    return found
