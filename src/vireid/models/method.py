"""What a method other than the paper's can change in the network."""

from __future__ import annotations

from pydantic import JsonValue
from torch import Tensor, nn

from vireid.config import ModelConfig
from vireid.models.segmented import Branch
from vireid.types import Modality


class Method(nn.Module):
    """Base of every method: a class that overrides the hooks it needs, found by name, see `vireid.plugins`.

    A recipe chooses it with ``model.methods: {NAME: {OPTION: value}}``. Its options are the keyword-only arguments of
    its constructor; their annotations are checked. What is random in it draws from PyTorch's global generator, which
    the training loop seeds for every batch. At most one method of a recipe may override `branch`, and one `join`.

    `images`, `stem` and `stage` may return what they were given followed by copies of it, all rows in the same order.
    In training the copies are rows of their own with the labels of their images; in evaluation `join` makes one row of
    an image and its copies. Of a transformer the hooks get the grid of tokens; copies have the class tokens of their
    images.

    Args:
        config: the network the method becomes part of.
    """

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
            pooled: (forms, b, d) normalised features before the necks, the images' own first.
            normed: (forms, b, d) those after the necks.

        Returns:
            The two features (b, d').
        """
        return mean_of_copies(pooled, normed)

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


def mean_of_copies(pooled: Tensor, normed: Tensor) -> tuple[Tensor, Tensor]:
    """`Method.join` where no method has its own."""
    return pooled.mean(0), normed.mean(0)


def overrides(method: Method, hook: str) -> bool:
    """Whether a method overrides ``hook``."""
    return getattr(type(method), hook) is not getattr(Method, hook)
