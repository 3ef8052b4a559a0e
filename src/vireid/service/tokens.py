"""Tokens with roles, stored as hashes: who may search, write to and administer a service."""

from __future__ import annotations

import enum
import fcntl
import hashlib
import hmac
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vireid.files import disk_error, read_json, write_json
from vireid.types import VireidError

_DAY = 86400.0
_NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")


class Role(enum.IntEnum):
    """What a token allows; each role includes the ones before it."""

    SEARCH = 0
    WRITE = 1
    ADMIN = 2

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Token:
    """A stored token: its name, role, the SHA-256 of its text, and times in seconds since 1970 UTC."""

    name: str
    role: str
    sha256: str
    created: float
    expires: float

    def __post_init__(self) -> None:
        texts = isinstance(self.name, str) and isinstance(self.sha256, str) and len(self.sha256) == 64
        times = isinstance(self.created, int | float) and isinstance(self.expires, int | float)
        if not texts or not times or self.role not in map(str, Role):
            raise TypeError("not a token")


@dataclass(frozen=True)
class Caller:
    """The caller: name and role of the token."""

    name: str
    role: Role


class Tokens:
    """The token file ``tokens.json`` of a folder, reread whenever it has changed.

    ``session`` is the text of an additional admin token that exists as long as this object.
    """

    def __init__(self, folder: Path, session: str | None = None) -> None:
        self._path = folder / "tokens.json"
        self._session = None if session is None else _hash(session)
        self._seen: tuple[int, ...] | None = None
        self._tokens: list[Token] = []

    def caller(self, text: str) -> Caller | str:
        """Return the caller with this token, or why it is refused. All stored hashes are compared in constant time."""
        digest, found = _hash(text), None
        for token in self.stored():
            if hmac.compare_digest(token.sha256, digest):
                found = token
        if self._session is not None and hmac.compare_digest(self._session, digest):
            return Caller("session", Role.ADMIN)
        if found is None:
            return "token: unknown or revoked; ask the administrator for one (vireid token add)"
        if found.expires <= time.time():
            return "token: expired; ask the administrator for a new one (vireid token add)"
        return Caller(found.name, Role[found.role.upper()])

    def stored(self) -> list[Token]:
        """Return the stored tokens, including expired ones; raise `VireidError` if the file is damaged."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return []
        seen = (status.st_mtime_ns, status.st_size, status.st_ino)
        if seen != self._seen:
            self._tokens, self._seen = self._read(), seen
        return self._tokens

    def add(self, name: str, role: Role, days: float) -> str:
        """Create a token that expires after ``days`` and return its text, which is stored nowhere.

        Raises:
            VireidError: an existing or invalid name, or days outside 0 to 3650.
        """
        if not _NAME.fullmatch(name) or name == "session":
            raise VireidError(f"token {name!r}: expected 1 to 64 letters, digits or . _ @ - and not 'session'")
        if not 0 < days <= 3650:
            raise VireidError(f"days: expected more than 0 and at most 3650, got {days:g}")
        text = f"vireid_{secrets.token_urlsafe(32)}"
        with self._changing() as tokens:
            if any(token.name == name for token in tokens):
                raise VireidError(f"token {name!r}: already exists; revoke it first or choose another name")
            now = time.time()
            tokens.append(Token(name, str(role), _hash(text), now, now + days * _DAY))
        return text

    def revoke(self, name: str) -> None:
        """Remove a token; a running service refuses it from then on. Raise `VireidError` for an unknown name."""
        with self._changing() as tokens:
            kept = [token for token in tokens if token.name != name]
            if len(kept) == len(tokens):
                raise VireidError(f"token {name!r}: not found; vireid token list shows all tokens")
            tokens[:] = kept

    @contextmanager
    def _changing(self) -> Iterator[list[Token]]:
        """Yield the tokens to change, then write them; concurrent commands wait for one another."""
        try:
            handle = os.open(self._path.with_name(".tokens.lock"), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise disk_error(error, self._path) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            tokens = list(self.stored())
            yield tokens
            write_private(self._path, {"tokens": [asdict(token) for token in tokens]})
        finally:
            os.close(handle)

    def _read(self) -> list[Token]:
        content = read_json(self._path, "the token file of vireid token")
        try:
            return [Token(**token) for token in content["tokens"]]
        except (KeyError, TypeError):
            raise VireidError(f"{self._path}: damaged; move it away and recreate the tokens") from None


def state_folder(place: str) -> Path:
    """Return the folder of a store's tokens and audit log: its own, or for a server's URL one in the user's home.

    Raises:
        VireidError: the store's folder does not exist, or the user's cannot be created.
    """
    if "://" not in place:
        if not Path(place).is_dir():
            raise VireidError(f"{place}: no gallery there; create one with `vireid gallery add`")
        return Path(place)
    home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    folder = home / "vireid" / re.sub(r"[^A-Za-z0-9.]+", "-", place.split("://", 1)[1].rsplit("@", 1)[-1]).strip("-")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(error, folder) from error
    return folder


def write_private(path: Path, content: dict[str, Any]) -> None:
    """Write JSON atomically, readable only by its owner."""
    before = os.umask(0o077)
    try:
        write_json(path, content)
    finally:
        os.umask(before)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
