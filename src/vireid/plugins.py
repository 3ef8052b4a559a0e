"""Find methods, losses, backbones, layouts and export formats: built-in, installed or `module:Class`.

An installed package offers one through an entry point: ``[project.entry-points."vireid.losses"]`` in its pyproject.toml
holds ``focal = "my_package.losses:Focal"``. Without an entry point, that string finds anything that can be imported.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, TypeVar, get_type_hints

from vireid.types import VireidError

Kind = Literal["method", "loss", "backbone", "layout", "export", "model"]
T = TypeVar("T")

GROUPS: dict[Kind, str] = {
    "method": "vireid.methods",
    "loss": "vireid.losses",
    "backbone": "vireid.backbones",
    "layout": "vireid.layouts",
    "export": "vireid.exports",
    "model": "vireid.models",
}
"""Entry-point group of each kind."""

TRUST = "VIREID_TRUST"
"""Environment variable: comma-separated packages whose code a run folder may name, see `check_embedded`."""

_REFERENCE = re.compile(r"([^\W\d]\w*(?:\.[^\W\d]\w*)*):([^\W\d]\w*)")


def is_reference(name: str) -> bool:
    """Whether a name has the form ``package.module:Class``."""
    return _REFERENCE.fullmatch(name) is not None


def known_names(kind: Kind, builtin: Iterable[str]) -> list[str]:
    """Return the built-in names of a kind and those that installed packages offer, sorted; import none of them."""
    return sorted({*builtin, *(point.name for point in entry_points(group=GROUPS[kind]))})


def check_name(kind: Kind, name: str, builtin: Iterable[str], field: str) -> None:
    """Raise `VireidError` unless a name is built-in, offered by a package or a reference; import nothing."""
    builtin = list(builtin)
    if name in builtin:  # without looking through the installed packages
        return
    names = known_names(kind, builtin)
    if name in names or is_reference(name):
        return
    near = difflib.get_close_matches(name, names, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise VireidError(
        f"{field}: unknown {kind} {name}; expected one of {', '.join(names)}, or package.module:Class{hint}"
    )


def check_embedded(kind: Kind, names: Iterable[str], field: str) -> None:
    """Refuse references in a recipe from a run folder, which somebody else may have written; import nothing.

    A recipe that the user names or writes may name any code. A recipe in a run folder, perhaps a downloaded one, may
    only name built-ins, what installed packages offer through an entry point (by its name or the same reference), and
    references into packages listed in the environment variable ``VIREID_TRUST``.

    Raises:
        VireidError: a reference to anything else.
    """
    for name in untrusted(kind, names):
        raise VireidError(
            f"{field}: {name} is code that no installed package offers, and a run folder may not name it; if you trust "
            f"it, set {TRUST}={package_of(name)} or install a package that has it as an entry point of {GROUPS[kind]}"
        )


def package_of(reference: str) -> str:
    """Return ``package`` of ``package.module:Class``."""
    return reference.partition(":")[0].partition(".")[0]


def untrusted(kind: Kind, names: Iterable[str]) -> list[str]:
    """Return the names that `check_embedded` refuses."""
    trusted = {"vireid", *(part.strip() for part in os.environ.get(TRUST, "").split(","))}
    found = []
    for name in names:
        parts = name.partition(":")[0].split(".")
        packages = {".".join(parts[: end + 1]) for end in range(len(parts))}
        if is_reference(name) and trusted.isdisjoint(packages) and name not in _offered(kind):
            found.append(name)
    return found


def find(
    kind: Kind,
    name: str,
    builtin: Mapping[str, Any],
    field: str,
    *,
    expected: str,
    accepts: Callable[[Any], bool],
) -> Any:
    """Return the class, function or object of a kind that has a name.

    Args:
        name: a key of ``builtin`` (these come first), an entry point of an installed package, or
            ``package.module:Class``. A name from a run folder has to pass `check_embedded` first.
        builtin: the built-in ones by name, each the object itself or ``module:Class``, imported on demand.
        field: what errors begin with, for example ``model.methods.bridge``.
        expected: what ``accepts`` looks for, in words: "a class derived from vireid.models.Method".
        accepts: whether the object found is of the kind.

    Raises:
        VireidError: an unknown name, a module that fails to import, or an object of another kind.
    """
    check_name(kind, name, builtin, field)
    points = [] if name in builtin else _entry_points(kind, name)
    if len({point.value for point in points}) > 1:
        raise VireidError(f"{field}: two installed packages offer {name}; choose one as package.module:Class")
    source = builtin[name] if name in builtin else points[0].value if points else name
    found = _load(source, field) if isinstance(source, str) else source
    if not accepts(found):
        what = f"{name} ({source})" if isinstance(source, str) and source != name else name
        raise VireidError(f"{field}: {what} is {_describe(found)}; expected {expected}")
    return found


def build(factory: Callable[..., T], options: Mapping[str, Any], field: str, *given: Any) -> T:
    """Call ``factory(*given, **options)`` with a recipe's options, checked against its keyword-only arguments.

    Every option has to be one of these and fit its annotation (`pydantic.Field` limits hold). Values are JSON: a list
    becomes a tuple, but a boolean is not a number.

    Args:
        field: what errors begin with, for example ``model.methods.bridge``.

    Raises:
        VireidError: an unknown or missing option, a wrong type or range, or an error in the factory itself.
    """
    parameters = {p.name: p for p in inspect.signature(factory).parameters.values() if p.kind is p.KEYWORD_ONLY}
    for name in options:
        if name not in parameters:
            near = difflib.get_close_matches(name, parameters, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise VireidError(
                f"{field}.{name}: unknown option; expected one of {', '.join(parameters) or 'none'}{hint}"
            )
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in options:
            raise VireidError(f"{field}.{name}: missing; give this option a value")
    values = {name: _checked(factory, name, value, f"{field}.{name}") for name, value in options.items()}
    try:
        return factory(*given, **values)
    except VireidError:
        raise
    except Exception as error:  # from outside code; whatever it is, the user needs the field
        raise VireidError(f"{field}: {_one_line(error)}; change its options or fix its code") from error


def _checked(factory: Callable[..., Any], name: str, value: Any, field: str) -> Any:
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    source: Any = factory
    try:
        hints = get_type_hints(source.__init__ if isinstance(factory, type) else source, include_extras=True)
        adapter = TypeAdapter(hints[name], config=ConfigDict(allow_inf_nan=False))
    except Exception as error:  # a name only type checkers see, no annotation, or a type without JSON
        raise VireidError(
            f"{field}: its annotation cannot be checked ({_one_line(error)}); fix it in the code"
        ) from error
    try:
        return adapter.validate_json(json.dumps(value), strict=True)  # JSON in strict mode: see build
    except ValidationError as error:
        message = error.errors()[0]["msg"]
        raise VireidError(f"{field}={json.dumps(value)[:60]}: {message[:1].lower() + message[1:]}") from None


def _entry_points(kind: Kind, name: str) -> list[EntryPoint]:
    return list(entry_points(group=GROUPS[kind], name=name))


def _offered(kind: Kind) -> set[str]:
    return {f"{point.module}:{point.attr}" for point in entry_points(group=GROUPS[kind])}


def _load(reference: str, field: str) -> Any:
    match = _REFERENCE.fullmatch(reference.split("[")[0].strip())  # an entry point may end in [extras]
    if match is None:
        raise VireidError(f"{field}: {reference} is not package.module:Class; fix the entry point of the package")
    try:
        module = importlib.import_module(match[1])
    except (Exception, SystemExit) as error:  # outside code may raise anything while it is imported
        raise VireidError(
            f"{field}: cannot import {match[1]} ({_one_line(error)}); fix that module or install its package"
        ) from error
    if not hasattr(module, match[2]):
        near = difflib.get_close_matches(match[2], dir(module), 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise VireidError(f"{field}: {match[1]} has no {match[2]}; expected the name of a class in it{hint}")
    return getattr(module, match[2])


def _describe(found: Any) -> str:
    if isinstance(found, type):
        bases = ", ".join(base.__name__ for base in found.__bases__)
        return f"a class derived from {bases}"
    return f"a {type(found).__name__}"


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
