"""Files that are whole after a power cut: the old content or the new one, never a part."""

import os
from pathlib import Path


def write_atomically(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Replaces the file; when this returns, the content is on the disk."""
    unfinished = path.with_name(f"{path.name}.tmp")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    move(unfinished, path)


def move(source: Path, target: Path) -> None:
    """Renames within a directory, replacing the target, and makes that durable."""
    source.replace(target)
    _sync_directory(target.parent)


def remove(path: Path) -> None:
    """Removes the file, if it is there, and makes that durable."""
    path.unlink(missing_ok=True)
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
