"""Methods other than the paper's, one file each; a recipe names them in ``model.methods``.

The file ``some_name.py`` holds the class ``SomeName``, a `vireid.models.Method`; docs/adding-a-method.md adds one.
"""

from __future__ import annotations

import pkgutil
from typing import TYPE_CHECKING

from vireid.lazy import lazy_names

if TYPE_CHECKING:
    from vireid.methods.adapter import Adapter
    from vireid.methods.bridge import Bridge
    from vireid.methods.expansion import Expansion
    from vireid.methods.middle import Middle
    from vireid.methods.non_local import NonLocal
    from vireid.methods.stripes import Stripes
    from vireid.methods.zero_padding import ZeroPadding

_CLASSES = {module.name.title().replace("_", ""): module.name for module in pkgutil.iter_modules(__path__)}

METHODS = {name: f"{__name__}.{name}:{cls}" for cls, name in _CLASSES.items()}
"""The built-in methods by name; `vireid.plugins.find` imports the class."""

__all__ = ["METHODS", "Adapter", "Bridge", "Expansion", "Middle", "NonLocal", "Stripes", "ZeroPadding"]

__getattr__, __dir__ = lazy_names(__name__, _CLASSES)
