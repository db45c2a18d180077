"""Weights beside an ONNX file: read where they may lie, refused where they may not."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ohmweave.errors import ModelError
from ohmweave.frontend import from_onnx
from ohmweave.units import Array

RNG = np.random.default_rng(7)
W1, B1 = RNG.normal(size=(4, 3)).astype(np.float32), RNG.normal(size=4).astype(np.float32)
X = RNG.normal(size=(5, 3))


def one_layer() -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w1", "b1"], ["y"], name="first", transB=1)],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])],
        [numpy_helper.from_array(W1, "w1"), numpy_helper.from_array(B1, "b1")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def expected() -> Array:
    return np.asarray(X @ W1.astype(np.float64).T + B1)


def refused(model: onnx.ModelProto | Path) -> str:
    with pytest.raises(ModelError) as caught:
        from_onnx(model)
    assert caught.value.exit_code == 2
    return str(caught.value)


def save_external(folder: Path, location: str = "net.data") -> Path:
    """The model with all its weights beside it."""
    path = folder / "net.onnx"
    model = one_layer()
    data = b"".join(tensor.raw_data for tensor in model.graph.initializer)
    offset = 0
    for tensor in model.graph.initializer:
        size = len(tensor.raw_data)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", str(offset)), ("length", str(size))):
            tensor.external_data.add(key=key, value=value)
        offset += size
    path.write_bytes(model.SerializeToString())
    (folder / "net.data").write_bytes(data)
    return path


def test_external_data_beside_the_file_is_read(tmp_path: Path) -> None:
    np.testing.assert_allclose(from_onnx(save_external(tmp_path)).forward(X), expected(), rtol=1e-14)


def test_external_data_as_the_onnx_library_writes_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save_model(one_layer(), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    assert (tmp_path / "w.bin").is_file()
    np.testing.assert_allclose(from_onnx(path).forward(X), expected(), rtol=1e-14)


@pytest.mark.parametrize("location", ["../net.data", "sub/../../net.data", "/net.data", ""])
def test_external_data_outside_the_folder_is_refused(tmp_path: Path, location: str) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "net.data").write_bytes(bytes(1000))
    assert refused(save_external(tmp_path / "inner", location)) == (
        f"tensor 'w1': expected external data inside the model's own folder, found location {location!r}; "
        "keep the data beside the ONNX file and refer to it by its plain name"
    )


def test_a_link_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "secret").write_bytes(bytes(1000))
    (tmp_path / "inner" / "link").symlink_to(tmp_path / "secret")
    assert refused(save_external(tmp_path / "inner", "link")).startswith(
        "tensor 'w1': expected external data inside the model's own folder, found location 'link'"
    )


def test_a_place_with_too_long_a_name_is_refused(tmp_path: Path) -> None:
    name = "a" * 300
    assert refused(save_external(tmp_path, name)) == (
        f"tensor 'w1': expected external data in '{name}' beside the model, found no such file; "
        "copy it beside the ONNX file"
    )


def test_links_that_go_round_are_refused(tmp_path: Path) -> None:
    (tmp_path / "round").symlink_to("round")
    assert refused(save_external(tmp_path, "round")).startswith("tensor 'w1': expected external data ")


def test_missing_and_short_external_data_are_named(tmp_path: Path) -> None:
    path = save_external(tmp_path)
    (tmp_path / "net.data").write_bytes(bytes(20))
    assert refused(path) == (
        "tensor 'w1': expected 48 bytes at offset 0 of 'net.data', found a file of 20 bytes; "
        "export the network again, or copy the whole file"
    )
    (tmp_path / "net.data").unlink()
    assert refused(path) == (
        "tensor 'w1': expected external data in 'net.data' beside the model, found no such file; "
        "copy it beside the ONNX file"
    )


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "offset",
            "-4",
            "tensor 'w1': expected external data with a whole offset, found '-4'; export the network again",
        ),
        ("length", "x", "tensor 'w1': expected external data with a whole length, found 'x'; export the network again"),
        (
            "length",
            "44",
            "tensor 'w1': expected 48 bytes of external data for shape (4, 3), found length 44; "
            "export the network again",
        ),
    ],
)
def test_external_places_are_checked(tmp_path: Path, key: str, value: str, message: str) -> None:
    path = save_external(tmp_path)
    model = onnx.load(path, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == key:
            entry.value = value
    path.write_bytes(model.SerializeToString())
    assert refused(path) == message


def test_a_model_in_memory_must_hold_its_weights(tmp_path: Path) -> None:
    model = onnx.load(save_external(tmp_path), load_external_data=False)
    assert refused(model) == (
        "model: expected a model that holds its weights, found external data; "
        "give the path of the ONNX file, so that its folder is known"
    )
