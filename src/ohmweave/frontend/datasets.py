"""Samples by specification: the embedded digits, MNIST's files, NumPy archives, folders of images."""

import gzip
import math
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmweave.frontend.data import MAX_VALUES, Data, Labels, bad
from ohmweave.frontend.images import read_image_folder
from ohmweave.units import Array

__all__ = ["Data", "load_data"]

_IMAGES_MAGIC, _LABELS_MAGIC = 0x803, 0x801
_MNIST_PREFIX: Mapping[str, str] = {"train": "train", "test": "t10k"}


def load_data(spec: str, split: str) -> Data:
    """Read samples by their specification.

    Args:
        spec: ``digits[:train|test]`` (pixels / 16, shape [n, 64]); ``mnist:DIR[:train|test]`` (the
            gzipped IDX files, pixels / 255, shape [n, 1, 28, 28]); ``npz:FILE`` (arrays x and,
            optionally, y); ``imagefolder:DIR_OR_ZIP[:SPLIT]`` (a folder a class, sorted by name;
            PNG, JPEG or WebP, pixels / 255, shape [n, channels, height, width]).
        split: the split to take where the specification names none.

    Returns:
        The samples. Digits are those of scikit-learn (UCI, "Optical Recognition of Handwritten
        Digits"), of which 360 are held out as ``test``.

    Raises:
        DataError: an unknown specification, or a file that is missing, damaged or inconsistent.
    """
    kind, _, rest = spec.partition(":")
    loader = _LOADERS.get(kind)
    if loader is None:
        raise bad(
            "data",
            f"expected digits, mnist:DIR, npz:FILE or imagefolder:DIR_OR_ZIP, found {spec!r}",
            "name the kind of the data before the colon",
        )
    if kind != "digits" and not rest:
        raise bad("data", f"expected a path after {kind + ':'!r}, found none", f"write {kind}:PATH")
    return loader(rest, split)


def _digits(rest: str, default: str) -> Data:
    split = _known_split(rest or default, "digits")
    with np.load(Path(__file__).with_name("digits.npz"), allow_pickle=False) as archive:
        images, labels, test = archive["images"], archive["labels"], archive["test"]
    chosen = test if split == "test" else np.setdiff1d(np.arange(len(labels)), test)
    x = images[chosen].reshape(len(chosen), -1) / 16.0
    return Data(x, labels[chosen].astype(np.int64), f"digits:{split}")


def _known_split(split: str, where: str) -> str:
    if split not in _MNIST_PREFIX:
        raise bad(where, f"expected split train or test, found {split!r}", "name one of these splits")
    return split


def _mnist(rest: str, default: str) -> Data:
    head, _, tail = rest.rpartition(":")
    folder, split = (head, tail) if head and tail in _MNIST_PREFIX else (rest, _known_split(default, "mnist"))
    prefix = _MNIST_PREFIX[split]
    images = Path(folder, f"{prefix}-images-idx3-ubyte.gz")
    labels = Path(folder, f"{prefix}-labels-idx1-ubyte.gz")
    x, y = _read_idx(images, _IMAGES_MAGIC), _read_idx(labels, _LABELS_MAGIC)
    _same_length(len(x), len(y), labels)
    return Data(x[:, np.newaxis] / 255.0, y.astype(np.int64), f"mnist:{folder}:{split}")


def _read_idx(path: Path, magic: int) -> NDArray[np.uint8]:
    """A gzipped IDX file of bytes: magic (its last byte is the rank), sizes, values; big-endian."""
    if not path.is_file():
        raise bad(path, "expected an MNIST file, found no such file", "download the four .gz files into this folder")
    rank = magic & 0xFF
    try:
        with gzip.open(path) as stream:
            head = stream.read(4 * (1 + rank))
            if len(head) < 4 * (1 + rank) or int.from_bytes(head[:4]) != magic:
                found = f"0x{head[:4].hex()}" if len(head) >= 4 else "an empty file"
                raise bad(
                    path, f"expected an IDX header that begins with {magic:#010x}, found {found}", "download it again"
                )
            shape = tuple(int(size) for size in np.frombuffer(head[4:], dtype=">u4"))
            wanted = math.prod(shape)
            _limit(wanted, path)
            # One byte more than wanted shows a file that is too long.
            values = np.frombuffer(stream.read(wanted + 1), dtype=np.uint8)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise bad(path, f"expected a whole gzip file, found a damaged one ({error})", "download it again") from error
    if len(values) != wanted or not wanted:
        found = f"more than {wanted}" if len(values) > wanted else str(len(values))
        raise bad(path, f"expected {wanted} values for shape {shape}, found {found}", "download it again")
    return values.reshape(shape)


def _limit(values: int, where: str | Path) -> None:
    if values > MAX_VALUES:
        raise bad(where, f"expected at most {MAX_VALUES} values, found {values}", "give fewer samples")


def _same_length(samples: int, labels: int, where: str | Path) -> None:
    if samples != labels:
        raise bad(where, f"expected {samples} labels, one a sample, found {labels}", "give matching samples and labels")


_BROKEN = (
    zipfile.BadZipFile, OSError, EOFError, ValueError, zlib.error, NotImplementedError, RuntimeError, MemoryError
)  # fmt: skip


def _npz(rest: str, _default: str) -> Data:
    path = Path(rest)
    if not path.is_file():
        raise bad(path, "expected an .npz file, found no such file", "check the path")
    try:
        with zipfile.ZipFile(path) as archive:
            # The sizes in the directory bound what decompression can yield.
            _limit(max((item.file_size for item in archive.infolist()), default=0) // 8, path)
        with np.load(path, allow_pickle=False) as arrays:
            x, y = (arrays[key] if key in arrays.files else None for key in ("x", "y"))
    except _BROKEN as error:
        raise bad(
            path,
            f"expected an .npz file of plain arrays, found {error}",
            "write it with numpy.savez(FILE, x=..., y=...)",
        ) from error
    if x is None:
        raise bad(path, "expected an array 'x', found none", "write it with numpy.savez(FILE, x=..., y=...)")
    return Data(_samples(x, path), None if y is None else _labels(y, len(x), path), f"npz:{path}")


def _samples(x: Any, path: Path) -> Array:
    if not isinstance(x, np.ndarray) or x.dtype.kind not in "fiub":
        raise bad(path, f"expected real numbers in 'x', found {getattr(x, 'dtype', 'bytes')}", "save numeric arrays")
    if x.ndim < 2 or x.size == 0:
        raise bad(path, f"expected 'x' of shape [samples, ...], found {x.shape}", "save one row a sample")
    _limit(x.size, path)
    return x.astype(np.float64)


def _labels(y: Any, samples: int, path: Path) -> Labels:
    if not isinstance(y, np.ndarray) or y.dtype.kind not in "fiu":
        raise bad(path, f"expected class numbers in 'y', found {getattr(y, 'dtype', 'bytes')}", "save integer classes")
    if y.ndim != 1:
        raise bad(path, f"expected 'y' of shape [samples], found {y.shape}", "save one class number a sample")
    _same_length(samples, len(y), path)
    wrong = y[~((y >= 0) & (y < 2**31) & (y == np.floor(y)))]
    if len(wrong):
        raise bad(path, f"expected whole class numbers from 0 in 'y', found {wrong[0]}", "number the classes from 0")
    return y.astype(np.int64)


def _imagefolder(rest: str, default: str) -> Data:
    x, y = read_image_folder(rest, default)
    return Data(x, y, f"imagefolder:{rest}")


_LOADERS: Mapping[str, Callable[[str, str], Data]] = {
    "digits": _digits,
    "imagefolder": _imagefolder,
    "mnist": _mnist,
    "npz": _npz,
}
