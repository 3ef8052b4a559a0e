"""The card beside a model from elsewhere: how images become its input, and which of its outputs is the feature."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from vireid.types import VireidError

CARDS = (".json", ".yaml", ".yml")
"""What follows the name of the model's file in its card's name; in a folder of its own a card is ``card.json``."""
MAX_CARD = 2**16
"""Largest card in bytes."""

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)
_Side = Annotated[int, Field(ge=8, le=2048)]
_Text = Annotated[str, Field(min_length=1, max_length=200)]
_Each = dict[str, _Text]
_Above0 = Annotated[float, Field(gt=0, le=1e6)]


@dataclass(frozen=True, config=_STRICT)
class InputCard:
    """What has to be known of a Python function: ``height`` and ``width`` of its input in pixels.

    ``name`` is for people; ``version`` is free text that has to change whenever the features do.
    """

    height: _Side
    width: _Side
    name: Annotated[str, Field(pattern=r"^[\w][\w .+:-]{0,99}$")] | None = None
    version: Annotated[str, Field(max_length=200)] = ""


@dataclass(frozen=True, config=_STRICT)
class GraphCard(InputCard):
    """What has to be known of an ONNX graph.

    A pixel p of 0 to 255 becomes (p * ``scale`` - ``mean``) / ``std``, channel by channel in the order of ``channels``;
    what is left out is 1/255, 0 and 1, but not all of the three. A graph that takes uint8 has none of them.

    ``file``, in a card that has a folder of its own, names the graph beside it, or one for each modality. ``input`` and
    ``output`` are names in the graph, for each modality where they differ; a graph with one input, or one output, needs
    none. With an input for each modality in one graph, the other input gets black images.
    """

    layout: Literal["nchw", "nhwc"] = "nchw"
    channels: Literal["rgb", "bgr"] = "rgb"
    scale: _Above0 | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[_Above0, _Above0, _Above0] | None = None
    file: _Text | _Each | None = None
    input: _Text | _Each | None = None
    output: _Text | _Each | None = None

    @property
    def normalises(self) -> bool:
        """Whether the card says what becomes of a pixel."""
        return (self.scale, self.mean, self.std) != (None, None, None)


Card = TypeVar("Card", bound=InputCard)


def parse_card(kind: type[Card], content: Any, place: str) -> Card:
    """Check a card's fields.

    Raises:
        VireidError: an unknown, missing or ill-typed field; the message begins with ``place``.
    """
    if type(content) is kind:
        return content
    try:
        if not isinstance(content, Mapping):
            raise TypeError
        card = TypeAdapter(kind).validate_json(json.dumps(dict(content)))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "card"
        message = f"{first['msg'][:1].lower()}{first['msg'][1:]}"
        raise VireidError(f"{place}: {name}: {message}; docs/deploy.md says what a card holds") from None
    except (TypeError, ValueError, RecursionError):
        raise VireidError(f"{place}: not a card; expected a mapping of fields such as height and width") from None
    for name in ("file", "input", "output"):
        value = getattr(card, name, None)
        if isinstance(value, Mapping) and set(value) != {"visible", "infrared"}:
            raise VireidError(f"{place}: {name}: expected one name, or one for visible and one for infrared")
    return card


def read_card(path: Path) -> Any:
    """Read the fields of a card in JSON or YAML, unchecked.

    Raises:
        VireidError: a file that is too large, unreadable, or neither JSON nor YAML.
    """
    try:
        size = path.stat().st_size if path.is_file() else MAX_CARD + 1
    except OSError as error:
        raise VireidError(f"{path}: {error.strerror}; expected a card") from None
    if size > MAX_CARD:
        raise VireidError(f"{path}: expected a card, a file of at most {MAX_CARD} bytes")
    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text) if path.suffix == ".json" else yaml.load(text, _PlainLoader)
    except OSError as error:
        raise VireidError(f"{path}: {error.strerror}; expected a card") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:120]
        raise VireidError(f"{path}: not {'JSON' if path.suffix == '.json' else 'YAML'} ({reason})") from None


class _PlainLoader(yaml.SafeLoader):
    """YAML without aliases, with which a small file could stand for gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not read; write the value out")
        return super().compose_node(parent, index)
