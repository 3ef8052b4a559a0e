"""What a method beside the paper's can change in the network, and the methods a recipe asks for."""

from __future__ import annotations

import difflib
import importlib
import inspect
import json
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from torch import Tensor, nn

from vireid.config import ModelConfig
from vireid.models.segmented import Branch
from vireid.types import Modality, VireidError


class Method(nn.Module):
    """Base of every method: one class in one file of `vireid.methods`, named after it, overriding the hooks it needs.

    A recipe chooses it with ``model.methods: {NAME: {OPTION: value}}``. Its options are the keyword-only arguments of
    its constructor; their annotations are checked. What is random in it draws from PyTorch's global generator, which
    the training loop seeds for every batch. At most one method of a recipe may override `branch`, and one `join`.

    `images`, `stem` and `stage` may return what they were given followed by copies of it, all rows in the same order. In
    training the copies are rows of their own with the labels of their images; in evaluation `join` makes one row of an
    image and its copies.

    Args:
        config: the network the method is to be a part of.
    """

    weight = 1.0
    """Of `penalty` in the objective."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()

    def images(self, images: Tensor, modality: Modality) -> Tensor:
        """Change the normalised images (b, 3, h, w) of one modality before its stem."""
        return images

    def stem(self, features: Tensor, modality: Modality) -> Tensor:
        """Change the output (b, c, h, w) of a modality's stem."""
        return features

    def stage(self, features: Tensor, inputs: Tensor, stage: str) -> Tensor:
        """Change the output (b, c, h, w) of a shared ``stage`` ("layer1" where it is shared, "layer2", "layer3").

        Args:
            inputs: (b, c', h', w'), what went into the stage.
        """
        return features

    def join(self, pooled: Tensor, normed: Tensor) -> tuple[Tensor, Tensor]:
        """Make one row of an image's copies, in evaluation: the mean of their normalised features.

        Args:
            pooled, normed: (forms, b, d) normalised features before and after the necks, the images' own first.

        Returns:
            The two features (b, d').
        """
        return mean_of_copies(pooled, normed)

    def block(self, features: Tensor, stage: str, index: int) -> Tensor:
        """Change the output (b, c, h, w) of residual block ``index`` (from 0) of a shared ``stage`` ("layer2" ...)."""
        return features

    def branch(self, classes: int) -> Branch | None:
        """Make what is used in place of `Branch`: layer4 and the features, necks and classifiers behind it."""
        return None

    def penalty(self, embeddings: Tensor, labels: Tensor, modalities: Tensor) -> Tensor:
        """Scalar loss that the method adds to the objective, times its ``weight``.

        Args:
            embeddings: (r, d) concatenated features before the necks. labels: (r,).
            modalities: (r,), 0 visible or 1 infrared; 2 and 3 for their copies.
        """
        raise NotImplementedError


def mean_of_copies(pooled: Tensor, normed: Tensor) -> tuple[Tensor, Tensor]:
    """`Method.join` where no method has its own."""
    return pooled.mean(0), normed.mean(0)


def overrides(method: Method, hook: str) -> bool:
    """Whether a method has a ``hook`` of its own."""
    return getattr(type(method), hook) is not getattr(Method, hook)


def registered_methods() -> dict[str, type[Method]]:
    """All methods by name."""
    # By name and not by an import statement: the methods use models and losses, and these know none of them.
    methods: dict[str, type[Method]] = importlib.import_module("vireid.methods").METHODS
    return methods


def build_methods(config: ModelConfig) -> dict[str, Method]:
    """Make the methods of a recipe, in the order of their names.

    Raises:
        VireidError: an unknown method or option, an option of the wrong type or range, two methods for one place.
    """
    if not config.methods:
        return {}
    built = {name: _build(name, config) for name in sorted(config.methods)}
    for hook in ("branch", "join"):
        rivals = [name for name, method in built.items() if overrides(method, hook)]
        if len(rivals) > 1:
            raise VireidError(f"model.methods: {' and '.join(rivals)} both define {hook}; keep one of them")
    return built


def _build(name: str, config: ModelConfig) -> Method:
    methods = registered_methods()
    if name not in methods:
        near = difflib.get_close_matches(name, methods, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise VireidError(f"model.methods.{name}: unknown; expected one of {', '.join(sorted(methods))}{hint}")
    constructor = methods[name].__init__
    hints = get_type_hints(constructor, include_extras=True)
    known = [p.name for p in inspect.signature(constructor).parameters.values() if p.kind is p.KEYWORD_ONLY]
    options: dict[str, Any] = {}
    for option, value in config.methods[name].items():
        field = f"model.methods.{name}.{option}"
        if option not in known:
            raise VireidError(f"{field}: unknown option; expected one of {', '.join(known) or 'none'}")
        try:
            # JSON in strict mode: lists may become tuples, but a yes is no number.
            adapter = TypeAdapter(hints[option], config=ConfigDict(allow_inf_nan=False))
            options[option] = adapter.validate_json(json.dumps(value), strict=True)
        except ValidationError as error:
            message = error.errors()[0]["msg"]
            raise VireidError(f"{field}={json.dumps(value)[:60]}: {message[:1].lower() + message[1:]}") from None
    return methods[name](config, **options)
