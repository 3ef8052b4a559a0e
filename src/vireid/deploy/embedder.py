"""The interface to a model that evaluation, galleries and the service use."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import normalize

from vireid.data.pixels import PixelStore
from vireid.evaluation.results import UNKNOWN_TRAINING
from vireid.images import Pixels
from vireid.parallel import Progress
from vireid.training.features import embed_store
from vireid.training.split import unseen
from vireid.types import Dataset, FeatureKind, Features, Modality, Sample, VireidError

Vectors = npt.NDArray[np.float32]


class Embedder(ABC):
    """Images of one modality to features: a run, an export of one, or a model from elsewhere.

    ``name`` is the model's for people; ``fingerprint`` (64 hexadecimal digits) is equal for two embedders whose
    features may be compared: those of one run's weights and preprocessing, in whatever format; ``dimension`` is the
    features' length; ``height`` and ``width`` are the network input's in pixels, to which `vireid.images.resize`
    brings an image with the filter ``resampling``. ``kinds`` are the features it has, the one for retrieval first;
    ``responds`` says whether there are response maps. ``source`` is the text by which `load_model` opens it again, ""
    where there is none.

    ``info`` is what is known of its training, by the names of run.json's fields: all of them for a run, those that an
    export keeps, none for a model from elsewhere. ``precision`` and ``device`` say what computes, ``home`` is the
    folder below which its evaluations lie.

    Examples:
        >>> import numpy as np, vireid
        >>> model = vireid.load_model("runs/tiny")  # of the example of `vireid.train`
        >>> images = np.zeros((5, model.height, model.width, 3), np.uint8)
        >>> model.embed(images, vireid.Modality.INFRARED).shape
        (5, 128)
    """

    name: str
    fingerprint: str
    dimension: int
    height: int
    width: int
    home: Path
    precision: str
    device: str
    kinds: tuple[FeatureKind, ...] = (FeatureKind.AFTER_BNNECK,)
    info: Mapping[str, Any] = {}
    responds = True
    resampling: str = "bilinear"
    source = ""

    def embed(self, images: Pixels, modality: Modality) -> Vectors:
        """Map uint8 RGB images (n, height, width, 3) to L2-normalised features for retrieval (n, dimension)."""
        return self.features(images, modality)[self.kinds[0]]

    @abstractmethod
    def features(self, images: Pixels, modality: Modality, *, flip: bool = False) -> dict[FeatureKind, Vectors]:
        """`embed` for every kind of feature; ``flip`` averages with the mirrored image before the normalisation."""

    @abstractmethod
    def response(self, images: Pixels, modality: Modality) -> Vectors:
        """Return where the network responds: (n, h, w) in [0, 1], for `overlay`.

        It is eq. 1 of every branch's last map, their mean, scaled per image (min-max).

        Raises:
            VireidError: the model cannot tell (``responds`` is false).
        """


def embed_samples(
    model: Embedder,
    store: PixelStore,
    samples: Sequence[Sample],
    *,
    flip: bool = False,
    progress: Progress | None = None,
) -> dict[FeatureKind, Features]:
    """Embed the samples of a store (row i of the store is sample i).

    Args:
        flip: see `Embedder.features`.
        progress: called with (images embedded, images).

    Returns:
        By kind, the first of which is for retrieval, float32 L2-normalised features (n, d) in the samples' order.

    Raises:
        VireidError: features that are not finite.
    """

    def forward(images: Tensor, modality: Modality) -> dict[FeatureKind, Tensor]:
        pixels = np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy())
        found = model.features(pixels, modality, flip=flip)
        return {kind: torch.from_numpy(vectors) for kind, vectors in found.items()}

    features = embed_store(forward, store, samples, progress)
    if not all(bool(f.embeddings.isfinite().all()) for f in features.values()):
        trained_here = "delete the folder to train it again, or lower schedule.lr"
        advice = trained_here if model.info else "look at the values that its card makes of pixels"
        raise VireidError(f"{model.home}: its features are not finite; {advice}")
    return features


def unseen_by(model: Embedder, dataset: Dataset) -> Dataset:
    """The dataset with test images of identities that the model did not train on; warns where that is unknown.

    Raises:
        VireidError: as `vireid.training.split.unseen`, or nobody is left.
    """
    if not model.info:
        warnings.warn(f"{model.name}: {UNKNOWN_TRAINING}", stacklevel=2)
        return dataset
    dataset = unseen(dataset, dict(model.info))
    if not dataset.test:
        raise VireidError(f"{dataset.source}: {model.name} was trained on all of it; give another data set")
    return dataset


def averaged(embed: Callable[[Pixels], Vectors], images: Pixels, flip: bool) -> Vectors:
    """L2-normalised features, with ``flip`` the mean of those of an image and its mirror image."""
    features = embed(images)
    if not flip:
        return features
    both = features + embed(np.ascontiguousarray(images[:, :, ::-1]))
    return normalize(torch.from_numpy(both)).numpy()


def check_images(images: Pixels, height: int, width: int) -> None:
    """Raise `VireidError` where ``images`` are not what an embedder of this input size takes."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (height, width, 3):
        raise VireidError(
            f"images: expected uint8 of shape (n, {height}, {width}, 3), got {images.dtype} {images.shape}; "
            "resize first"
        )
