"""Folders of images, one folder a class, on disk or inside a zip archive that is read in place."""

import io
import warnings
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from ohmweave.errors import DataError
from ohmweave.frontend.data import MAX_VALUES, Labels, bad
from ohmweave.units import Array

__all__ = ["read_image_folder"]

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_FORMATS = ("PNG", "JPEG", "WEBP")
_GREY, _COLOUR = ("1", "L", "LA"), ("RGB", "RGBA", "P", "PA", "CMYK", "YCbCr")
_LARGEST_FILE = 2**28


@dataclass(frozen=True)
class _Entry:
    """One image: its path inside the root, its size in bytes, and how to read them."""

    parts: tuple[str, ...]
    size: int
    read: Callable[[], bytes]


def read_image_folder(rest: str, default: str) -> tuple[Array, Labels]:
    """Read labelled images.

    Args:
        rest: ``DIR_OR_ZIP[:SPLIT]``; SPLIT is a folder inside, which holds the class folders.
        default: the split to take where none is named and there is a folder of this name.

    Returns:
        Pixels / 255, shape [samples, channels, height, width]; class numbers, shape [samples], by
        the sorted names of the class folders.

    Raises:
        DataError: a missing path or split, no images, images of different sizes, or a damaged file.
    """
    path, split = _split(rest)
    if path.is_dir():
        return _decode_all(_choose(_folder_entries(path), path, split, default), path)
    if not path.is_file():
        raise bad(path, "expected a folder or a zip file, found no such path", "check the path")
    try:
        with zipfile.ZipFile(path) as archive:
            return _decode_all(_choose(_zip_entries(archive), path, split, default), path)
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise bad(path, f"expected a zip file, found a damaged one ({error})", "pack it again") from error


def _split(rest: str) -> tuple[Path, str | None]:
    head, _, tail = rest.rpartition(":")
    return (Path(head), tail) if head and tail and not Path(rest).exists() else (Path(rest), None)


def _folder_entries(root: Path) -> list[_Entry]:
    files = [file for file in root.rglob("*") if file.suffix.lower() in _SUFFIXES and file.is_file()]
    return [_Entry(file.relative_to(root).parts, file.stat().st_size, file.read_bytes) for file in files]


def _zip_entries(archive: zipfile.ZipFile) -> list[_Entry]:
    def reader(item: zipfile.ZipInfo) -> Callable[[], bytes]:
        return lambda: archive.read(item)

    items = [(PurePosixPath(item.filename), item) for item in archive.infolist() if not item.is_dir()]
    return [
        _Entry(name.parts, item.file_size, reader(item))
        for name, item in items
        if name.suffix.lower() in _SUFFIXES and name.parts[0] != "__MACOSX"
    ]


def _choose(entries: Sequence[_Entry], root: Path, split: str | None, default: str) -> list[tuple[str, _Entry]]:
    """The class name and the entry of every image of the split, in a fixed order."""
    splits = {entry.parts[0] for entry in entries if len(entry.parts) > 2}
    if split is not None and split not in splits:
        raise bad(
            root, f"expected a folder {split!r} of class folders, found {sorted(splits)}", "name an existing split"
        )
    chosen = split if split is not None else default if default in splits else None
    start = 0 if chosen is None else 1
    inside = [entry for entry in entries if chosen is None or entry.parts[0] == chosen]
    named = [(entry.parts[start], entry) for entry in inside if len(entry.parts) >= start + 2]
    if not named:
        raise bad(
            root, "expected class folders with PNG, JPEG or WebP images, found none", "put each class in its own folder"
        )
    return sorted(named, key=lambda item: item[1].parts)


def _decode_all(named: Sequence[tuple[str, _Entry]], root: Path) -> tuple[Array, Labels]:
    classes = sorted({name for name, _ in named})
    first = _decode(named[0][1], root)
    if first.size * len(named) > MAX_VALUES:
        raise bad(root, f"expected at most {MAX_VALUES} values, found {first.size * len(named)}", "give fewer images")
    x = np.empty((len(named), *first.shape), dtype=np.float64)
    for index, (_, entry) in enumerate(named):
        pixels = _decode(entry, root)
        if pixels.shape != first.shape:
            raise bad(
                root / Path(*entry.parts),
                f"expected an image of shape {first.shape} (channels, height, width) like the first, "
                f"found {pixels.shape}",
                "bring all images to one size and mode",
            )
        x[index] = pixels / 255.0
    return x, np.array([classes.index(name) for name, _ in named], dtype=np.int64)


def _decode(entry: _Entry, root: Path) -> NDArray[np.uint8]:
    """Pixels of one image, [channels, height, width]."""
    where = root / Path(*entry.parts)
    if entry.size > _LARGEST_FILE:
        raise bad(
            where, f"expected an image of at most {_LARGEST_FILE} bytes, found {entry.size}", "give smaller images"
        )
    try:
        from PIL import Image
    except ImportError as error:
        raise bad(where, "expected Pillow, which reads images, found no such package", "pip install pillow") from error
    try:
        with warnings.catch_warnings():
            # Pillow only warns between its limit and twice its limit.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(entry.read()), formats=_FORMATS) as image:
                if image.mode not in _GREY + _COLOUR:
                    raise bad(where, f"expected 8 bits a channel, found mode {image.mode}", "convert it to 8 bits")
                values = np.asarray(image.convert("L" if image.mode in _GREY else "RGB"), dtype=np.uint8)
    except DataError:
        raise
    except Exception as error:  # image and zip decoders raise almost anything on damaged bytes
        raise bad(where, f"expected a whole PNG, JPEG or WebP image, found {error}", "save it again") from error
    return values[np.newaxis] if values.ndim == 2 else values.transpose(2, 0, 1)
