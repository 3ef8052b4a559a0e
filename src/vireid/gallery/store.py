"""Opening a gallery: a folder, a Milvus server, or the service that holds the folder."""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from vireid.files import disk_error, read_json, write_json
from vireid.gallery.folder import FolderGallery
from vireid.gallery.format import Dtype, StoredModel, StoreSettings, check_model, read_settings
from vireid.gallery.journal import JOURNAL, create_journal
from vireid.gallery.milvus import connect, told
from vireid.gallery.records import Gallery, Store
from vireid.gallery.server import ServerGallery
from vireid.types import VireidError

TOKEN_VARIABLE = "VIREID_MILVUS_TOKEN"
"""Environment variable with the login of a Milvus server: ``user:password`` or an API key."""


def open_gallery(
    place: Path | str,
    *,
    create: StoredModel | None = None,
    dtype: Dtype = "float16",
    through_service: bool = True,
) -> Gallery:
    """Open the gallery at ``place``: a folder, or ``http(s)://host:19530`` with an optional ``/COLLECTION``.

    Args:
        create: create the gallery, if there is none, for the vectors of this model (an `Embedder`); require an existing
            gallery to hold vectors of this model.
        dtype: type of the vectors in a new gallery.
        through_service: if a running ``vireid serve`` holds the folder, return its `Gallery`.

    Raises:
        VireidError: no gallery, one of another model, of a newer version, damaged, or in use by another process.

    Examples:
        >>> import vireid
        >>> model = vireid.load_model("runs/tiny")  # of the example of `vireid.train`
        >>> gallery = vireid.open_gallery("yard", create=model)
        >>> gallery.info().images, gallery.info().model
        (0, 'tiny')
        >>> gallery.close()
    """
    place = str(place)
    if "://" in place:
        return _open_server(place, create, dtype)
    path = Path(place)
    settings = _settings(path, create, dtype)
    handle = _locked(path)
    if handle is None:
        if through_service and (service := _service(path)):
            return service
        raise VireidError(f"{place}: another process has this gallery open; wait until it ends, or stop it")
    try:
        if not (path / "store.json").exists():  # written last: from then on a missing journal is damage
            create_journal(path / JOURNAL)
            write_json(path / "store.json", settings.model_dump())
        return FolderGallery(path, settings, handle)
    except BaseException:
        os.close(handle)
        raise


def model_source(place: str) -> str:
    """Return where the model was when the gallery at ``place`` was created; "" if unknown."""
    if "://" in place:
        gallery = _open_server(place, None, "float16")
        settings = gallery.settings
        gallery.close()
    else:
        settings = _settings(Path(place), None, "float16")
    return settings.folder


def store_of(gallery: Gallery) -> Store:
    """Return the gallery as a `Store`.

    Raises:
        VireidError: a running service holds the store.
    """
    if not isinstance(gallery, Store):
        raise VireidError("a running service holds this gallery; stop `vireid serve`, then verify or compact")
    return gallery


def _settings(path: Path, create: StoredModel | None, dtype: Dtype) -> StoreSettings:
    """Read the settings of the store in a folder, or create those of a new one."""
    file = path / "store.json"
    if file.exists():
        settings = read_settings(read_json(file, "the settings of a gallery"), str(path))
        if create is not None:
            check_model(settings, create, str(path))
        return settings
    if create is None:
        raise VireidError(f"{path}: no gallery there; create one with `vireid gallery add STORE IMAGES --model RUN`")
    try:
        for parent in path.resolve().parents:
            if (parent / JOURNAL).exists():
                raise VireidError(f"{path}: inside the gallery {parent}; choose another folder")
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        others = [entry.name for entry in path.iterdir() if not entry.name.startswith((".", JOURNAL))]
    except OSError as error:
        raise disk_error(error, path) from error
    if others:
        raise VireidError(f"{path}: neither empty nor a gallery (it contains {others[0]}); choose another folder")
    return StoreSettings.of(create, dtype)


def _locked(path: Path) -> int | None:
    """Return a descriptor that holds the store's lock, None if another process holds it."""
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
    """Return the gallery of the service that holds this folder, None if no service does."""
    file = path / "serving.json"
    if not file.exists():
        return None
    serving = read_json(file, "the address and token of a running service")
    try:
        os.kill(int(serving["pid"]), 0)
        url, token, certificate = str(serving["url"]), str(serving["token"]), serving["certificate"]
    except PermissionError:
        raise VireidError(f"{path}: another user's service holds this gallery; search through its page") from None
    except (OSError, KeyError, TypeError, ValueError):
        return None
    from vireid.gallery.remote import RemoteGallery, pinned

    return RemoteGallery(url, token, verify=pinned(Path(certificate)) if certificate else True)


def _open_server(place: str, create: StoredModel | None, dtype: Dtype) -> ServerGallery:
    try:
        parts = urlsplit(place)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port above 65535, or half an IPv6 address
        usable = False
    if not usable:
        raise VireidError(f"{place}: expected a folder or http(s)://host:19530/COLLECTION")
    collection = parts.path.strip("/") or "vireid"
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,99}", collection):
        raise VireidError(f"{place}: expected letters, digits and underscores as collection, got {collection!r}")
    client = connect(f"{parts.scheme}://{parts.netloc}", os.environ.get(TOKEN_VARIABLE, ""))
    try:
        if create is not None:
            with told(place):
                exists = client.has_collection(collection)
            if not exists:
                ServerGallery.create(client, place, collection, StoreSettings.of(create, dtype))
        gallery = ServerGallery(client, place, collection)
        if create is not None:
            check_model(gallery.settings, create, place)
        return gallery
    except BaseException:
        client.close()
        raise
