"""Voltage lost on the wires: where devices see least of what their ports are given."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ohmweave.bench import Bench
from ohmweave.build import input_nets, row_nets
from ohmweave.circuit import Cell, Crossbar, Instance
from ohmweave.errors import ConvergenceError
from ohmweave.mapping import Plan, Stage, Tile
from ohmweave.simulate.curved import CurvedArray, solve_array
from ohmweave.simulate.native import Native
from ohmweave.simulate.reduction import reduce_array
from ohmweave.units import Array

__all__ = ["TileDrop", "ir_drop"]

_ITERATIONS = 40
_TOLERANCE = 1e-12


@dataclass(frozen=True, eq=False)
class TileDrop:
    """Voltages along the wires of one tile for one sample.

    Args:
        stage: name of the tile's stage.
        tile: its name within the stage.
        sample: index of the sample.
        row_volts: voltages of the row ports, shape [m], V; those of both ends where both are driven.
        col_volts: voltages of the column ports, shape [n], V; likewise.
        word_volts: row wires at every crossing, shape [m, n], V.
        bit_volts: column wires at every crossing, shape [m, n], V.
    """

    stage: str
    tile: str
    sample: int
    row_volts: Array
    col_volts: Array
    word_volts: Array
    bit_volts: Array

    @property
    def ideal(self) -> Array:
        """Row port minus column port: what each crossing would see without wires, [m, n], V."""
        return np.asarray(self.row_volts[:, None] - self.col_volts[None, :])

    @property
    def across(self) -> Array:
        """Row wire minus column wire at each crossing, [m, n], V."""
        return np.asarray(self.word_volts - self.bit_volts)

    @property
    def lost(self) -> Array:
        """Distance of each crossing's voltage from its ideal, [m, n], V; never negative."""
        return np.asarray(np.abs(self.ideal - self.across))

    @property
    def worst(self) -> tuple[int, int]:
        """Row and column of the crossing that loses most."""
        i, j = np.unravel_index(int(self.lost.argmax()), self.lost.shape)
        return int(i), int(j)


def ir_drop(plan: Plan, cell: Cell, x: Array) -> TileDrop:
    """Find the tile and the sample where a crossing loses most voltage to the wires.

    lost = |(v_row - v_col) - (v_word - v_bit)|, the first bracket at the ports, the second at the
    crossing. Port voltages come from the native engine's solution of the whole chip and wires from
    their own nodal equations. For linear devices everything is exact. Nonlinear devices are taken at
    their programmed conductance only to choose tile and sample; the one that is returned is solved
    with their law, by Newton's method, until every device's current is met to 1e-12 of the largest.

    Args:
        plan: the chip's plan.
        cell: the circuit built from it.
        x: inputs in network units, [samples, ...]; a few are enough.

    Raises:
        DataError: samples that do not fit the network.
        EngineError: a chip or a tile without a solution.
    """
    ports = _port_volts(plan, cell, x)
    chosen: tuple[float, Stage, Tile, int] | None = None
    for stage, tile in _tiles(plan):
        crossbar = _crossbar(cell, stage, tile)
        nodes = reduce_array(crossbar).wire_volts(ports[stage.name, tile.name])
        lost = np.array([_drop(stage, tile, crossbar, s, v).lost.max() for s, v in enumerate(nodes)])
        if chosen is None or lost.max() > chosen[0]:
            chosen = float(lost.max()), stage, tile, int(lost.argmax())
    assert chosen is not None
    _, stage, tile, sample = chosen
    crossbar = _crossbar(cell, stage, tile)
    nodes = _wires(crossbar, ports[stage.name, tile.name][sample : sample + 1], f"tile {stage.name}.{tile.name}")
    return _drop(stage, tile, crossbar, sample, nodes[0])


def _tiles(plan: Plan) -> Iterator[tuple[Stage, Tile]]:
    return ((stage, tile) for stage in plan.stages for tile in stage.tiles)


def _port_volts(plan: Plan, cell: Cell, x: Array) -> dict[tuple[str, str], Array]:
    """Voltages of every tile's ports in their order, [samples, ports], V, by stage and tile."""
    probes: dict[tuple[str, str], tuple[str, ...]] = {}
    for index, stage in enumerate(plan.stages):
        rows = row_nets(plan, index)
        for tile in stage.tiles:
            mine = tuple(rows[i] for i in tile.rows)
            cols = tuple(f"{stage.name}.c{j}" for j in tile.cols)
            crossbar = _crossbar(cell, stage, tile)
            far_rows, far_cols = mine if crossbar.far_rows else (), cols if crossbar.far_cols else ()
            probes[stage.name, tile.name] = (*mine, *cols, *far_rows, *far_cols)
    nets = tuple(dict.fromkeys(net for group in probes.values() for net in group if net != "0"))
    volts = Native().run(Bench(cell, input_nets(plan), plan.input_volts(x), nets)).volts
    volts = np.hstack([volts, np.zeros((len(volts), 1))])
    place = {net: column for column, net in enumerate((*nets, "0"))}
    return {key: volts[:, [place[net] for net in group]] for key, group in probes.items()}


def _crossbar(cell: Cell, stage: Stage, tile: Tile) -> Crossbar:
    inside = next(part.of for part in cell.parts if isinstance(part, Instance) and part.name == stage.name)
    assert isinstance(inside, Cell)
    return next(part for part in inside.parts if isinstance(part, Crossbar) and part.name == tile.name)


def _wires(crossbar: Crossbar, v_ports: Array, where: str) -> Array:
    """Voltages of the array's nodes for given ports, [1, nodes], V, its devices' law met."""
    reduction = reduce_array(crossbar)
    if crossbar.device is None or crossbar.device.law is None:
        return reduction.wire_volts(v_ports)
    found = solve_array(CurvedArray.of(crossbar), v_ports, tolerance=_TOLERANCE, most_steps=_ITERATIONS)
    if found.settled.all():
        amps, volts = (each.reshape(1, -1)[:, reduction.present] for each in (found.device_amps, found.device_volts))
        return reduction.wire_volts(v_ports, amps - reduction.linear * volts)
    raise ConvergenceError(
        f"the wires' voltages did not settle in {_ITERATIONS} steps",
        where=where,
        remedy="lower signal.v_read or the device's nonlinearity",
    )


def _drop(stage: Stage, tile: Tile, crossbar: Crossbar, sample: int, nodes: Array) -> TileDrop:
    """Sort node voltages, [nodes], as :func:`reduce_array` orders them: ports, row wires, column wires."""
    m, n = crossbar.g.shape
    rows, cols, inner = nodes[:m], nodes[m : m + n], nodes[len(crossbar.ports) :]
    if crossbar.r_row > 0:
        word, inner = inner[: m * n].reshape(m, n), inner[m * n :]
    else:
        word = np.broadcast_to(rows[:, None], (m, n))
    bit = inner.reshape(m, n) if crossbar.r_col > 0 else np.broadcast_to(cols[None, :], (m, n))
    return TileDrop(stage.name, tile.name, sample, rows, cols, word, bit)
