"""Build what a recipe names: the network's methods and the objective's losses, see `vireid.plugins`."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field
from torch import nn

from vireid.config import NAMED_LOSSES, ModelConfig, Recipe
from vireid.losses import LOSSES, Objective
from vireid.losses.objective import FORMS, is_loss
from vireid.methods import METHODS
from vireid.models.method import Method, overrides
from vireid.models.network import TwoStreamNetwork
from vireid.plugins import build, find
from vireid.types import VireidError


def new_network(config: ModelConfig, classes: int, size: tuple[int, int] = (288, 144)) -> TwoStreamNetwork:
    """Build a network with its methods; ``config.weights`` is not read. The arguments are those of `TwoStreamNetwork`.

    Raises:
        VireidError: see `build_methods` and `vireid.models.backbone.build_backbone`.
    """
    return TwoStreamNetwork(config, classes, build_methods(config), size=size)


def build_methods(config: ModelConfig) -> dict[str, Method]:
    """Make the methods of a recipe, in the order of their names.

    Raises:
        VireidError: an unknown method or option, an option of the wrong type or range, or two methods with one hook.
    """
    built = {name: _method(name, config) for name in sorted(config.methods)}
    for hook in ("branch", "join"):
        rivals = [name for name, method in built.items() if overrides(method, hook)]
        if len(rivals) > 1:
            raise VireidError(f"model.methods: {' and '.join(rivals)} both define {hook}; keep one of them")
    return built


def build_objective(recipe: Recipe, classes: int, methods: Mapping[str, Method] | None = None) -> Objective:
    """Make the losses of a recipe and of its methods, without those of weight 0.

    A loss whose constructor has the positional argument ``classes`` or ``image_size``, the (height, width) of the
    network input in pixels, receives it.

    Args:
        classes: training identities. methods: from the recipe, see `build_methods`.

    Raises:
        VireidError: an unknown loss or option, an option of the wrong type or range, or no loss with a weight above 0.
    """
    config, data = recipe.loss, recipe.data
    given = {"image_size": data.size, "classes": classes}
    entries: dict[str, Mapping[str, Any]] = {"identity": {"weight": config.identity}}
    entries |= {name: dataclasses.asdict(getattr(config, name)) for name in NAMED_LOSSES[1:]}
    for method in (methods or {}).values():
        entries |= {name: entry for name, entry in method.losses().items() if name not in entries}
    entries |= {name: {**entries.get(name, {}), **entry} for name, entry in config.others.items()}
    losses = {}
    for name, entry in entries.items():
        options = dict(entry)
        weight = build(_weight, {"weight": options.pop("weight", 1.0)}, f"loss.{name}")
        if weight > 0:
            losses[name] = (weight, _loss(name, options, given))
    return Objective(losses)


def _method(name: str, config: ModelConfig) -> Method:
    field = f"model.methods.{name}"
    cls: type[Method] = find(
        "method",
        name,
        METHODS,
        field,
        expected="a class derived from vireid.models.Method",
        accepts=lambda found: isinstance(found, type) and issubclass(found, Method),
    )
    return build(cls, config.methods[name], field, config)


def _loss(name: str, options: Mapping[str, Any], given: Mapping[str, Any]) -> nn.Module:
    field = f"loss.{name}"
    cls: type[nn.Module] = find("loss", name, LOSSES, field, expected=FORMS, accepts=is_loss)
    arguments = []
    for parameter in inspect.signature(cls).parameters.values():
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter.default is parameter.empty:
            if parameter.name not in given:
                raise VireidError(
                    f"{field}: {cls.__name__} has the positional argument {parameter.name}; expected options after *, "
                    f"and only {' and '.join(given)} before it"
                )
            arguments.append(given[parameter.name])
    return build(cls, options, field, *arguments)


def _weight(*, weight: Annotated[float, Field(ge=0)]) -> float:
    return weight
