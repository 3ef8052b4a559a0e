"""Read recipes: YAML files with the settings of a run, shipped or the user's; the fields are in `vireid.config`."""

from __future__ import annotations

import dataclasses
import difflib
import reprlib
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from vireid.config import RECIPE, Recipe, is_number, with_weights
from vireid.losses import LOSSES
from vireid.plugins import Kind, check_embedded, is_reference, known_names, package_of, untrusted
from vireid.types import VireidError


def shipped_recipes() -> list[str]:
    """Names of the recipes in the package, sorted.

    Examples:
        >>> import vireid
        >>> {"agw", "baseline", "small", "sysu-dfw"} <= set(vireid.shipped_recipes())
        True
    """
    return sorted(f.name[:-5] for f in resources.files("vireid.recipes").iterdir() if f.name.endswith(".yaml"))


def load_recipe(recipe: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe by shipped name or YAML path and apply ``field=value`` overrides in order.

    A file may start from another recipe with ``base:``, a shipped name or a path from its own folder; its fields win.

    Raises:
        VireidError: unknown recipe, unreadable YAML, unknown or ill-typed field.

    Examples:
        >>> import vireid
        >>> recipe = vireid.load_recipe("sysu-dfw", ["loss.overlap.weight=0.2", "model.weights=none"])
        >>> recipe.model.backbone, recipe.loss.overlap.weight
        ('resnet50', 0.2)
    """
    fields = _read_fields(str(recipe), seen=())
    for override in overrides:
        name, equals, text = override.partition("=")
        if not equals or not name:
            raise VireidError(f"override {override!r}: expected FIELD=VALUE, for example loss.overlap.weight=0.5")
        _set(fields, name.strip(), _yaml(text, f"override {override!r}"), f"recipe {recipe}")
    settings = parse_recipe(fields, source=f"recipe {recipe}")
    for name in settings.loss.others:
        if name not in known_names("loss", LOSSES) and not is_reference(name):
            raise VireidError(f"recipe {recipe}: unknown field loss.{name}{_nearest(f'loss.{name}')}")
    return settings


def parse_recipe(fields: dict[str, Any], source: str = "recipe") -> Recipe:
    """Validate nested dictionaries into a `Recipe`; an error names the field, the expected value and the nearest field.

    The methods and losses it names are neither looked up nor imported; see `check_embedded_recipe` for a recipe that
    somebody else wrote.
    """
    for name, kind, _, _ in recipe_fields():
        value: Any = fields
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if isinstance(value, bool) and kind != "bool":  # YAML reads yes, no, on and off as these
            raise VireidError(f"{source}: {name}={value}: expected {kind}, got a yes or no")
    try:
        return RECIPE.validate_python(fields)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]).replace("loss.others.", "loss.", 1)
        if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            raise VireidError(f"{source}: unknown field {name}{_nearest(name)}") from None
        known = {row[0]: row for row in recipe_fields()}.get(name)
        wanted = f" ({known[3]})" if known else ""
        field = f"{name}={reprlib.repr(first['input'])}: " if name else ""
        raise VireidError(f"{source}: {field}{_lower(first['msg'])}{wanted}") from None


def check_embedded_recipe(recipe: Recipe, source: str) -> None:
    """Refuse a recipe from a run folder that names code outside vireid, see `vireid.plugins.check_embedded`.

    Raises:
        VireidError: a reference to code that is neither installed as a plug-in nor trusted.
    """
    for kind, field, names in _plugins(recipe):
        check_embedded(kind, names, f"{source}: {field}")


def packages_to_trust(recipe: Recipe) -> list[str]:
    """Return the packages that ``VIREID_TRUST`` has to list before a run with this recipe can be loaded."""
    return sorted({package_of(name) for kind, _, names in _plugins(recipe) for name in untrusted(kind, names)})


def _plugins(recipe: Recipe) -> list[tuple[Kind, str, list[str]]]:
    """Yield kind, field and names of everything that a recipe may name outside vireid."""
    return [
        ("method", "model.methods", list(recipe.model.methods)),
        ("loss", "loss", list(recipe.loss.others)),
        ("backbone", "model.backbone", [recipe.model.backbone]),
        ("layout", "data.layout", [recipe.data.layout] if recipe.data.layout else []),
        ("layout", "data.synthetic.like", [recipe.data.synthetic.like]),
    ]


def recipe_fields(cls: Any = Recipe, prefix: str = "") -> Iterator[tuple[str, str, Any, str]]:
    """Yield (dotted name, type, default, documentation) of every leaf field.

    The losses of ``LossConfig.others``, whose names are free, share one row, ``loss.NAME``.
    """
    for spec in dataclasses.fields(cls):
        info = cls.__pydantic_fields__[spec.name]
        default = info.get_default(call_default_factory=True)
        if dataclasses.is_dataclass(default):
            yield from recipe_fields(type(default), f"{prefix}{spec.name}.")
        else:
            kind = str(getattr(spec.type, "__origin__", spec.type)).replace("Literal", "one of ")
            name = f"{prefix}{spec.name}".replace("loss.others", "loss.NAME")
            yield name, kind, default, str(info.description)


def _read_fields(recipe: str, seen: tuple[str, ...]) -> dict[str, Any]:
    if recipe in seen:
        raise VireidError(f"recipe {recipe}: base leads back to itself ({' -> '.join(seen)}); remove one base line")
    if recipe in shipped_recipes():
        text = (resources.files("vireid.recipes") / f"{recipe}.yaml").read_text()
    else:
        try:
            text = Path(recipe).read_text()
        except (OSError, UnicodeDecodeError):
            near = difflib.get_close_matches(recipe, shipped_recipes(), 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise VireidError(
                f"recipe {recipe}: expected a YAML file or one of {', '.join(shipped_recipes())}{hint}"
            ) from None
    fields = _yaml(text, f"recipe {recipe}")
    if not isinstance(fields, dict):
        raise VireidError(f"recipe {recipe}: expected a mapping of fields, got {type(fields).__name__}")
    if isinstance(fields.get("loss"), dict):
        fields["loss"] = with_weights(fields["loss"])  # so that a base's options stay
    base = fields.pop("base", None)
    if base is None:
        return fields
    parent = str(base) if str(base) in shipped_recipes() else str(Path(recipe).parent / str(base))
    return _merge(_read_fields(parent, (*seen, recipe)), fields)


class _Loader(yaml.SafeLoader):
    """YAML loader that refuses a field given twice; the standard loader silently keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value]  # before merge keys (<<) bring in others
        twice = [name for name in names if isinstance(name, str) and names.count(name) > 1]
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"{twice[0]} is given twice; keep one", node.start_mark)
        return super().construct_mapping(node, deep)


def _yaml(text: str, source: str) -> Any:
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # dates that do not exist, [[[[...
        raise VireidError(f"{source}: not valid YAML: {' '.join(str(error).split())}") from None


def _merge(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _set(fields: dict[str, Any], name: str, value: Any, source: str) -> None:
    *parents, leaf = field_parts(name)
    if parents == ["loss"] and is_number(value):
        parents, leaf = ["loss", leaf], "weight"
    elif not parents and leaf == "loss" and isinstance(value, dict):
        value = with_weights(value)
    for parent in parents:
        inner = fields.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise VireidError(f"{source}: unknown field {name}{_nearest(name)}")
        fields = inner
    fields[leaf] = value


def field_parts(name: str) -> list[str]:
    """Split a field's dotted name, keeping a package.module:Class in one part."""
    for group in ("loss", "model.methods"):
        if name.startswith(f"{group}.") and ":" in name:
            module, _, rest = name.removeprefix(f"{group}.").partition(":")
            cls, *options = rest.split(".")
            return [*group.split("."), f"{module}:{cls}", *options]
    return name.split(".")


def _nearest(name: str) -> str:
    names = [row[0] for row in recipe_fields() if row[0] != "loss.NAME"]
    groups = sorted({n[: n.rindex(".")] for n in names if "." in n})
    near = difflib.get_close_matches(name, names + groups, 1, cutoff=0.5)
    # A field given without its group ("separation") matches the one that ends in it.
    ends = [n for n in names if n.rsplit(".", 1)[-1] == name.rsplit(".", 1)[-1]]
    hit = (ends or near)[:1]
    return f"; the nearest field is {hit[0]}" if hit else f"; the groups are {', '.join(groups)}"


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]
