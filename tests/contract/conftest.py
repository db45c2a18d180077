"""What the contract tests share: the two engines, and chips of random networks."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from ohmweave.bench import Bench, Waves
from ohmweave.chip import Chip
from ohmweave.design import Design
from ohmweave.graph import Graph, Input, Linear, Node, Op
from ohmweave.mapping import plan
from ohmweave.simulate.native import Native
from ohmweave.simulate.ngspice import NgspiceSimulator
from ohmweave.units import Array

Both = Callable[[Bench], tuple[Waves, Waves]]
MakeChip = Callable[..., tuple[Chip, Array]]


@pytest.fixture(scope="session")
def spice(ngspice: str) -> NgspiceSimulator:
    """ngspice, the reference of every contract."""
    return NgspiceSimulator(ngspice, time_limit=120.0)


@pytest.fixture(scope="session")
def both(spice: NgspiceSimulator) -> Both:
    """Run a bench natively and in ngspice; gives both answers in this order."""

    def run(bench: Bench) -> tuple[Waves, Waves]:
        return Native().run(bench), spice.run(bench)

    return run


@pytest.fixture(scope="session")
def make_chip() -> MakeChip:
    """Make a chip of a random perceptron, and four samples for it."""

    def make(design: Design, sizes: Sequence[int], activation: Op, *, seed: int = 0) -> tuple[Chip, Array]:
        rng = np.random.default_rng(seed)
        graph = _perceptron(sizes, activation, rng)
        calibration = rng.uniform(-0.2, 1.0, (32, sizes[0]))
        return Chip(plan(graph, design, calibration)), calibration[:4]

    return make


def _perceptron(sizes: Sequence[int], activation: Op, rng: np.random.Generator) -> Graph:
    """Random weights of unit gain, biases too; the activation between layers and none at the end."""
    nodes = [Node("x", Input((sizes[0],)))]
    for index in range(len(sizes) - 1):
        n_in, n_out = sizes[index], sizes[index + 1]
        layer = Linear(rng.normal(0.0, 1.5 / np.sqrt(n_in), (n_out, n_in)), rng.normal(0.0, 0.3, n_out))
        nodes.append(Node(f"fc{index}", layer, (nodes[-1].name,)))
        if index < len(sizes) - 2:
            nodes.append(Node(f"act{index}", activation, (nodes[-1].name,)))
    return Graph(tuple(nodes), (nodes[-1].name,))
