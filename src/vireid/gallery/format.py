"""The settings that a store records about itself: its format, its model, and the type of its vectors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vireid.gallery.records import GalleryInfo, NewImage
from vireid.types import Modality, VireidError

FORMAT = 1
"""Increases whenever older versions cannot read what a newer one writes."""
Dtype = Literal["float16", "float32"]


class StoredModel(Protocol):
    """The parts of an `Embedder` that a store records."""

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    @property
    def source(self) -> str: ...


class StoreSettings(BaseModel):
    """Settings written when a store is created and never changed; ``folder`` is the model's source, "" if unknown."""

    model_config = ConfigDict(frozen=True)

    format: int = FORMAT
    model: str
    fingerprint: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    dimension: Annotated[int, Field(ge=1, le=32768)]
    dtype: Dtype
    folder: str = ""

    @classmethod
    def of(cls, model: StoredModel, dtype: Dtype) -> StoreSettings:
        return cls(
            model=model.name,
            fingerprint=model.fingerprint,
            dimension=model.dimension,
            dtype=dtype,
            folder=model.source,
        )


def read_settings(content: Any, place: str) -> StoreSettings:
    """Check the settings that a store has recorded.

    Raises:
        VireidError: not the settings of a store, or those of a newer version.
    """
    number = content.get("format") if isinstance(content, dict) else None
    if isinstance(number, int) and number > FORMAT:
        raise VireidError(f"{place}: store format {number}, but this version reads up to {FORMAT}; update vireid")
    try:
        return StoreSettings.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "settings"
        raise VireidError(f"{place}: not the settings of a store ({field}: {first['msg']})") from None


def check_model(settings: StoreSettings, model: StoredModel, place: str) -> None:
    """Raise `VireidError` unless the vectors of ``model`` can be compared with those of the store."""
    if model.fingerprint != settings.fingerprint:
        raise VireidError(
            f"{place}: holds vectors of {settings.model} ({settings.fingerprint[:12]}), but this model is {model.name} "
            f"({model.fingerprint[:12]}); use that model, or add the images to a new store"
        )


def check_images(images: Sequence[NewImage], settings: StoreSettings) -> None:
    """Raise `VireidError` for a vector whose dimension is not that of the store."""
    for image in images:
        if len(image.vector) != settings.dimension:
            raise VireidError(
                f"{image.entry.name}: expected a vector of {settings.dimension} values, got {len(image.vector)}"
            )


def gallery_info(
    settings: StoreSettings, groups: Iterable[tuple[int, str, int, float | None, float | None]]
) -> GalleryInfo:
    """Add up the rows (modality, camera, images, first, last), one per modality and camera."""
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
