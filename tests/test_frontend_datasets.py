"""Samples: the embedded digits, and every file format whole and damaged."""

import gzip
import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from ohmweave.errors import DataError
from ohmweave.frontend import Data, datasets, load_data


def refused(spec: str, split: str = "test") -> str:
    with pytest.raises(DataError) as caught:
        load_data(spec, split)
    assert caught.value.exit_code == 2
    return str(caught.value)


def labels(data: Data) -> list[int]:
    assert data.y is not None
    return [int(label) for label in data.y]


def test_the_embedded_digits_are_those_of_scikit_learn() -> None:
    source = load_digits()
    x_train, x_test, y_train, y_test = train_test_split(
        source.data / 16, source.target, test_size=0.2, stratify=source.target, random_state=0
    )
    test, train = load_data("digits:test", "train"), load_data("digits:train", "test")
    np.testing.assert_array_equal(test.x, x_test)
    assert labels(test) == y_test.tolist()
    assert len(test.x) == 360

    def rows(x: Any, y: Any) -> list[tuple[float, ...]]:
        return sorted((*row, label) for row, label in zip(x.tolist(), list(y), strict=True))

    assert rows(train.x, labels(train)) == rows(x_train, y_train)


def test_the_split_is_the_default_where_the_specification_names_none() -> None:
    assert load_data("digits", "test").name == "digits:test"
    assert load_data("digits", "train").x.shape == (1437, 64)
    assert load_data("digits:test", "train").name == "digits:test"
    assert load_data("digits", "test").x.dtype == np.float64


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "cifar",
            (
                "data: expected digits, mnist:DIR, npz:FILE or imagefolder:DIR_OR_ZIP, found 'cifar'; "
                "name the kind of the data before the colon"
            ),
        ),
        ("npz", "data: expected a path after 'npz:', found none; write npz:PATH"),
        ("digits:valid", "digits: expected split train or test, found 'valid'; name one of these splits"),
    ],
)
def test_an_unknown_specification_is_refused(spec: str, message: str) -> None:
    assert refused(spec) == message


def idx(magic: int, shape: tuple[int, ...], values: bytes) -> bytes:
    return gzip.compress(struct.pack(f">{1 + len(shape)}I", magic, *shape) + values)


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    for prefix, count in (("train", 3), ("t10k", 2)):
        (tmp_path / f"{prefix}-images-idx3-ubyte.gz").write_bytes(idx(0x803, (count, 2, 2), bytes(range(4 * count))))
        (tmp_path / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(idx(0x801, (count,), bytes(range(count))))
    return tmp_path


def test_mnist_files_are_read(mnist: Path) -> None:
    data = load_data(f"mnist:{mnist}", "train")
    np.testing.assert_array_equal(data.x, np.arange(12.0).reshape(3, 1, 2, 2) / 255)
    assert labels(data) == [0, 1, 2]
    assert labels(load_data(f"mnist:{mnist}:test", "train")) == [0, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            idx(0x801, (2,), bytes(2)),
            "expected an IDX header that begins with 0x00000803, found 0x00000801; download it again",
        ),
        (
            gzip.compress(b""),
            "expected an IDX header that begins with 0x00000803, found an empty file; download it again",
        ),
        (idx(0x803, (2, 2, 2), bytes(7)), "expected 8 values for shape (2, 2, 2), found 7; download it again"),
        (
            idx(0x803, (2, 2, 2), bytes(9)),
            "expected 8 values for shape (2, 2, 2), found more than 8; download it again",
        ),
        (
            idx(0x803, (2**20, 2**10, 2**10), b""),
            "expected at most 536870912 values, found 1099511627776; give fewer samples",
        ),
        (
            b"plain",
            "expected a whole gzip file, found a damaged one (Not a gzipped file (b'pl')); download it again",
        ),
        (
            idx(0x803, (2, 2, 2), bytes(8))[:-9],
            (
                "expected a whole gzip file, found a damaged one "
                "(Compressed file ended before the end-of-stream marker was reached); download it again"
            ),
        ),
    ],
    ids=["labels", "empty", "short", "long", "huge", "plain", "cut"],
)
def test_a_damaged_mnist_file_is_named(mnist: Path, content: bytes, message: str) -> None:
    path = mnist / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(content)
    assert refused(f"mnist:{mnist}") == f"{path}: {message}"


def test_missing_and_mismatched_mnist_files_are_named(mnist: Path) -> None:
    path = mnist / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(idx(0x801, (3,), bytes(3)))
    assert refused(f"mnist:{mnist}") == (
        f"{path}: expected 2 labels, one a sample, found 3; give matching samples and labels"
    )
    path.unlink()
    assert refused(f"mnist:{mnist}") == (
        f"{path}: expected an MNIST file, found no such file; download the four .gz files into this folder"
    )


def save(path: Path, **arrays: Any) -> str:
    np.savez(path, **arrays)
    return f"npz:{path}"


def test_an_archive_with_and_without_labels(tmp_path: Path) -> None:
    data = load_data(save(tmp_path / "a.npz", x=np.eye(3, dtype=np.float32), y=np.array([2.0, 0.0, 1.0])), "test")
    assert (data.x.dtype.name, labels(data)) == ("float64", [2, 0, 1])
    assert load_data(save(tmp_path / "b.npz", x=np.eye(3)), "test").y is None


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": [1]}, "expected an array 'x', found none; write it with numpy.savez(FILE, x=..., y=...)"),
        (
            {"x": np.eye(3), "y": [1, 2]},
            "expected 3 labels, one a sample, found 2; give matching samples and labels",
        ),
        ({"x": np.array([["a", "b"]])}, "expected real numbers in 'x', found <U1; save numeric arrays"),
        ({"x": np.eye(2) * 1j}, "expected real numbers in 'x', found complex128; save numeric arrays"),
        ({"x": np.ones(3)}, "expected 'x' of shape [samples, ...], found (3,); save one row a sample"),
        ({"x": np.ones((0, 3))}, "expected 'x' of shape [samples, ...], found (0, 3); save one row a sample"),
        (
            {"x": np.eye(2), "y": np.eye(2)},
            "expected 'y' of shape [samples], found (2, 2); save one class number a sample",
        ),
        ({"x": np.eye(2), "y": ["a", "b"]}, "expected class numbers in 'y', found <U1; save integer classes"),
        (
            {"x": np.eye(2), "y": [0.5, 1]},
            "expected whole class numbers from 0 in 'y', found 0.5; number the classes from 0",
        ),
        (
            {"x": np.eye(2), "y": [0, -1]},
            "expected whole class numbers from 0 in 'y', found -1; number the classes from 0",
        ),
        (
            {"x": np.eye(2), "y": [0, np.nan]},
            "expected whole class numbers from 0 in 'y', found nan; number the classes from 0",
        ),
    ],
)
def test_an_inconsistent_archive_is_refused(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    path = tmp_path / "data.npz"
    assert refused(save(path, **arrays)) == f"{path}: {message}"


def test_pickles_inside_an_archive_are_never_loaded(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    assert refused(save(path, x=np.array([[print, "run"]], dtype=object))) == (
        f"{path}: expected an .npz file of plain arrays, found Object arrays cannot be loaded when allow_pickle=False; "
        "write it with numpy.savez(FILE, x=..., y=...)"
    )


def test_a_missing_or_damaged_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    assert refused(f"npz:{path}") == f"{path}: expected an .npz file, found no such file; check the path"
    path.write_bytes(b"not a zip")
    assert refused(f"npz:{path}") == (
        f"{path}: expected an .npz file of plain arrays, found File is not a zip file; "
        "write it with numpy.savez(FILE, x=..., y=...)"
    )
    save(path, x=np.ones((30, 30)))
    content = bytearray(path.read_bytes())
    content[300:320] = bytes(20)
    path.write_bytes(content)
    assert refused(f"npz:{path}").startswith(f"{path}: expected an .npz file of plain arrays, found Bad CRC-32")


def picture(value: int, mode: str = "RGB", size: tuple[int, int] = (3, 2), kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.new(mode, size, value if mode in ("L", "I;16") else (value, 0, 255)).save(stream, kind)
    return stream.getvalue()


TREE = {
    "test/cat/1.png": picture(10),
    "test/bird/1.png": picture(20),
    "test/bird/2.webp": picture(30, kind="WEBP"),
    "test/notes.txt": b"not an image",
    "train/cat/1.JPG": picture(40, kind="JPEG"),
}


def write_folder(root: Path, tree: dict[str, bytes]) -> Path:
    for name, content in tree.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def write_zip(root: Path, tree: dict[str, bytes]) -> Path:
    root.mkdir(exist_ok=True)
    with zipfile.ZipFile(root / "images.zip", "w") as archive:
        for name, content in tree.items():
            archive.writestr(name, content)
    return root / "images.zip"


both = pytest.mark.parametrize("write", [write_folder, write_zip])
Write = Callable[[Path, dict[str, bytes]], Path]


@both
def test_a_folder_of_images_is_read_by_class(tmp_path: Path, write: Write) -> None:
    data = load_data(f"imagefolder:{write(tmp_path / 'images', TREE)}:test", "train")
    assert data.x.shape == (3, 3, 2, 3)
    assert labels(data) == [0, 0, 1]
    np.testing.assert_array_equal(data.x[[0, 2], :, 0, 0], [[20 / 255, 0, 1], [10 / 255, 0, 1]])


@both
def test_the_split_folder_is_the_default_only_where_it_exists(tmp_path: Path, write: Write) -> None:
    path = write(tmp_path / "images", TREE)
    assert len(load_data(f"imagefolder:{path}", "train").x) == 1
    flat = write(tmp_path / "flat", {"a/1.png": picture(1, "L"), "b/1.png": picture(2, "L")})
    data = load_data(f"imagefolder:{flat}", "train")
    assert (data.x.shape, labels(data)) == ((2, 1, 2, 3), [0, 1])


@both
@pytest.mark.parametrize(
    ("tree", "place", "message"),
    [
        (
            {"a/1.png": picture(1), "a/2.png": picture(1, size=(4, 2))},
            "/a/2.png",
            (
                "expected an image of shape (3, 2, 3) (channels, height, width) like the first, found (3, 2, 4); "
                "bring all images to one size and mode"
            ),
        ),
        (
            {"a/1.png": picture(1), "a/2.png": picture(1, "L")},
            "/a/2.png",
            (
                "expected an image of shape (3, 2, 3) (channels, height, width) like the first, found (1, 2, 3); "
                "bring all images to one size and mode"
            ),
        ),
        (
            {"a/1.png": picture(1, "I;16")},
            "/a/1.png",
            "expected 8 bits a channel, found mode I;16; convert it to 8 bits",
        ),
        (
            {"1.png": picture(1)},
            "",
            "expected class folders with PNG, JPEG or WebP images, found none; put each class in its own folder",
        ),
    ],
    ids=["size", "mode", "depth", "flat"],
)
def test_images_that_do_not_fit_together_are_refused(
    tmp_path: Path, write: Write, tree: dict[str, bytes], place: str, message: str
) -> None:
    path = write(tmp_path / "images", tree)
    assert refused(f"imagefolder:{path}") == f"{path}{place}: {message}"


@both
@pytest.mark.parametrize(
    "content", [b"", b"text", picture(1)[:-30], picture(1, kind="GIF")], ids=["empty", "text", "cut", "gif"]
)
def test_a_damaged_image_is_named(tmp_path: Path, write: Write, content: bytes) -> None:
    path = write(tmp_path / "images", {"a/1.png": picture(1), "a/2.png": content})
    message = refused(f"imagefolder:{path}")
    assert message.startswith(f"{path}/a/2.png: expected a whole PNG, JPEG or WebP image, found ")
    assert message.endswith("; save it again")


def test_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Pillow only warns between its limit and twice its limit: 6 pixels, limit 5.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)
    path = write_folder(tmp_path, {"a/1.png": picture(1)})
    assert refused(f"imagefolder:{path}") == (
        f"{path}/a/1.png: expected a whole PNG, JPEG or WebP image, found "
        "Image size (6 pixels) exceeds limit of 5 pixels, could be decompression bomb DOS attack.; save it again"
    )


def test_a_missing_path_a_missing_split_and_a_broken_zip_are_named(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    assert refused(f"imagefolder:{gone}") == (
        f"{gone}: expected a folder or a zip file, found no such path; check the path"
    )
    path = write_folder(tmp_path / "images", TREE)
    assert refused(f"imagefolder:{path}:valid") == (
        f"{path}: expected a folder 'valid' of class folders, found ['test', 'train']; name an existing split"
    )
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK")
    assert refused(f"imagefolder:{broken}") == (
        f"{broken}: expected a zip file, found a damaged one (File is not a zip file); pack it again"
    )


def test_too_many_values_are_refused_before_they_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "MAX_VALUES", 8)
    path = tmp_path / "data.npz"
    assert refused(save(path, x=np.eye(9))) == f"{path}: expected at most 8 values, found 97; give fewer samples"
