"""What a store says of itself: its format, its model, and how it keeps vectors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vireid.gallery.records import GalleryInfo, NewImage
from vireid.types import Modality, VireidError

FORMAT = 1
"""Counts up when an older version could no longer read what a newer one writes."""
Dtype = Literal["float16", "float32"]


class Model(Protocol):
    """What a store keeps of an `Embedder`."""

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...

    @property
    def dimension(self) -> int: ...


class StoreSettings(BaseModel):
    """Written when a store is made and never changed; ``folder`` is where the model lay, "" where unknown."""

    model_config = ConfigDict(frozen=True)

    format: int = FORMAT
    model: str
    fingerprint: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    dimension: Annotated[int, Field(ge=1, le=32768)]
    dtype: Dtype
    folder: str = ""

    @classmethod
    def of(cls, model: Model, dtype: Dtype, folder: Path | None) -> StoreSettings:
        return cls(
            model=model.name,
            fingerprint=model.fingerprint,
            dimension=model.dimension,
            dtype=dtype,
            folder=str(folder.resolve()) if folder else "",
        )


def read_settings(content: Any, place: str) -> StoreSettings:
    """Check what a store says of itself.

    Raises:
        VireidError: not a store's settings, or those of a newer version.
    """
    number = content.get("format") if isinstance(content, dict) else None
    if isinstance(number, int) and number > FORMAT:
        raise VireidError(f"{place}: a store of format {number}, this version reads up to {FORMAT}; update vireid")
    try:
        return StoreSettings.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "settings"
        raise VireidError(f"{place}: not a store's settings ({field}: {first['msg']})") from None


def check_model(settings: StoreSettings, model: Model, place: str) -> None:
    """Raise `VireidError` unless the vectors of ``model`` may be compared with the store's."""
    if model.fingerprint != settings.fingerprint:
        raise VireidError(
            f"{place}: holds vectors of {settings.model} ({settings.fingerprint[:12]}), this model is {model.name} "
            f"({model.fingerprint[:12]}); use that model, or add the images to a new store"
        )


def check_images(images: Sequence[NewImage], settings: StoreSettings) -> None:
    """Raise `VireidError` for a vector of another dimension than the store's."""
    for image in images:
        if len(image.vector) != settings.dimension:
            raise VireidError(
                f"{image.entry.name}: a vector of {len(image.vector)} values, this store's have {settings.dimension}"
            )


def summarise(
    settings: StoreSettings, groups: Iterable[tuple[int, str, int, float | None, float | None]]
) -> GalleryInfo:
    """Add up (modality, camera, images, first, last) of every modality and camera."""
    cameras: dict[str, int] = {}
    modalities = {str(modality): 0 for modality in Modality}
    times: list[float] = []
    for modality, camera, images, first, last in groups:
        cameras[camera] = cameras.get(camera, 0) + images
        modalities[str(Modality(modality))] += images
        times += [time for time in (first, last) if time is not None]
    return GalleryInfo(
        model=settings.model,
        fingerprint=settings.fingerprint,
        dimension=settings.dimension,
        dtype=settings.dtype,
        images=sum(cameras.values()),
        cameras=dict(sorted(cameras.items())),
        modalities=modalities,
        first=min(times, default=None),
        last=max(times, default=None),
    )
