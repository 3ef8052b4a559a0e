"""Public names of the packages: lazily imported, and never hidden by a module of the same name."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import vireid

LAZY = (
    "vireid",
    "vireid.data",
    "vireid.figures",
    "vireid.losses",
    "vireid.methods",
    "vireid.models",
    "vireid.training",
)
PACKAGES = (*LAZY, "vireid.evaluation", "vireid.layouts", "vireid.retrieval", "vireid.synthetic")


@pytest.mark.parametrize("name", PACKAGES)
def test_every_public_name_is_found_and_documented(name: str) -> None:
    package = importlib.import_module(name)
    for public in package.__all__:
        found = getattr(package, public)
        assert not isinstance(found, ModuleType)
        assert (
            not (inspect.isclass(found) or inspect.isfunction(found)) or found.__doc__
        )  # constants: tests/test_site.py
    with pytest.raises(AttributeError, match=f"module '{name}' has no attribute 'nothing'"):
        _ = package.nothing


@pytest.mark.parametrize("name", LAZY)
def test_names_that_are_loaded_later_are_known_to_people_and_type_checkers(name: str) -> None:
    package = importlib.import_module(name)
    assert set(package.__all__) - set(dir(package)) <= {"LOSSES", "METHODS"}  # theirs are there from the start
    tree = ast.parse(Path(str(package.__file__)).read_text())
    checked = next(node for node in tree.body if isinstance(node, ast.If))
    imported = [node for node in checked.body if isinstance(node, ast.ImportFrom)]
    assert {alias.name for node in imported for alias in node.names} == set(dir(package))
    for node in imported:
        for alias in node.names:
            assert getattr(package, alias.name) is getattr(importlib.import_module(str(node.module)), alias.name)


@pytest.mark.parametrize("name", PACKAGES)
def test_no_module_is_called_like_a_public_name(name: str) -> None:
    package = importlib.import_module(name)
    modules = {module.name for module in pkgutil.iter_modules(package.__path__)}
    assert not modules & set(package.__all__)


@pytest.mark.parametrize("name", vireid.__all__)
def test_every_name_of_the_front_door_has_an_example(name: str) -> None:
    assert ">>> " in str(getattr(vireid, name).__doc__)


def test_the_packages_load_nothing_heavy() -> None:
    code = f"import sys, {', '.join(LAZY)}; print(sorted({{'torch', 'pydantic', 'numpy'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
