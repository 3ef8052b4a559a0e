"""Methods beside the paper's, one file each; a recipe names a file in ``model.methods``.

The file ``some_name.py`` holds the class ``SomeName``, a `vireid.models.method.Method`;
docs/adding-a-method.md writes one.
"""

from __future__ import annotations

import importlib
import pkgutil

from vireid.models.method import Method


def _method(name: str) -> type[Method]:
    module = importlib.import_module(f"{__name__}.{name}")
    found: type[Method] = getattr(module, name.title().replace("_", ""))
    return found


METHODS: dict[str, type[Method]] = {module.name: _method(module.name) for module in pkgutil.iter_modules(__path__)}
