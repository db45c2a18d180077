"""The arrays of a circuit are reduced once each, side by side, and kept where that is wanted."""

import threading
from pathlib import Path

import numpy as np
import pytest

from ohmweave.circuit import Crossbar
from ohmweave.errors import SimulationError, UserError
from ohmweave.simulate import reductions
from ohmweave.simulate.elaborate import PlacedCrossbar
from ohmweave.simulate.reduction import Reduction, reduce_array
from ohmweave.simulate.reductions import reduce_arrays, reduction_key
from ohmweave.units import Array


def placed(g: Array, name: str = "t0", r_col: float = 1.0, *, far: bool = False) -> PlacedCrossbar:
    (m, n), far_rows = g.shape, tuple(f"r{i}" for i in range(len(g) * far))
    rows, cols = tuple(f"r{i}" for i in range(m)), tuple(f"c{j}" for j in range(n))
    array = Crossbar(name, rows, cols, None, g, 2.5, r_col, far_rows=far_rows)
    return PlacedCrossbar(f"s0.{name}", array, tuple(range(len(array.ports))))


def random_tiles(count: int, shape: tuple[int, int] = (9, 7)) -> list[PlacedCrossbar]:
    rng = np.random.default_rng(0)
    return [placed(rng.uniform(1e-6, 1e-4, shape), f"t{k}") for k in range(count)]


def reduce(tiles: list[PlacedCrossbar], **options: object) -> list[Reduction]:
    return reduce_arrays(tiles, [None] * len(tiles), **options)  # type: ignore[arg-type]


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the arrays whose reduction was computed."""
    names: list[str] = []

    def watched(crossbar: Crossbar, linear: Array | None = None, admittance: Array | None = None) -> Reduction:
        if admittance is None:
            names.append(crossbar.name)
        return reduce_array(crossbar, linear, admittance)

    monkeypatch.setattr(reductions, "reduce_array", watched)
    return names


def test_every_array_gets_its_own_reduction_in_order() -> None:
    tiles = random_tiles(3)
    for tile, found in zip(tiles, reduce(tiles), strict=True):
        assert found.crossbar is tile.crossbar
        np.testing.assert_array_equal(found.admittance, reduce_array(tile.crossbar).admittance)


def test_devices_are_linearised_as_asked() -> None:
    (tile,) = random_tiles(1)
    slopes = 1.5 * tile.crossbar.g
    (found,) = reduce_arrays([tile], [slopes])
    np.testing.assert_array_equal(found.linear, slopes.ravel())
    np.testing.assert_array_equal(found.g, tile.crossbar.g.ravel())
    np.testing.assert_array_equal(found.admittance, reduce_array(tile.crossbar, slopes).admittance)


def test_workers_change_no_bit() -> None:
    tiles = random_tiles(6, (70, 65))
    alone, together = reduce(tiles), reduce(tiles, workers=3)
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one.admittance, other.admittance)


def test_arrays_are_reduced_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    # Passes only if two reductions are under way at one time; else the barrier breaks.
    meeting = threading.Barrier(2, timeout=30.0)

    def met(crossbar: Crossbar, linear: Array | None = None, admittance: Array | None = None) -> Reduction:
        if admittance is None:
            meeting.wait()
        return reduce_array(crossbar, linear, admittance)

    monkeypatch.setattr(reductions, "reduce_array", met)
    assert len(reduce(random_tiles(2), workers=2)) == 2


def test_equal_arrays_are_reduced_once(computed: list[str]) -> None:
    first, second = random_tiles(2)
    again = placed(first.crossbar.g.copy(), "again")
    found = reduce([first, second, again])
    assert sorted(computed) == ["t0", "t1"]
    assert found[2].crossbar is again.crossbar
    np.testing.assert_array_equal(found[2].admittance, found[0].admittance)


def test_a_key_tells_apart_whatever_the_reduction_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    g = np.array([[1e-5, 2e-5, 3e-5], [4e-5, 5e-5, 6e-5]])
    arrays = [
        placed(g).crossbar,
        placed(g * 1.0000001).crossbar,
        placed(g.reshape(3, 2)).crossbar,
        placed(g, r_col=1.5).crossbar,
        placed(g, far=True).crossbar,
    ]
    keys = [*map(reduction_key, arrays), reduction_key(arrays[0], 2.0 * g)]
    monkeypatch.setattr(reductions, "ALGORITHM", reductions.ALGORITHM + 1)
    keys.append(reduction_key(arrays[0]))
    assert len(set(keys)) == 7


def test_a_key_does_not_depend_on_names_or_on_how_a_missing_device_is_written() -> None:
    holes = np.array([[1e-5, np.nan]])
    assert reduction_key(placed(holes, "one").crossbar) == reduction_key(placed(np.array([[1e-5, 0.0]])).crossbar)


def test_what_was_kept_is_not_computed_again(tmp_path: Path, computed: list[str]) -> None:
    tiles, folder = random_tiles(2), tmp_path / "deep" / "kept"
    before = reduce(tiles, cache=folder)
    assert {path.name for path in folder.iterdir()} == {f"{reduction_key(tile.crossbar)}.bin" for tile in tiles}
    computed.clear()
    after = reduce(tiles, cache=folder)
    assert computed == []
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one.admittance, other.admittance)
    assert after[0].wire_volts(np.ones((1, 16))).shape == (1, 16 + 2 * 63)


def damage_by_cutting(content: bytes) -> bytes:
    return content[:-8]


def damage_by_appending(content: bytes) -> bytes:
    return content + b"\0" * 8


def damage_in_one_bit(content: bytes) -> bytes:
    return content[:-100] + bytes([content[-100] ^ 1]) + content[-99:]


def damage_by_zeros(content: bytes) -> bytes:
    return bytes(len(content))


def damage_by_emptying(content: bytes) -> bytes:
    return content[:0]


@pytest.mark.parametrize(
    "damage",
    [
        damage_by_cutting,
        damage_by_appending,
        damage_in_one_bit,
        damage_by_zeros,
        damage_by_emptying,
    ],
)
def test_a_damaged_file_is_computed_and_written_anew(tmp_path: Path, computed: list[str], damage: object) -> None:
    tiles = random_tiles(1)
    (expected,) = reduce(tiles, cache=tmp_path)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage(whole))  # type: ignore[operator]
    assert path.read_bytes() != whole
    computed.clear()
    (found,) = reduce(tiles, cache=tmp_path)
    assert computed == ["t0"]
    np.testing.assert_array_equal(found.admittance, expected.admittance)
    assert path.read_bytes() == whole
    assert [*tmp_path.iterdir()] == [path]


def test_the_admittance_of_another_array_is_not_believed(tmp_path: Path, computed: list[str]) -> None:
    tiles = random_tiles(2)
    one, other = (tmp_path / f"{reduction_key(tile.crossbar)}.bin" for tile in tiles)
    expected, _ = reduce(tiles, cache=tmp_path)
    one.write_bytes(other.read_bytes())
    computed.clear()
    found, _ = reduce(tiles, cache=tmp_path)
    assert computed == ["t0"]
    np.testing.assert_array_equal(found.admittance, expected.admittance)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "file"
    folder.write_text("in the way")
    with pytest.raises(UserError) as caught:
        reduce(random_tiles(1), cache=folder)
    assert str(caught.value) == (
        f"{folder}: a reduced array cannot be kept (File exists); name a folder that can be written, or none"
    )


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(reductions.os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device"):
        reduce(random_tiles(1), cache=tmp_path)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("workers", [1, 3])
def test_progress_counts_every_array_in_order_from_the_calling_thread(workers: int) -> None:
    told: list[tuple[int, int]] = []
    threads: set[int] = set()

    def progress(done: int, total: int) -> None:
        told.append((done, total))
        threads.add(threading.get_ident())

    tiles = random_tiles(4)
    reduce([*tiles, tiles[0]], workers=workers, progress=progress)
    assert told == [(k, 5) for k in range(1, 6)]
    assert threads == {threading.get_ident()}


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_names_the_tile(workers: int) -> None:
    tiles = random_tiles(3)
    tiles[1] = placed(np.array([[np.inf]]), "broken")
    with pytest.raises(SimulationError) as caught:
        reduce(tiles, workers=workers)
    assert str(caught.value) == "tile s0.broken: the array's wires could not be solved (Factor is exactly singular)"


def test_there_is_at_least_one_worker() -> None:
    with pytest.raises(ValueError, match=r"^expected at least 1 worker, found 0$"):
        reduce(random_tiles(1), workers=0)


def test_no_arrays_have_no_reductions(tmp_path: Path) -> None:
    assert reduce([], cache=tmp_path, workers=2) == []


def test_an_admittance_must_fit_its_array() -> None:
    (tile,) = random_tiles(1)
    with pytest.raises(ValueError, match=r"^crossbar t0 has 16 ports, found an admittance \(4, 4\)$"):
        reduce_array(tile.crossbar, admittance=np.eye(4))
