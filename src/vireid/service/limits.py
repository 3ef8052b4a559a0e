"""Limits of a request in bytes, pixels, images and seconds, and of the number of concurrent requests."""

from __future__ import annotations

import io
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import PureWindowsPath

import anyio
from PIL import Image, UnidentifiedImageError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse

from vireid.images import FORMATS
from vireid.types import VireidError


@dataclass(frozen=True)
class Limits:
    """Limits per request: ``upload`` in bytes, ``pixels`` per image, ``images``; ``queue`` concurrent requests.

    ``head_seconds`` limits the time to receive a request's headers, ``upload_seconds`` its body, ``seconds`` body and
    answer together.
    """

    upload: int = 16 * 2**20
    pixels: int = 2**24
    images: int = 32
    queue: int = 64
    head_seconds: float = 10.0
    upload_seconds: float = 20.0
    seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.queue < 1:
            raise VireidError(f"queue: expected at least 1 concurrent request, got {self.queue}")


class Refusal(Exception):
    """The answer to a refused request: a status and one line."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers

    def response(self) -> JSONResponse:
        return JSONResponse({"error": self.message}, self.status, self.headers)


@contextmanager
def refused() -> Iterator[None]:
    """Turn a `VireidError` about the request into a `Refusal` with its line."""
    try:
        yield
    except VireidError as error:
        raise Refusal(422, str(error)) from None


@dataclass(frozen=True)
class Upload:
    """A file in a form: its bytes, and its name as shown to people."""

    name: str
    data: bytes


class Gate:
    """Admits ``queue`` requests at a time and tells the others to retry.

    ``delay`` returns the seconds that the queued work will take.
    """

    def __init__(self, queue: int, delay: Callable[[], float]) -> None:
        self.queue, self.inside = queue, 0
        self._delay = delay

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Count a request until it is answered.

        Raises:
            Refusal: 429 with Retry-After if the queue is full.
        """
        if self.inside >= self.queue:
            wait = str(min(60, max(1, ceil(self._delay()))))
            message = f"busy: {self.queue} requests are in progress; try again in {wait} s"
            raise Refusal(429, message, **{"Retry-After": wait})
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1


class _Form(MultiPartParser):
    spool_max_size = 2**40  # in memory: uploads never touch the disk


async def read_body(request: Request, limits: Limits) -> bytes:
    """Return the body.

    Raises:
        Refusal: too large (as declared or as counted while it streams), or slower than ``limits.upload_seconds``.
    """
    chunks: list[bytes] = []
    size = 0
    told = request.headers.get("content-length", "0")
    try:
        with anyio.fail_after(limits.upload_seconds):
            if told.isdecimal() and int(told[:20]) > limits.upload:
                raise _too_large(limits)
            async for chunk in request.stream():
                size += len(chunk)
                if size > limits.upload:
                    raise _too_large(limits)
                chunks.append(chunk)
    except TimeoutError:
        message = f"body: not received within {limits.upload_seconds:g} s; send fewer or smaller images"
        raise Refusal(408, message, Connection="close") from None
    except ClientDisconnect:
        raise Refusal(400, "body: the connection closed before its end; send it again") from None
    return b"".join(chunks)


async def read_form(request: Request, field: str, limits: Limits) -> tuple[list[Upload], str | None]:
    """Return the files called ``images`` of a multipart form and the text of its ``field``.

    Raises:
        Refusal: as in `read_body`; not a multipart form, unknown fields, or more than ``limits.images`` files.
    """
    if content_type(request) != "multipart/form-data":
        raise Refusal(415, f"content-type: expected multipart/form-data, got {content_type(request)[:60]!r}")
    body = await read_body(request, limits)

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    parser = _Form(request.headers, stream(), max_files=limits.images, max_fields=1, max_part_size=2**20)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        reason = " ".join(error.message.split()).rstrip(".").lower()
        message = f"form: {reason}; expected at most {limits.images} files 'images' and one text field {field!r}"
        raise Refusal(400, message) from None
    uploads: list[Upload] = []
    text: str | None = None
    for name, value in form.multi_items():
        if isinstance(value, UploadFile) and name == "images":
            uploads.append(Upload(safe_name(value.filename or ""), await value.read()))
            await value.close()
        elif isinstance(value, str) and name == field:
            text = value
        else:
            kind = "text" if isinstance(value, str) else "file"
            raise Refusal(422, f"form: unexpected {kind} field {name[:40]!r}; expected files 'images' and {field!r}")
    return uploads, text


def content_type(request: Request) -> str:
    """Return the content type of the body without parameters, in lower case; "" if none is named."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def safe_name(name: str) -> str:
    r"""Return the last part of a file name, printable, at most 200 characters; it is shown but never opened.

    >>> safe_name("../../etc/passwd"), safe_name("C:\\people\\a\x00.jpg"), safe_name("..")
    ('passwd', 'a.jpg', 'unnamed')
    """
    last = PureWindowsPath(name).name
    return "".join(c for c in last if c.isprintable())[-200:].strip(". ") or "unnamed"


def check_picture(upload: Upload, limits: Limits) -> None:
    """Refuse an upload that is not an image or is too large, by its first bytes, before it is decoded.

    Raises:
        Refusal: 415 or 413.
    """
    try:
        with Image.open(io.BytesIO(upload.data), formats=FORMATS) as image:
            width, height = image.size
    except UnidentifiedImageError:
        what = "not an image" if upload.data else "empty (0 bytes)"
        raise Refusal(415, f"{upload.name}: {what}; expected one of {', '.join(FORMATS)}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Refusal(413, f"{upload.name}: too many pixels; expected at most {limits.pixels}; crop it") from None
    except Exception:  # a damaged header; decoding reports it better
        return
    if width * height > limits.pixels:
        message = f"{upload.name}: {width} x {height} pixels; expected at most {limits.pixels} in all; crop it"
        raise Refusal(413, message)


def _too_large(limits: Limits) -> Refusal:
    return Refusal(413, f"body: larger than {limits.upload} bytes; send fewer or smaller images")
