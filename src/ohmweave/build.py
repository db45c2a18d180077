"""From a plan to the circuit: one hierarchical cell for the whole network."""

from ohmweave.blocks import inverter
from ohmweave.circuit import Cell, Crossbar, Instance, VoltageSource
from ohmweave.design import ArrayChoice
from ohmweave.mapping import Plan, Stage, Tile

__all__ = ["build", "input_nets", "layer_names", "output_nets", "row_nets"]

_INVERTER_OHM = 10e3


def build(plan: Plan) -> Cell:
    """The chip: ports x0.. (inputs) and the last stage's outputs, everything between in one circuit.

    The first stage's rows and all bias rows are fed by drivers, later rows by the outputs of the stage
    before and, where the scheme wants both polarities, by inverters. Each stage is one cell.
    """
    opamp = plan.design.opamp.cell("opamp")
    driver = plan.design.driver.cell("driver", plan.design.scheme.lines_per_input)
    flip = inverter("inverter", opamp, _INVERTER_OHM)
    parts: list[Instance | Crossbar] = [
        Instance("bias", VoltageSource(plan.design.signal.v_read), ("bias", "0")),
    ]
    for index, stage in enumerate(plan.stages):
        parts += _feeds(plan, index, driver, flip)
        nets = (*row_nets(plan, index), *output_nets(stage))
        parts.append(Instance(stage.name, _stage_cell(plan, stage, opamp), nets))
    ports = (*input_nets(plan), *output_nets(plan.stages[-1]))
    note = f"the whole network: {len(plan.stages)} stages, {plan.devices} memristors"
    return Cell("chip", ports, tuple(parts), note=note)


def input_nets(plan: Plan) -> tuple[str, ...]:
    """The chip's input ports, one a feature."""
    return tuple(f"x{i}" for i in range(plan.stages[0].inputs))


def output_nets(stage: Stage) -> tuple[str, ...]:
    """The chip's nets that carry a stage's outputs."""
    return tuple(f"{stage.name}_y{j}" for j in range(stage.outputs))


def row_nets(plan: Plan, index: int) -> tuple[str, ...]:
    """The chip's nets that feed a stage's physical rows, in their order."""
    stage, pair = plan.stages[index], plan.design.scheme.lines_per_input == 2
    nets: list[str] = []
    for i in range(stage.inputs + stage.bias_rows):
        driven = index == 0 or i >= stage.inputs
        nets.append(f"{stage.name}_p{i}" if driven else output_nets(plan.stages[index - 1])[i])
        if pair:
            nets.append(f"{stage.name}_n{i}")
    return tuple(nets)


def layer_names(plan: Plan) -> dict[str, str]:
    """Safe name of each stage -> the user's names of the layers it realises."""
    return {stage.name: ", ".join(stage.layers) for stage in plan.stages}


def _feeds(plan: Plan, index: int, driver: Cell, flip: Cell) -> list[Instance]:
    stage, lines = plan.stages[index], plan.design.scheme.lines_per_input
    nets = row_nets(plan, index)
    before = input_nets(plan) if index == 0 else output_nets(plan.stages[index - 1])
    feeds = []
    for i in range(stage.inputs + stage.bias_rows):
        rows = nets[i * lines : (i + 1) * lines]
        if i >= stage.inputs:
            feeds.append(Instance(f"{stage.name}_drv{i}", driver, ("bias", *rows)))
        elif index == 0:
            feeds.append(Instance(f"{stage.name}_drv{i}", driver, (before[i], *rows)))
        elif lines == 2:
            feeds.append(Instance(f"{stage.name}_inv{i}", flip, (before[i], rows[1])))
    return feeds


def _array(tile: Tile, choice: ArrayChoice, device: Cell | None) -> Crossbar:
    """One tile; far ends are strapped to the near ones, where the wires have any."""
    rows = tuple(f"r{i}" for i in range(tile.rows.start, tile.rows.stop))
    cols = tuple(f"c{j}" for j in range(tile.cols.start, tile.cols.stop))
    note = f"rows {tile.rows.start}..{tile.rows.stop - 1}, columns {tile.cols.start}..{tile.cols.stop - 1}"
    far_rows = rows if choice.drive == "both" and choice.r_row > 0 else ()
    far_cols = cols if choice.ground == "both" and choice.r_col > 0 else ()
    return Crossbar(tile.name, rows, cols, device, tile.g, choice.r_row, choice.r_col, note, far_rows, far_cols)


def _stage_cell(plan: Plan, stage: Stage, opamp: Cell) -> Cell:
    """Arrays, readouts and activations of one stage; ports r0.. (physical rows) and y0.. (outputs)."""
    design, activation, readout = plan.design, plan.activation(stage), plan.readout
    device = design.device.cell()
    parts: list[Instance | Crossbar] = [_array(tile, design.array, device) for tile in stage.tiles]
    last = opamp if activation.floor is None else design.opamp.cell("opamp_floor", activation.floor)
    column = readout.cell(f"readout_{stage.name}", (opamp, last), stage.r_feedback, stage.r_mixing)
    shape = activation.cell(f"activation_{stage.name}", opamp, stage.s_pre, stage.s_out)
    for j in range(stage.outputs):
        lines = tuple(f"c{j * readout.lines + p}" for p in range(readout.lines))
        parts.append(Instance(f"ro{j}", column, (*lines, f"y{j}" if shape is None else f"a{j}")))
        if shape is not None:
            parts.append(Instance(f"act{j}", shape, (f"a{j}", f"y{j}")))
    lines_in = (stage.inputs + stage.bias_rows) * design.scheme.lines_per_input
    ports = (*(f"r{i}" for i in range(lines_in)), *(f"y{j}" for j in range(stage.outputs)))
    return Cell(
        f"stage_{stage.name}",
        ports,
        tuple(parts),
        note=f"{stage.inputs} inputs, {stage.bias_rows} bias rows, {stage.outputs} outputs",
    )
