"""Opening a gallery, wherever it is: a folder, a Milvus server, or the service that holds the folder."""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from vireid.files import disk_error, read_json, write_json
from vireid.gallery.folder import FolderGallery
from vireid.gallery.format import Dtype, Model, StoreSettings, check_model, read_settings
from vireid.gallery.journal import JOURNAL, create_journal
from vireid.gallery.milvus import connect, told
from vireid.gallery.records import Gallery, Store
from vireid.gallery.server import ServerGallery
from vireid.types import VireidError

TOKEN_VARIABLE = "VIREID_MILVUS_TOKEN"
"""Environment variable with what a Milvus server wants to see, ``user:password`` or an API key."""


def open_gallery(
    place: str,
    *,
    create: Model | None = None,
    folder: Path | None = None,
    dtype: Dtype = "float16",
    through_service: bool = True,
) -> Gallery:
    """Open the gallery at ``place``: a folder, or ``http(s)://host:19530`` with an optional ``/COLLECTION``.

    Args:
        create: make the gallery where there is none, for the vectors of this model (an `Embedder`); where there is one,
            require that it holds vectors of this model.
        folder: where that model was loaded from, for later commands to find it.
        dtype: how a new gallery keeps vectors.
        through_service: return the `Gallery` of a running ``vireid serve`` where that holds the folder.

    Raises:
        VireidError: no gallery, one of another model, of a newer version, damaged, or in use by another process.
    """
    if "://" in place:
        return _open_server(place, create, folder, dtype)
    path = Path(place)
    settings = _settings(path, create, folder, dtype)
    handle = _locked(path)
    if handle is None:
        if through_service and (service := _service(path)):
            return service
        raise VireidError(f"{place}: another process has this gallery open; wait for it to end, or stop it")
    try:
        if not (path / "store.json").exists():  # written last: from then on a journal that is not there is damage
            create_journal(path / JOURNAL)
            write_json(path / "store.json", settings.model_dump())
        return FolderGallery(path, settings, handle)
    except BaseException:
        os.close(handle)
        raise


def model_folder(place: str) -> Path | None:
    """Return where the model of the gallery at ``place`` lay when the gallery was made; None where that is unknown."""
    if "://" in place:
        gallery = _open_server(place, None, None, "float16")
        settings = gallery.settings
        gallery.close()
    else:
        settings = _settings(Path(place), None, None, "float16")
    return Path(settings.folder) if settings.folder else None


def store_of(gallery: Gallery) -> Store:
    """Return the gallery as the store that it is.

    Raises:
        VireidError: a running service holds the store.
    """
    if not isinstance(gallery, Store):
        raise VireidError("a running service holds this gallery; stop `vireid serve`, then verify or compact")
    return gallery


def _settings(path: Path, create: Model | None, folder: Path | None, dtype: Dtype) -> StoreSettings:
    """Read the settings of the store in a folder, or make those of a new one."""
    file = path / "store.json"
    if file.exists():
        settings = read_settings(read_json(file, "the settings of a gallery"), str(path))
        if create is not None:
            check_model(settings, create, str(path))
        return settings
    if create is None:
        raise VireidError(
            f"{path}: no gallery there; the first `vireid gallery add STORE IMAGES --model RUN` makes one"
        )
    try:
        for parent in path.resolve().parents:
            if (parent / JOURNAL).exists():
                raise VireidError(f"{path}: lies inside the gallery {parent}; choose another folder")
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        others = [entry.name for entry in path.iterdir() if not entry.name.startswith((".", JOURNAL))]
    except OSError as error:
        raise disk_error(error, path) from error
    if others:
        raise VireidError(f"{path}: neither empty nor a gallery ({others[0]} is in it); choose another folder")
    return StoreSettings.of(create, dtype, folder)


def _locked(path: Path) -> int | None:
    """Return a descriptor that holds the store's lock, None where another process does."""
    try:
        handle = os.open(path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise disk_error(error, path) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def _service(path: Path) -> Gallery | None:
    """Return the gallery of the service that holds this folder, None where it is no service that does."""
    file = path / "serving.json"
    if not file.exists():
        return None
    serving = read_json(file, "what a running service says of itself")
    try:
        os.kill(int(serving["pid"]), 0)
        url, token, certificate = str(serving["url"]), str(serving["token"]), serving["certificate"]
    except PermissionError:
        raise VireidError(f"{path}: a service of another user holds this gallery; search through its page") from None
    except (OSError, KeyError, TypeError, ValueError):
        return None
    from vireid.gallery.remote import RemoteGallery, pinned

    return RemoteGallery(url, token, verify=pinned(Path(certificate)) if certificate else True)


def _open_server(place: str, create: Model | None, folder: Path | None, dtype: Dtype) -> ServerGallery:
    try:
        parts = urlsplit(place)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port above 65535, or half an IPv6 address
        usable = False
    if not usable:
        raise VireidError(f"{place}: expected a folder or http(s)://host:19530/COLLECTION")
    collection = parts.path.strip("/") or "vireid"
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,99}", collection):
        raise VireidError(f"{place}: a collection's name has letters, digits and underscores, got {collection!r}")
    client = connect(f"{parts.scheme}://{parts.netloc}", os.environ.get(TOKEN_VARIABLE, ""))
    try:
        if create is not None:
            with told(place):
                exists = client.has_collection(collection)
            if not exists:
                ServerGallery.create(client, place, collection, StoreSettings.of(create, dtype, folder))
        gallery = ServerGallery(client, place, collection)
        if create is not None:
            check_model(gallery.settings, create, place)
        return gallery
    except BaseException:
        client.close()
        raise
