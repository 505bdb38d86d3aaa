"""Fetching an artifact and making sure that it is the right one."""

import hashlib
import os
from pathlib import Path
from typing import Final

import aiohttp

from localcloud.fleet.files import move

_CHUNK_BYTES: Final = 64 * 1024
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, connect=20, sock_read=30)
_EXPIRED: Final = {403, 404, 410}  # what storage services answer to an outdated signature or after a clean-up
_TEMPORARY: Final = {408, 425, 429}


class DownloadError(Exception):
    """The artifact cannot be had, or it is not what was promised."""


class TransferError(DownloadError):
    """It did not come through this time."""


class LinkExpiredError(DownloadError):
    """The link no longer opens anything; the cloud can make another one."""


async def download(url: str, target: Path, *, sha256: str, size_bytes: int) -> None:
    """Leaves the artifact at `target`, checked; if it is there already, it is not fetched again.

    Raises `LinkExpiredError`, `TransferError`, `DownloadError`, and `OSError` if the disk does not take it.
    """
    if _digest(target) == sha256.lower():
        return
    part = target.with_name(f"{target.name}.part")
    try:
        received, digest = await _fetch(url, part, size_bytes)
        if received != size_bytes:
            raise DownloadError(f"the artifact has not the {size_bytes} bytes that were announced")
        if digest != sha256.lower():
            raise DownloadError("the artifact's SHA-256 is not the one that was announced")
        move(part, target)
    finally:
        part.unlink(missing_ok=True)


async def _fetch(url: str, part: Path, size_bytes: int) -> tuple[int, str]:
    """How many bytes came, and their SHA-256. Stops after the first chunk that is too much."""
    digest, received = hashlib.sha256(), 0
    try:
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as http, http.get(url) as response:
            _check(response.status)
            with part.open("wb") as file:
                async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                    file.write(chunk)
                    digest.update(chunk)
                    received += len(chunk)
                    if received > size_bytes:
                        break
                file.flush()
                os.fsync(file.fileno())
    except aiohttp.InvalidURL as error:
        raise DownloadError("the link is not a URL") from error
    except (aiohttp.ClientError, TimeoutError) as error:
        raise TransferError(f"the transfer broke off: {type(error).__name__}") from error
    return received, digest.hexdigest()


def _check(status: int) -> None:
    if status in _EXPIRED:
        raise LinkExpiredError(f"HTTP {status}")
    if status in _TEMPORARY or status >= 500:
        raise TransferError(f"the server answered with HTTP {status}")
    if status != 200:
        raise DownloadError(f"the server answered with HTTP {status}")


def _digest(path: Path) -> str | None:
    """Of the file, if there is one."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None
