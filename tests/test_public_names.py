"""Public names of the packages: lazily imported, and never hidden by a module of the same name."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from types import ModuleType

import pytest

PACKAGES = ("vireid.losses", "vireid.methods", "vireid.models", "vireid.training")


@pytest.mark.parametrize("name", PACKAGES)
def test_every_public_name_is_found_and_documented(name: str) -> None:
    package = importlib.import_module(name)
    assert set(package.__all__) - {"METHODS", "LOSSES"} == set(dir(package))
    for public in package.__all__:
        found = getattr(package, public)
        assert not isinstance(found, ModuleType)
        assert found.__doc__
    with pytest.raises(AttributeError, match=f"module '{name}' has no attribute 'nothing'"):
        _ = package.nothing


@pytest.mark.parametrize("name", PACKAGES)
def test_no_module_is_called_like_a_public_name(name: str) -> None:
    package = importlib.import_module(name)
    modules = {module.name for module in pkgutil.iter_modules(package.__path__)}
    assert not modules & set(package.__all__)


def test_the_packages_load_nothing_heavy() -> None:
    code = f"import sys, {', '.join(PACKAGES)}; print(sorted({{'torch', 'pydantic', 'numpy'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
