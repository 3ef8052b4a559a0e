"""What a method other than the paper's can change in the network."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import JsonValue
from torch import Tensor, nn

from vireid.config import ModelConfig
from vireid.models.segmented import Branch
from vireid.types import Modality


class Method(nn.Module):
    """Base of every method: a class that overrides the hooks it needs, found by name, see `vireid.plugins`.

    A recipe chooses it with ``model.methods: {NAME: {OPTION: value}}``. Its options are the keyword-only arguments of
    its constructor; their annotations are checked. Random parts draw from PyTorch's global generator, which the
    training loop seeds for every batch. At most one method of a recipe may override `copy`, and at most one `branch`.

    Args:
        config: the network the method becomes part of.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()

    def images(self, images: Tensor, modality: Modality) -> Tensor:
        """Change the normalised images (b, 3, h, w) of one modality before its stem."""
        return images

    def copy(
        self, images: Tensor, features: Tensor, modality: Modality, stem: Callable[[Tensor], Tensor]
    ) -> Tensor | None:
        """Return a copy of every image in another form, to go through the shared stages too; None for no copies.

        In training the copies are rows of their own with the labels of their images; in evaluation the retrieval
        feature is the mean of the image's and its copy's, both normalised.

        Args:
            images: (b, 3, h, w), from `images`. features: (b, c, h', w'), the output of ``stem`` on them; for a
                transformer the grid, and the copies get the class tokens of their images.
            stem: the stem of the modality.

        Returns:
            Features (b, c, h', w') in the same order.
        """
        return None

    def block(self, features: Tensor, stage: str, index: int) -> Tensor:
        """Change the output (b, c, h, w) of block ``index`` (from 0) of a shared ``stage`` ("layer2" ...)."""
        return features

    def branch(self, classes: int) -> Branch | None:
        """Make the replacement of `Branch`: layer4 and the features, necks and classifiers after it."""
        return None

    def losses(self) -> dict[str, dict[str, JsonValue]]:
        """Return the losses that come with the method, NAME: {weight: w, OPTION: value}, as in a recipe's ``loss``;
        the recipe's own settings of a loss win.
        """
        return {}


def overrides(method: Method, hook: str) -> bool:
    """Whether a method overrides ``hook``."""
    return getattr(type(method), hook) is not getattr(Method, hook)
