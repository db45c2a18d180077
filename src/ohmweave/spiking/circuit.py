"""From the plan of a spiking chip to its circuit."""

from collections.abc import Iterator

import numpy as np

from ohmweave.blocks.clocking import CLOCKS
from ohmweave.blocks.spiking import NEURON_PORTS, Membrane
from ohmweave.circuit import Capacitor, Cell, Crossbar, Instance, Resistor, Vcvs
from ohmweave.floorplan import Tile
from ohmweave.spiking.mesh import hops
from ohmweave.spiking.plan import SpikingPlan, SpikingStage
from ohmweave.spiking.population import INPUTS
from ohmweave.tiles import tile_array

__all__ = ["build_spiking", "clocks_heard", "gate_nets", "input_nets", "on_net", "synapses"]

_ROUTE_FARAD = 1e-15


def input_nets(plan: SpikingPlan) -> tuple[str, ...]:
    """The chip's ports of its inputs' gates."""
    return tuple(f"x{i}" for i in range(plan.inputs))


def on_net(stage: SpikingStage) -> str:
    """The chip's port that is high while a stage's biases are to act."""
    return f"{stage.name}_on"


def build_spiking(plan: SpikingPlan) -> Cell:
    """The whole chip: ports x0.. (gates of the inputs), one for each stage with biases, the clocks, spikes."""
    parts = [
        Instance(stage.name, _stage_cell(plan, index), (*gate_nets(plan, index), *CLOCKS, *_spike_nets(stage)))
        for index, stage in enumerate(plan.stages)
    ]
    biased = tuple(on_net(stage) for stage in plan.stages if stage.bias_rows)
    ports = (*input_nets(plan), *biased, *CLOCKS, *_spike_nets(plan.stages[-1]))
    note = f"a spiking network: {plan.neurons} neurons, {plan.devices} memristors"
    return Cell("chip", ports, tuple(parts), note=note)


def _spike_nets(stage: SpikingStage) -> tuple[str, ...]:
    return tuple(f"{stage.name}_y{j}" for j in range(stage.outputs))


def gate_nets(plan: SpikingPlan, index: int) -> tuple[str, ...]:
    """The chip's nets of the gates of a stage's rows, without those of its own neurons."""
    stage = plan.stages[index]
    read = input_nets(plan) if stage.source == INPUTS else _spike_nets(plan.stages[stage.source])
    return (*read, *((on_net(stage),) if stage.bias_rows else ()))


def _stage_cell(plan: SpikingPlan, index: int) -> Cell:
    """One population; ports g0.. (gates), on where it has biases, the clocks, y0.. (spikes)."""
    stage = plan.stages[index]
    gates = (*(f"g{i}" for i in range(stage.inputs)), *(("on",) if stage.bias_rows else ()))
    spikes = tuple(f"y{j}" for j in range(stage.outputs))
    parts: list[Instance | Crossbar] = [*_drivers(plan, index), *_arrays(plan, stage), *_neurons(plan, stage)]
    note = f"{stage.inputs} inputs, {stage.bias_rows} bias rows, {stage.outputs} neurons, {stage.devices} memristors"
    return Cell(f"stage_{stage.name}", (*gates, *CLOCKS, *spikes), tuple(parts), note=note)


def _gate(stage: SpikingStage, signal: int) -> str:
    """A stage's own net that says whether a signal's rows are pulsed."""
    if signal < stage.inputs:
        return f"g{signal}"
    return "on" if signal < stage.inputs + stage.bias_rows else f"y{signal - stage.inputs - stage.bias_rows}"


def _drivers(plan: SpikingPlan, index: int) -> Iterator[Instance]:
    """A driver for each row of each array, behind the route that a spike takes to it."""
    stage, design = plan.stages[index], plan.design
    ends = design.synapse.cell("driver", design.signal.v_read)
    analog = design.synapse.cell("driver_in", design.signal.v_read, straight=True) if plan.straight else ends
    routed = design.spiking.tiled and design.spiking.hop_delay > 0.0
    distances = hops(plan, index) if routed else [np.zeros(len(tile.rows), dtype=np.int64) for tile in stage.tiles]
    for tile, distance in zip(stage.tiles, distances, strict=True):
        for signal, far in zip(tile.rows.tolist(), distance.tolist(), strict=True):
            gate, row = _gate(stage, signal), _row(tile, signal)
            kind = analog if stage.source == INPUTS and signal < stage.inputs else ends
            if far:
                yield Instance(f"way_{row}", _route(far, design.spiking.hop_delay), (gate, f"d_{row}"))
                gate = f"d_{row}"
            yield Instance(f"drv_{row}", kind, (gate, "pulse", row))


def _route(far: int, hop_delay: float) -> Cell:
    """A wire between buffers that reaches half of a change after ``far`` hops' delay, ports in, out."""
    ohms = far * hop_delay / (np.log(2.0) * _ROUTE_FARAD)
    parts = (
        Instance("b", Vcvs(1.0), ("a", "0", "in", "0")),
        Instance("r", Resistor(float(ohms)), ("a", "w")),
        Instance("c", Capacitor(_ROUTE_FARAD), ("w", "0")),
        # What the wire drives is not to add to its delay.
        Instance("e", Vcvs(1.0), ("out", "0", "w", "0")),
    )
    return Cell(f"route{far}", ("in", "out"), parts, note=f"{far} hops of a spike between arrays")


def _row(tile: Tile, signal: int) -> str:
    return f"{tile.name}_r{signal}"


def _arrays(plan: SpikingPlan, stage: SpikingStage) -> Iterator[Crossbar]:
    device = plan.design.device.cell()
    for tile in stage.tiles:
        rows = tuple(_row(tile, signal) for signal in tile.rows.tolist())
        yield tile_array(tile, plan.design, device, rows, tuple(f"c{j}" for j in tile.cols.tolist()))


def _neurons(plan: SpikingPlan, stage: SpikingStage) -> Iterator[Instance]:
    """A neuron for each pair of columns; those that have to be the same are one cell."""
    design = plan.design
    cells: dict[Membrane, Cell] = {}
    clocks = {name: name for name in NEURON_PORTS}
    for j, membrane in enumerate(stage.membranes):
        if membrane not in cells:
            cells[membrane] = design.neuron.cell(f"neuron_{stage.name}_{len(cells)}", membrane, design.clock)
        own = {"p": f"c{2 * j}", "n": f"c{2 * j + 1}", "spike": f"y{j}", "reset": membrane.reset_clock}
        yield Instance(f"n{j}", cells[membrane], tuple((clocks | own)[port] for port in NEURON_PORTS))


def clocks_heard(plan: SpikingPlan) -> frozenset[str]:
    """The clocks that some part of the chip is joined to."""
    design = plan.design
    heard = {"pulse"}
    for membrane in {(each.beta == 1.0, each.reset, each.delay): each for each in _all(plan)}.values():
        cell = design.neuron.cell("neuron", membrane, design.clock)
        joined = {net for part in cell.parts for net in (part.nets if isinstance(part, Instance) else part.ports)}
        heard |= {membrane.reset_clock if port == "reset" else port for port in joined & set(cell.ports)}
    return frozenset(heard & set(CLOCKS))


def _all(plan: SpikingPlan) -> Iterator[Membrane]:
    for stage in plan.stages:
        yield from stage.membranes


def synapses(plan: SpikingPlan, stage: SpikingStage) -> Cell:
    """The arrays of a stage while their rows are read, at DC: ports v0.., the open-circuit voltages of the drivers.

    Columns end as the neurons end them; the currents into them are those of the sources ``e<column>.sense``.
    """
    design = plan.design
    end = design.neuron.column("column_end")
    parts: list[Instance | Crossbar] = list(_arrays(plan, stage))
    for tile in stage.tiles:
        for signal in tile.rows.tolist():
            row = _row(tile, signal)
            parts.append(Instance(f"rs_{row}", Resistor(design.synapse.r_source), (f"v{signal}", row)))
    parts += [Instance(f"e{j}", end, (f"c{j}",)) for j in range(2 * stage.outputs)]
    return Cell(f"synapses_{stage.name}", tuple(f"v{i}" for i in range(stage.signals)), tuple(parts))
