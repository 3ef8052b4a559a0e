"""The content of results.json as records, written and read back."""

from __future__ import annotations

import dataclasses
import enum
import types
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

from vireid.evaluation.metrics import Metrics
from vireid.files import read_json
from vireid.types import FeatureKind, VireidError


class Selectable(Protocol):
    """A result, as it is computed or as it is read."""

    @property
    def direction(self) -> str: ...

    @property
    def search(self) -> str: ...

    @property
    def feature(self) -> FeatureKind: ...

    @property
    def flip_averaging(self) -> bool: ...

    @property
    def method(self) -> str: ...


Found = TypeVar("Found", bound=Selectable)
Kind = TypeVar("Kind")


def select(
    results: Iterable[Found],
    *,
    direction: str | None = None,
    search: str | None = None,
    feature: FeatureKind | None = None,
    flip: bool | None = None,
    method: str | None = None,
) -> tuple[Found, ...]:
    """Return the results of one direction, search, feature, flip averaging and ranking, in order; None: of all."""
    wanted = {"direction": direction, "search": search, "feature": feature, "flip_averaging": flip, "method": method}
    asked = {name: value for name, value in wanted.items() if value is not None}
    return tuple(r for r in results if all(getattr(r, name) == value for name, value in asked.items()))


@dataclass(frozen=True, kw_only=True)
class ResultRecord:
    """One line of a results table; the fields are those of `Setting`, `Facts` and `Result`, numbers are fractions.

    What an older version did not write has the default.
    """

    name: str
    protocol: str = ""
    search: str
    direction: str
    gallery_rule: str = "whole"
    shots: int | None = None
    trials: int = 1
    official: bool = False
    identity_cmc: bool = False
    method: str = "cosine"
    rerank: bool = False
    feature: FeatureKind
    flip_averaging: bool
    checkpoint_rule: str = "unknown"
    queries: int = 0
    gallery_images: tuple[int, ...] = ()
    gallery_identities: tuple[int, ...] = ()
    valid_queries: tuple[int, ...] = ()
    mean: dict[str, float]
    std: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    worst_quantiles: dict[str, float] = field(default_factory=dict)
    per_trial: tuple[Metrics, ...] = ()
    chance: dict[str, float] = field(default_factory=dict)
    cmc: tuple[float, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return _plain(self)  # type: ignore[no-any-return]

    @classmethod
    def from_dict(cls, content: Any, place: str = "") -> ResultRecord:
        """Read what `to_dict` gave; `VireidError` beginning with ``place`` for anything else."""
        return read_record(cls, content, place)


@dataclass(frozen=True)
class DataRecord:
    """The data set; ``synthetic`` is the record of a rendered one."""

    name: str
    layout: str = ""
    trial: int | None = None
    synthetic: dict[str, Any] | None = None


@dataclass(frozen=True)
class ModelRecord:
    """A model and what computed its features; what is not known of its training is None."""

    name: str
    precision: str = "unknown"
    device: str = "unknown"
    layout: str | None = None
    trial: int | None = None
    seed: int | None = None
    git: str | None = None
    versions: dict[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class EvaluationRecord:
    """results.json: ``results`` are ordered as in `Evaluation`; ``analyses`` (by the setting's name), ``against`` and
    ``differences`` are as they were written. ``identities``, which `vireid reproduce` adds, are by the setting's name
    the valid queries of each test identity and the sums of its numbers."""

    vireid: str = "unknown"
    data: DataRecord
    runs: tuple[ModelRecord, ...] = ()
    results: tuple[ResultRecord, ...]
    comparability: tuple[str, ...] = ()
    analyses: dict[str, dict[str, Any]] = field(default_factory=dict)
    against: dict[str, Any] | None = None
    differences: dict[str, Any] = field(default_factory=dict)
    identities: dict[str, tuple[tuple[float, ...], ...]] | None = None
    evaluation_seconds: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; ``identities`` and ``evaluation_seconds`` are left out where they are None."""
        content: dict[str, Any] = _plain(self)
        return {k: v for k, v in content.items() if v is not None or k not in ("identities", "evaluation_seconds")}

    @classmethod
    def from_dict(cls, content: Any, place: str = "") -> EvaluationRecord:
        """Read what `to_dict` gave; `VireidError` beginning with ``place`` for anything else."""
        return read_record(cls, content, place)


def read_evaluation(path: Path) -> EvaluationRecord:
    """Read a results.json.

    Raises:
        VireidError: missing, not JSON, or not what vireid evaluate writes; one line with the file and the field.
    """
    return EvaluationRecord.from_dict(read_json(path, "results of vireid evaluate"), f"{path}: ")


def read_record(kind: type[Kind], content: Any, place: str = "") -> Kind:
    """Make a dataclass of JSON types, field by field by its annotations; unknown fields are left out.

    Args:
        place: what error messages begin with, before the field's name.

    Raises:
        VireidError: a missing field, or a value of another type than the annotation's (NaN is no number).
    """
    if not isinstance(content, dict):
        raise VireidError(f"{place}expected an object, got {_shown(content)}; evaluate again")
    hints, values = get_type_hints(kind), {}
    for each in dataclasses.fields(kind):  # type: ignore[arg-type]
        if each.name in content:
            values[each.name] = _value(content[each.name], hints[each.name], f"{place}{each.name}")
        elif each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING:
            raise VireidError(f"{place}{each.name}: missing; evaluate again")
    return kind(**values)


def _value(value: Any, kind: Any, place: str) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):  # of something and None
        return None if value is None else _value(value, inner[0], place)
    if kind is Any:
        return value
    if origin is dict and isinstance(value, dict):
        return {_key(name, inner[0], place): _value(one, inner[1], f"{place}.{_printable(name)}")
                for name, one in value.items()}  # fmt: skip
    if origin is tuple and isinstance(value, list):
        kinds = [inner[0]] * len(value) if inner[-1] is ... else inner
        if len(kinds) == len(value):
            return tuple(_value(one, kinds[i], f"{place}.{i}") for i, one in enumerate(value))
    if dataclasses.is_dataclass(kind) and isinstance(value, dict):
        return read_record(kind, value, f"{place}.")  # type: ignore[arg-type]
    if isinstance(kind, type) and issubclass(kind, enum.Enum) and value in _choices(kind):
        return kind(value)
    if kind is float and type(value) in (int, float) and abs(value) < 1e300:
        return float(value)
    if kind in (int, bool, str) and type(value) is kind:
        return value
    raise VireidError(f"{place}: expected {_named(kind)}, got {_shown(value)}; evaluate again")


def _key(name: str, kind: Any, place: str) -> Any:
    try:
        return kind(name)
    except ValueError:
        raise VireidError(f"{place}: expected numbers as names, got {_printable(name)!r}; evaluate again") from None


def _named(kind: Any) -> str:
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return " or ".join(_choices(kind))
    names = {float: "a number", int: "a whole number", bool: "true or false", str: "text"}
    return names.get(kind, "a list" if get_origin(kind) is tuple else "an object")


def _choices(kind: type[enum.Enum]) -> list[Any]:
    return [member.value for member in kind]


def _shown(value: Any) -> str:
    """A value in few words, however large it is."""
    if isinstance(value, list | dict):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    return repr(value[:60] if isinstance(value, str) else value)[:80]


def _printable(name: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in name[:40])


def _plain(value: Any) -> Any:
    """Dataclasses, tuples and enumerations as JSON types."""
    if dataclasses.is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple | list) else value
