"""Points in time: reading and writing them as text."""

from __future__ import annotations

from datetime import datetime, timezone

from vireid.types import VireidError

LATEST = 253_402_300_800.0
"""The year 10000 in seconds since 1970; times are from 1970 until then."""


def parse_time(text: str, name: str = "time") -> float:
    """Return seconds since 1970 UTC from text, either ISO 8601 (UTC if it names no zone) or the seconds themselves.

    >>> parse_time("2024-05-01T12:00:00Z"), parse_time("2024-05-01"), parse_time("1714564800.5")
    (1714564800.0, 1714521600.0, 1714564800.5)

    Raises:
        VireidError: neither of the two, or out of range; ``name`` is the field in the message.
    """
    words = text.strip()
    try:
        seconds = float(words)
    except ValueError:
        try:
            moment = datetime.fromisoformat(words[:-1] + "+00:00" if words[-1:] in ("Z", "z") else words)
        except ValueError:
            raise VireidError(f"{name}: expected a time such as 2024-05-01T12:00:00Z, got {text[:80]!r}") from None
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    if not 0 <= seconds < LATEST:
        raise VireidError(f"{name}: expected a time from 1970 on and before the year 10000, got {text[:80]!r}")
    return seconds


def show_time(seconds: float) -> str:
    """Return ISO 8601 text in UTC, with milliseconds if the time has a fraction.

    >>> show_time(1714564800.0), show_time(1714564800.5)
    ('2024-05-01T12:00:00Z', '2024-05-01T12:00:00.500Z')
    """
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    spec = "milliseconds" if moment.microsecond else "seconds"
    return moment.isoformat(timespec=spec).replace("+00:00", "Z")
