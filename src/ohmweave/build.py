"""From a plan to circuits: one cell for a whole analog chip, or one a stage for a sampled one."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from ohmweave.blocks import Converter, TwoTerminal, inverter
from ohmweave.blocks.digital import DigitalActivation
from ohmweave.circuit import Cell, Crossbar, CurrentSource, Instance, Resistor, Vccs, VoltageSource
from ohmweave.design import Design
from ohmweave.errors import DesignError
from ohmweave.floorplan import Plan, Stage, Tile, chance
from ohmweave.tiles import tile_array
from ohmweave.units import Array
from ohmweave.wiring import GROUND

__all__ = [
    "Part",
    "Pieces",
    "build",
    "converters",
    "digital_activation",
    "digital_bias",
    "input_nets",
    "layer_names",
    "output_nets",
    "row_nets",
    "sampled_cell",
    "sampled_parts",
    "sampled_pieces",
]

_INVERTER_OHM = 10e3
_BIAS = -1
Numbers = NDArray[np.int64]


def build(plan: Plan) -> Cell:
    """An analog chip: ports x0.. (inputs) and the last stage's outputs, everything between in one circuit.

    Rows that carry the chip's inputs and all bias rows are fed by drivers, others by the outputs of
    the stages before and, where the scheme wants both polarities, by inverters. Each stage is one cell.
    """
    opamp = plan.design.opamp.cell("opamp")
    driver = plan.design.driver.cell("driver", plan.design.scheme.lines_per_input)
    flip = inverter("inverter", opamp, _INVERTER_OHM)
    parts: list[Instance | Crossbar] = [
        Instance("bias", VoltageSource(plan.design.signal.v_read), ("bias", "0")),
    ]
    for index, stage in enumerate(plan.stages):
        parts += _feeds(plan, index, driver, flip) if stage.kind == "array" else []
        nets = (*row_nets(plan, index), *output_nets(stage))
        parts.append(Instance(stage.name, _stage_cell(plan, stage, opamp), nets))
    ports = (*input_nets(plan), *output_nets(plan.stages[-1]))
    note = f"the whole network: {len(plan.stages)} stages, {plan.devices} memristors in arrays"
    return Cell("chip", ports, tuple(parts), note=note)


def input_nets(plan: Plan) -> tuple[str, ...]:
    """The chip's input ports, one a feature."""
    return tuple(f"x{i}" for i in range(plan.graph_inputs))


def output_nets(stage: Stage) -> tuple[str, ...]:
    """The chip's nets that carry a stage's outputs."""
    return tuple(f"{stage.name}_y{j}" for j in range(stage.values))


def row_nets(plan: Plan, index: int) -> tuple[str, ...]:
    """The chip's nets that feed a stage's physical rows, or the inputs of its blocks, in their order."""
    stage, layer = plan.stages[index], plan.lowered.layers[index]
    if stage.kind != "array":
        return tuple(_net(plan, int(number)) for number in layer.source.ravel())
    pair = plan.design.scheme.lines_per_input == 2
    nets: list[str] = []
    for i in range(stage.inputs + stage.bias_rows):
        number = int(layer.source[0, i]) if i < stage.inputs else _BIAS
        if number == GROUND:
            nets += ["0", "0"] if pair else ["0"]
            continue
        nets.append(_net(plan, number) if number > plan.graph_inputs else f"{stage.name}_p{i}")
        if pair:
            nets.append(f"{stage.name}_n{i}")
    return tuple(nets)


def layer_names(plan: Plan) -> dict[str, str]:
    """Safe name of each stage -> the user's names of the layers it realises."""
    return {stage.name: ", ".join(stage.layers) for stage in plan.stages}


def _net(plan: Plan, number: int) -> str:
    """The chip's net of a signal."""
    owner = int(plan.lowered.owners(np.array(number)))
    if owner < 1:
        return "0" if number == GROUND else f"x{number - 1}"
    return f"{plan.stages[owner - 1].name}_y{number - plan.lowered.layers[owner - 1].first}"


def _feeds(plan: Plan, index: int, driver: Cell, flip: Cell) -> list[Instance]:
    stage, lines = plan.stages[index], plan.design.scheme.lines_per_input
    source, nets = plan.lowered.layers[index].source[0], row_nets(plan, index)
    feeds = []
    for i in range(stage.inputs + stage.bias_rows):
        rows = nets[i * lines : (i + 1) * lines]
        if i >= stage.inputs:
            feeds.append(Instance(f"{stage.name}_drv{i}", driver, ("bias", *rows)))
        elif GROUND < source[i] <= plan.graph_inputs:
            feeds.append(Instance(f"{stage.name}_drv{i}", driver, (_net(plan, int(source[i])), *rows)))
        elif lines == 2 and source[i] != GROUND:
            feeds.append(Instance(f"{stage.name}_inv{i}", flip, (_net(plan, int(source[i])), rows[1])))
    return feeds


def _stage_cell(plan: Plan, stage: Stage, opamp: Cell) -> Cell:
    """One stage of an analog chip; ports r0.. (physical rows, or inputs of its blocks) and y0.. (outputs)."""
    if stage.kind != "array":
        block = _block(plan.design, stage)
        taps = stage.inputs
        ports = (*(f"r{i}" for i in range(stage.positions * taps)), *(f"y{j}" for j in range(stage.values)))
        blocks = tuple(
            Instance(f"{_BLOCK_NAMES[stage.kind]}{p}", block, (*ports[p * taps : (p + 1) * taps], f"y{p}"))
            for p in range(stage.positions)
        )
        return Cell(f"stage_{stage.name}", ports, blocks, note=f"{stage.positions} times {stage.kind} of {taps} inputs")
    parts = _columns(plan, stage, opamp, stage.tiles, np.arange(stage.outputs))
    lines_in = (stage.inputs + stage.bias_rows) * plan.design.scheme.lines_per_input
    ports = (*(f"r{i}" for i in range(lines_in)), *(f"y{j}" for j in range(stage.outputs)))
    return Cell(
        f"stage_{stage.name}",
        ports,
        tuple(parts),
        note=f"{stage.inputs} inputs, {stage.bias_rows} bias rows, {stage.outputs} outputs",
    )


_BLOCK_NAMES = {"maximum": "max", "product": "mul"}


def _block(design: Design, stage: Stage) -> Cell:
    """The circuit of a maximum or a product, ports for each input and out."""
    if stage.kind == "maximum":
        return design.maximum.cell(f"maximum_{stage.name}", stage.inputs, design.opamp)
    return design.multiplier.cell(f"product_{stage.name}", design.opamp, stage.s_in / stage.s_out)


def _columns(
    plan: Plan, stage: Stage, opamp: Cell, tiles: Sequence[Tile], outputs: Numbers
) -> list[Instance | Crossbar]:
    """Arrays with a readout and, where sums are analog, an activation for every output."""
    design, readout = plan.design, plan.readout
    digital = design.coupling.digital_sums
    device, activation = design.device.cell(), plan.activation(stage)
    parts: list[Instance | Crossbar] = [
        tile_array(tile, design, device, tuple(f"r{i}" for i in tile.rows), tuple(f"c{j}" for j in tile.cols))
        for tile in tiles
    ]
    low, high = (None, None) if digital else activation.limits(stage.s_out)
    last = opamp if low is None and high is None else design.opamp.cell(f"opamp_{stage.name}", low=low, high=high)
    spread = design.opamp.offset_spread
    columns = _readouts(plan, stage, (opamp, last), tiles[0].name, len(outputs))
    offsets = spread * chance(design, f"{stage.name}.{tiles[0].name}.offsets").standard_normal(
        (len(outputs), readout.opamps)
    )
    shape = None if digital else activation.cell(f"activation_{stage.name}", design.opamp, stage.s_pre, stage.s_out)
    for j, column, mine in zip(outputs, columns, offsets, strict=True):
        lines = tuple(f"c{j * readout.lines + p}" for p in range(readout.lines))
        references = tuple(f"os{j}_{p}" for p in range(readout.opamps)) if spread else ()
        volts = zip(references, mine, strict=False)
        parts += [Instance(net, VoltageSource(float(value)), (net, "0")) for net, value in volts]
        parts.append(Instance(f"ro{j}", column, (*lines, f"y{j}" if shape is None else f"a{j}", *references)))
        if shape is not None:
            parts.append(Instance(f"act{j}", shape, (f"a{j}", f"y{j}")))
    return parts


def _readouts(plan: Plan, stage: Stage, opamps: tuple[Cell, Cell], tile: str, count: int) -> list[Cell]:
    """The readouts of some outputs; those whose loops are the same are one cell."""
    design, readout = plan.design, plan.readout
    ohms = readout.resistances(stage.r_feedback, stage.r_mixing)
    stream = chance(design, f"{stage.name}.{tile}.feedback")
    name = f"{stage.name}_{tile}"
    try:
        loops = design.feedback.loops(f"loop_{name}", ohms, count, design.device, design.effects, stream)
    except DesignError as error:
        raise DesignError(error.message, where=f"stage {stage.name}, {error.where}", remedy=error.remedy) from error
    referenced, cells = design.opamp.offset_spread > 0.0, dict[tuple[TwoTerminal, ...], Cell]()
    nominal = tuple(Resistor(each) for each in ohms)
    for number, parts in enumerate(loops):
        if parts not in cells:
            called = f"readout_{stage.name}" if parts == nominal else f"readout_{name}_{number}"
            cells[parts] = readout.cell(called, opamps, parts, referenced=referenced)
    return [cells[parts] for parts in loops]


@dataclass(frozen=True, eq=False)
class Part:
    """A piece of a sampled stage that no current leaves.

    Args:
        cell: its circuit, ports x<i> for the inputs and y<j> for the outputs.
        inputs: the stage's inputs that it sees.
        outputs: the stage's outputs that it makes, or makes a tile's share of.
    """

    cell: Cell
    inputs: Numbers
    outputs: Numbers

    @property
    def input_nets(self) -> tuple[str, ...]:
        """Its input ports."""
        return tuple(f"x{i}" for i in self.inputs)

    @property
    def output_nets(self) -> tuple[str, ...]:
        """Its output ports."""
        return tuple(f"y{j}" for j in self.outputs)


def sampled_parts(plan: Plan, stage: Stage) -> tuple[Part, ...]:
    """The independent circuits of a sampled stage, without converters.

    Where sums are digital every tile is one, with drivers of its own; otherwise tiles that share rows or
    columns belong together.
    """
    opamp = plan.design.opamp.cell("opamp")
    if stage.kind != "array":
        ports = tuple(f"x{i}" for i in range(stage.inputs))
        block = Instance(_BLOCK_NAMES[stage.kind], _block(plan.design, stage), (*ports, "y0"))
        cell = Cell(f"part_{stage.name}_0", (*ports, "y0"), (block,), note=f"{stage.kind} of {stage.inputs} inputs")
        return (Part(cell, np.arange(stage.inputs), np.arange(1)),)
    groups = [[tile] for tile in stage.tiles] if plan.design.coupling.digital_sums else _together(plan, stage)
    return tuple(_part(plan, stage, opamp, group, number) for number, group in enumerate(groups))


def _together(plan: Plan, stage: Stage) -> list[list[Tile]]:
    """Tiles that share rows, other than bias rows, or columns."""
    lines = stage.inputs * plan.design.scheme.lines_per_input
    nets = [np.concatenate([tile.rows[tile.rows < lines], tile.cols + lines]) for tile in stage.tiles]
    count = len(nets)
    owners = np.repeat(np.arange(count), [len(each) for each in nets])
    joined = np.concatenate(nets)
    total = count + int(joined.max()) + 1
    links = coo_matrix((np.ones(len(joined), dtype=np.int8), (owners, count + joined)), shape=(total, total))
    groups: dict[int, list[Tile]] = {}
    for label, tile in zip(connected_components(links, directed=False)[1].tolist(), stage.tiles, strict=False):
        group = groups.pop(label, [])
        group.append(tile)
        # In the order of their last tiles.
        groups[label] = group
    return list(groups.values())


def _part(plan: Plan, stage: Stage, opamp: Cell, tiles: Sequence[Tile], number: int) -> Part:
    scheme = plan.design.scheme
    signals = np.unique(np.concatenate([tile.rows for tile in tiles]) // scheme.lines_per_input)
    outputs = np.unique(np.concatenate([tile.cols for tile in tiles]) // scheme.lines_per_output)
    inputs = signals[signals < stage.inputs]
    driver = plan.design.driver.cell("driver", scheme.lines_per_input)
    parts: list[Instance | Crossbar] = []
    if len(inputs) < len(signals):
        parts.append(Instance("bias", VoltageSource(plan.design.signal.v_read), ("bias", "0")))
    for i in signals:
        rows = tuple(f"r{i * scheme.lines_per_input + q}" for q in range(scheme.lines_per_input))
        parts.append(Instance(f"drv{i}", driver, (f"x{i}" if i < stage.inputs else "bias", *rows)))
    parts += _columns(plan, stage, opamp, tiles, outputs)
    ports = (*(f"x{i}" for i in inputs), *(f"y{j}" for j in outputs))
    note = f"{len(tiles)} tiles, {len(inputs)} inputs, {len(outputs)} outputs"
    return Part(Cell(f"part_{stage.name}_{number}", ports, tuple(parts), note=note), inputs, outputs)


def converters(plan: Plan, stage: Stage) -> tuple[Converter, Converter]:
    """The converters before the inputs of a sampled stage and behind its readouts."""
    coupling = plan.design.coupling
    return Converter(coupling.dac_bits, *stage.dac), Converter(coupling.adc_bits, *stage.adc)


def digital_activation(stage: Stage) -> DigitalActivation:
    """The activation of a stage whose sums are digital."""
    return DigitalActivation(stage.activation, stage.parameters, stage.s_pre, stage.s_out)


def digital_bias(plan: Plan, stage: Stage) -> Array:
    """What is added to the digital sums of a stage, [outputs], V."""
    return plan.lowered.layers[plan.stages.index(stage)].sums.bias * stage.s_pre


@dataclass(frozen=True, eq=False)
class Pieces:
    """A sampled stage at one position as circuits that hand voltages on and nothing back.

    Args:
        before: the converters of all inputs, ports x<i> and q<i>; None where there are none.
        arrays: all parts side by side, ports p<k>_x<i> of every part k, then p<k>_y<j> of every part.
        behind: what turns the parts' outputs into the stage's, converters, sums and activation, ports p<k>_y<j>
            and y<j>; None where they are the stage's outputs.
        parts: the parts themselves.
    """

    before: Cell | None
    arrays: Cell
    behind: Cell | None
    parts: tuple[Part, ...]

    @property
    def feeds(self) -> Numbers:
        """Which of the stage's inputs each input of ``arrays`` carries."""
        return np.concatenate([part.inputs for part in self.parts])

    @property
    def makes(self) -> Numbers:
        """Which of the stage's outputs each output of ``arrays`` serves."""
        return np.concatenate([part.outputs for part in self.parts])


def sampled_pieces(plan: Plan, stage: Stage) -> Pieces:
    """What a sampled stage consists of."""
    dac, adc = converters(plan, stage)
    parts = sampled_parts(plan, stage)
    before = None
    if dac.bits:
        into = dac.cell(f"dac_{stage.name}")
        each = tuple(Instance(f"dac{i}", into, (f"x{i}", f"q{i}")) for i in range(stage.inputs))
        ports = tuple(f"{net}{i}" for net in "xq" for i in range(stage.inputs))
        before = Cell(f"before_{stage.name}", ports, each, note=f"the converters of {stage.inputs} inputs")
    inner = [[f"p{k}_{net}" for net in part.cell.ports] for k, part in enumerate(parts)]
    ends = [nets[len(part.inputs) :] for nets, part in zip(inner, parts, strict=True)]
    begins = [nets[: len(part.inputs)] for nets, part in zip(inner, parts, strict=True)]
    placed = tuple(Instance(f"part{k}", part.cell, tuple(inner[k])) for k, part in enumerate(parts))
    ports = (*chain.from_iterable(begins), *chain.from_iterable(ends))
    arrays = Cell(f"arrays_{stage.name}", ports, placed, note=f"{len(parts)} circuits side by side")
    digital = plan.design.coupling.digital_sums and stage.kind == "array"
    behind = _behind(plan, stage, adc, parts) if digital or adc.bits else None
    return Pieces(before, arrays, behind, parts)


def _behind(plan: Plan, stage: Stage, adc: Converter, of: Sequence[Part]) -> Cell:
    """What stands behind the readouts: converters and, where sums are digital, arithmetic."""
    digital = plan.design.coupling.digital_sums and stage.kind == "array"
    out = adc.cell(f"adc_{stage.name}") if adc.bits else None
    parts: list[Instance | Crossbar] = []
    for number, part in enumerate(of):
        for j in part.outputs:
            net = f"p{number}_y{j}"
            if out is not None:
                made = f"p{number}_d{j}" if digital else f"y{j}"
                parts.append(Instance(f"adc{number}_{j}", out, (net, made)))
                net = made
            if digital:
                # One siemens of each tile's value into one ohm: their sum.
                parts.append(Instance(f"add{number}_{j}", Vccs(1.0), ("0", f"sum{j}", net, "0")))
    if digital:
        shape = digital_activation(stage).cell(f"digital_{stage.name}")
        for j, bias in enumerate(digital_bias(plan, stage)):
            parts.append(Instance(f"one{j}", Resistor(1.0), (f"sum{j}", "0")))
            parts.append(Instance(f"bias{j}", CurrentSource(float(bias)), ("0", f"sum{j}")))
            parts.append(Instance(f"act{j}", shape, (f"sum{j}", f"y{j}")))
    ports = (
        *(f"p{k}_y{j}" for k, part in enumerate(of) for j in part.outputs),
        *(f"y{j}" for j in range(stage.outputs)),
    )
    return Cell(f"behind_{stage.name}", ports, tuple(parts), note="what follows the readouts")


def sampled_cell(plan: Plan, stage: Stage, pieces: Pieces | None = None) -> Cell:
    """A whole stage of a sampled chip at one position, converters included; ports x0.. and y0..

    Args:
        plan: the chip's plan.
        stage: one of its stages.
        pieces: what it consists of, made if not given.
    """
    made = pieces or sampled_pieces(plan, stage)
    given = "q" if made.before else "x"
    xs, ys = tuple(f"x{i}" for i in range(stage.inputs)), tuple(f"y{j}" for j in range(stage.outputs))
    between = made.arrays.ports[len(made.feeds) :] if made.behind else tuple(f"y{j}" for j in made.makes)
    parts = [Instance("arrays", made.arrays, (*(f"{given}{i}" for i in made.feeds), *between))]
    if made.before:
        parts.insert(0, Instance("before", made.before, (*xs, *(f"{given}{i}" for i in range(stage.inputs)))))
    if made.behind:
        parts.append(Instance("behind", made.behind, (*between, *ys)))
    return Cell(f"stage_{stage.name}", (*xs, *ys), tuple(parts), note=f"one position of {stage.positions}")
