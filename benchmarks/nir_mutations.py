"""How the reader of NIR files takes damaged ones: mutations of valid files, each read as a user's file would be.

    python benchmarks/nir_mutations.py --mutations 2000

Every file must end in a network or in a ModelError of one line; anything else is printed with its seed and ends
the program with 1. Byte by byte mutations find the HDF5 library's weak places, mutations of fields (numbers, names,
shapes, edges, types) those of what stands above it.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ohmweave.errors import ModelError
from ohmweave.frontend import read_nir, write_nir
from ohmweave.frontend.nir_process import HdfReader
from ohmweave.graph import Graph, Input, Linear, Node
from ohmweave.ops import (
    AveragePool,
    Conv,
    Flatten,
    LeakyIntegrateFire,
    RecurrentLeakyIntegrateFire,
    SynapticIntegrateFire,
)

Generator = np.random.Generator


def network(rng: Generator) -> Graph:
    """One of everything that is read."""
    half, one = np.full(6, 0.5), np.ones(6)
    nodes = (
        Node("x", Input((1, 6, 6))),
        Node("conv", Conv(rng.normal(size=(2, 1, 3, 3)), rng.normal(size=2)), ("x",)),
        Node("lif1", LeakyIntegrateFire(np.full((2, 4, 4), 0.9), np.ones((2, 4, 4))), ("conv",)),
        Node("pool", AveragePool((2, 2), (2, 2)), ("lif1",)),
        Node("flat", Flatten(), ("pool",)),
        Node("fc1", Linear(rng.normal(size=(6, 8)), np.zeros(6)), ("flat",)),
        Node("loop", RecurrentLeakyIntegrateFire(half, one, rng.normal(size=(6, 6)), half), ("fc1",)),
        Node("fc2", Linear(rng.normal(size=(6, 6)), one), ("loop",)),
        Node("lif2", SynapticIntegrateFire(half, half, one), ("fc2",)),
    )
    return Graph(nodes, ("lif2",))


def flip(data: bytes, rng: Generator) -> bytes:
    """Some bytes, or one bit, changed."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        place = int(rng.integers(len(changed)))
        changed[place] = int(rng.integers(256)) if rng.random() < 0.5 else changed[place] ^ (1 << int(rng.integers(8)))
    return bytes(changed)


def cut(data: bytes, rng: Generator) -> bytes:
    """The file's beginning, or the file without a piece of it."""
    first, last = sorted(int(p) for p in rng.integers(len(data), size=2))
    return data[:last] if rng.random() < 0.5 else data[:first] + data[last:]


def overwrite(data: bytes, rng: Generator) -> bytes:
    """A piece of the file over another one, or numbers out of range in its place."""
    size = int(rng.integers(1, 65))
    source, target = (int(p) for p in rng.integers(max(1, len(data) - size), size=2))
    piece = data[source : source + size] if rng.random() < 0.5 else bytes([int(rng.choice([0, 255]))]) * size
    return data[:target] + piece + data[target + size :]


def field(path: Path, rng: Generator) -> None:
    """One value, group or name of the file changed by the library itself."""
    strange = (-1.0, 0.0, 1e300, np.nan, np.inf, np.zeros(0), np.ones((3, 2)), np.ones((2, 2, 2, 2, 2)), "words", 7)
    with h5py.File(path, "r+") as file:
        places: list[str] = []
        file.visit(places.append)
        place = places[int(rng.integers(len(places)))]
        other = places[int(rng.integers(len(places)))]
        parent, name = file[place].parent, place.rsplit("/", 1)[-1]
        action = int(rng.integers(5))
        moved = f"{parent.name}/{name}_"
        if action in (0, 1) or isinstance(file[place], h5py.Group):
            del parent[name]
        if action in (1, 4) and not other.startswith(place):
            file.copy(other, moved if action == 4 else f"{parent.name}/{name}")
        elif action in (2, 3) and name not in parent:
            parent[name] = strange[int(rng.integers(len(strange)))]
        elif action in (2, 3):
            old = parent[name][()]
            del parent[name]
            parent[name] = _near(old, rng) if action == 3 else strange[int(rng.integers(len(strange)))]


def _near(old: Any, rng: Generator) -> Any:
    """A value with one of its numbers or words changed, or another shape."""
    if not isinstance(old, np.ndarray) or not old.size:
        return -1 if not isinstance(old, bytes) else b"LIF"
    changed = old.copy()
    place = tuple(int(rng.integers(n)) for n in old.shape)
    changed[place] = b"pool" if old.dtype.kind == "O" else old.dtype.type(rng.choice([-1, 0, 1, 100]))
    return changed if rng.random() < 0.7 else changed[:-1]


def mutate(originals: Sequence[Path], path: Path, seed: int) -> str:
    """A damaged copy of one of the files; which kind of damage it is."""
    rng = np.random.default_rng(seed)
    path.write_bytes(originals[int(rng.integers(len(originals)))].read_bytes())
    if rng.random() < 0.4:
        field(path, rng)
        return "field"
    damages: Sequence[Callable[[bytes, Generator], bytes]] = (flip, cut, overwrite)
    damage = damages[int(rng.integers(len(damages)))]
    path.write_bytes(damage(path.read_bytes(), rng))
    return damage.__name__


def verdict(path: Path, reader: HdfReader) -> tuple[str, str]:
    """How reading a file ends: network, refused, ended (the reader with it) or wrong; and the words."""
    try:
        read_nir(path, reader=reader)
    except ModelError as error:
        words = str(error)
        if "\n" in words or (not words.startswith(str(path)) and "layer" not in words):
            return "wrong", words
        return ("ended" if "ends the reader" in words else "refused"), words
    except Exception as error:  # noqa: BLE001  this is what is looked for
        return "wrong", f"{type(error).__name__}: {error}"
    return "network", ""


def originals(folder: Path) -> list[Path]:
    """The network compressed, as nir writes it, and plain, where more mutations reach the numbers."""
    packed = write_nir(network(np.random.default_rng(0)), folder / "packed.nir")
    plain = folder / "plain.nir"
    with h5py.File(packed) as source, h5py.File(plain, "w") as target:

        def copy(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                target[name] = item[()]

        source.visititems(copy)
    return [packed, plain]


def main(arguments: Sequence[str] | None = None) -> int:
    """Mutate, read, count; 1 where anything ended otherwise than it may."""
    parser = argparse.ArgumentParser(description="Read mutations of NIR files.")
    parser.add_argument("--mutations", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    counts: Counter[tuple[str, str]] = Counter()
    started, wrong = time.perf_counter(), 0
    with tempfile.TemporaryDirectory() as name, HdfReader() as reader:
        files = originals(Path(name))
        for seed in range(options.seed, options.seed + options.mutations):
            path = Path(name, "mutated.nir")
            damage = mutate(files, path, seed)
            kind, words = verdict(path, reader)
            counts[damage, kind] += 1
            if kind == "wrong":
                wrong += 1
                print(f"seed {seed} ({damage}): {words}", file=sys.stderr)
    for (damage, kind), count in sorted(counts.items()):
        print(f"{damage:10s} {kind:8s} {count:6d}")
    print(f"{options.mutations} mutations in {time.perf_counter() - started:.0f} s, {wrong} ended wrongly")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
