"""From a network and a design to a plan: stages, tiles, target conductances, scales."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csc_matrix, vstack

from ohmweave.compensation import compensate
from ohmweave.design import Design
from ohmweave.devices import require_reach
from ohmweave.effects import bend, disturb
from ohmweave.errors import DesignError, ModelError
from ohmweave.floorplan import Plan, Stage, Tile, bound_activation, chance, readout_of
from ohmweave.graph import Graph
from ohmweave.layers import Layer, Lowered, lower
from ohmweave.placement import Spot, place
from ohmweave.scaling import row_scales, scales
from ohmweave.units import Array
from ohmweave.wiring import GROUND, stored

__all__ = ["Plan", "Stage", "Tile", "plan", "program", "tile_size"]

_MOST_BIAS_ROWS = 8
# Values of all layers that calibration keeps, 512 MiB of them, and rows' voltages held at a time.
_MOST_VALUES = 2**26
_MOST_ROW_VALUES = 2**20
# Voltages of rows whose sums are computed: sums vary from sample to sample less than it costs to see all.
_MOST_SUMS = 2**23


def plan(graph: Graph, design: Design, calibration: Array) -> Plan:
    """Map a network.

    Weights become conductances, g = G_off + k |w|, k = (1 - reserve) (G_on - G_off) / max|w|; scales come from the
    largest values seen on the calibration data; R_f = s_pre / (s_in k) sets the gain of each stage.

    Args:
        graph: the network.
        design: every choice of the chip.
        calibration: representative inputs in network units, [samples, ...]. Of more than fit into
            512 MiB, evenly spaced ones are taken.

    Raises:
        ModelError: an op or a shape of network that cannot be mapped, or a layer of zeros.
        DesignError: choices that do not go together.
        DataError: calibration data that does not fit or carries no signal.
    """
    design.check()
    lowered = lower(graph, unrolled=design.coupling.unrolled, fold=design.coupling.folds)
    work = _Mapping(graph, design, lowered, _values(graph, lowered, calibration))
    stages = tuple(work.stage(index) for index in range(len(lowered.layers)))
    return Plan(graph, design, stages, float(work.scales[0]))


def _values(graph: Graph, lowered: Lowered, calibration: Array) -> Array:
    """The network's own value of every signal, [samples, signals], network units."""
    count = lowered.layers[-1].signals[-1] + 1
    # What does not fit the network is told before it is thinned out.
    calibration = graph.fit(calibration)
    chosen = calibration[:: math.ceil(len(calibration) * count / _MOST_VALUES)]
    values = np.zeros((len(chosen), count))
    inputs = math.prod(graph.input_shape)
    values[:, 1 : 1 + inputs] = chosen.reshape(len(chosen), -1)
    for part, found in graph.trace_parts(chosen, [layer.nodes[-1] for layer in lowered.layers]):
        for layer in lowered.layers:
            values[part, layer.signals] = found[layer.nodes[-1]].reshape(len(values[part]), -1)
    return values


@dataclass(frozen=True)
class _Weights:
    """An array's weights in the units of its rows' voltages.

    Args:
        w: [inputs + bias rows, outputs]; every stored entry is a device.
        bias_rows: how many of the rows carry the bias voltage.
        s_in: V per unit that the weights are for.
        k: conductance per unit of weight, S.
    """

    w: csc_matrix
    bias_rows: int
    s_in: float
    k: float


class _Mapping:
    """Maps layer by layer, with the scales of all of them at hand."""

    def __init__(self, graph: Graph, design: Design, lowered: Lowered, values: Array) -> None:
        self.graph, self.design, self.lowered, self.values = graph, design, lowered, values
        self.scales = scales(lowered, values, design)

    def stage(self, index: int) -> Stage:
        """Map one layer."""
        layer, name, s_out = self.lowered.layers[index], f"s{index}", float(self.scales[index + 1])
        if layer.kind == "array":
            return self._array(name, layer, s_out)
        rows = row_scales(self.lowered, layer, self.scales)
        s_in = float(np.prod(rows)) if layer.kind == "product" else float(rows[0])
        if layer.kind == "product":
            self._check_reach(layer, rows)
        return Stage(
            name, layer.nodes, layer.kind, layer.activation, layer.parameters, layer.source.shape[1], 0,
            layer.outputs, layer.positions, (), s_in, s_out, dac=self._dac(layer), adc=self._adc(layer, s_out),
        )  # fmt: skip

    def _check_reach(self, layer: Layer, rows: Array) -> None:
        """Refuse a multiplier whose factors leave its range on the calibration data."""
        reach = self.design.multiplier.reach
        found = max(float((np.abs(sample[layer.source]) * rows).sum(axis=1).max()) for sample in self.values)
        if found > reach:
            raise DesignError(
                f"expected factors of at most {reach:g} V together, found {found:g} V on the calibration data",
                where=f"layer {layer.nodes[0]!r}, multiplier",
                remedy="lower signal.v_read or raise multiplier.overdrive",
            )

    def _dac(self, layer: Layer) -> tuple[float, float]:
        return _coded(*self._bounds(layer), self.design.coupling.dac_bits)

    def _adc(self, layer: Layer, s_out: float) -> tuple[float, float]:
        low, high = _extremes(self.values[:, layer.signals] * s_out)
        return _coded(low, high, self.design.coupling.adc_bits)

    def _bounds(self, layer: Layer) -> tuple[float, float]:
        """Lowest and highest voltage on calibration of what drives a layer, V; the lowest at most 0."""
        signals = np.setdiff1d(layer.source, [GROUND])
        seen = self.values[:, signals] * self.scales[self.lowered.owners(signals)]
        low, high = _extremes(seen)
        # What is silent on calibration gets the range of what is not.
        return (low, high) if high > low else (0.0, self.design.signal.v_read)

    def _array(self, name: str, layer: Layer, s_out: float) -> Stage:
        design = self.design
        activation = bound_activation(design, layer.activation, layer.parameters)
        weights = self._weights(layer, inverting=activation.inverting and not design.coupling.digital_sums)
        tiles = self._tiles(name, layer, weights)
        sums = self._sums(layer, weights, tiles)
        swing = design.signal.headroom * min(design.opamp.v_high, -design.opamp.v_low)
        if design.coupling.digital_sums:
            # Sums that are silent on calibration get room for the largest weight at one unit.
            s_pre = swing / (sums.part or float(np.abs(weights.w.data).max()))
            adc = _coded(-swing, swing, design.coupling.adc_bits)
        else:
            s_pre = activation.input_scale(sums.whole, s_out, swing)
            adc = self._adc(layer, s_out)
        r_feedback = s_pre / (weights.s_in * weights.k)
        return Stage(
            name, layer.nodes, layer.kind, layer.activation, layer.parameters, layer.source.shape[1],
            weights.bias_rows, layer.outputs, layer.positions, tiles, weights.s_in, s_out, weights.k, s_pre, r_feedback,
            readout_of(design).mixing_resistor(r_feedback, sums.amps, swing), self._dac(layer), adc,
        )  # fmt: skip

    def _weights(self, layer: Layer, *, inverting: bool) -> _Weights:
        """The weights with the bias as extra rows.

        A bias row carries v_bias where a unit carries s_in, so its weight is b s_in / v_bias. Biases
        larger than the weights are spread over several rows rather than squeeze the weights' range. Digital
        sums have theirs added in numbers.
        """
        where, rows = f"layer {layer.nodes[0]!r}", row_scales(self.lowered, layer, self.scales)
        s_in = float(rows[0])
        w = layer.sums.weights.copy()
        w.data = w.data * (s_in / rows)[w.indices]
        if not np.any(w.data):
            raise ModelError(
                f"every weight of the {w.shape[0]} x {w.shape[1]} matrix is zero, nothing can be mapped",
                where=where,
                remedy="remove the layer or train it",
            )
        b = layer.sums.bias * s_in / self.design.signal.v_read
        bias_rows = 0
        if np.any(b) and not self.design.coupling.digital_sums:
            bias_rows = min(_MOST_BIAS_ROWS, max(1, math.ceil(np.abs(b).max() / np.abs(w.data).max())))
            w = vstack([w, stored(np.tile(b / bias_rows, (bias_rows, 1)))], format="csc")
        if inverting:
            w.data = -w.data
        g_off, g_on = self.design.device.g_range
        largest = float(np.abs(w.data).max())
        k = (g_on - g_off) * (1.0 - self.design.array.reserve) / largest
        if not math.isfinite(k):
            raise ModelError(
                f"the largest weight is {largest:g}, too small to map", where=where, remedy="scale the layer up"
            )
        return _Weights(w, bias_rows, s_in, k)

    def _tiles(self, name: str, layer: Layer, weights: _Weights) -> tuple[Tile, ...]:
        design, w = self.design, weights.w
        height, width = tile_size(design)
        shape = self.graph.shapes[layer.nodes[-1]]
        # The outputs of an unrolled picture have neighbours.
        picture = shape if layer.positions == 1 and len(shape) == 3 and shape[1] * shape[2] > 1 else None
        spots = place(w, height, width, picture)
        return program(name, spots, w, weights.k, design)

    def _sums(self, layer: Layer, weights: _Weights, tiles: Sequence[Tile]) -> "_Sums":
        """Largest sums and currents over the calibration samples."""
        scheme, digital = self.design.scheme, self.design.coupling.digital_sums
        targets = [np.nan_to_num(tile.target) for tile in tiles]
        part = whole = amps = 0.0
        for driven in self._driven(layer, weights.bias_rows):
            first_lines, sums = np.zeros((2, len(driven), layer.outputs))
            for tile, target in zip(tiles, targets, strict=True):
                currents = driven[:, tile.rows] @ target
                found = scheme.decode(currents, weights.k) / weights.s_in
                lines = currents[:, :: scheme.lines_per_output]
                outputs = tile.cols[:: scheme.lines_per_output] // scheme.lines_per_output
                sums[:, outputs] += found
                first_lines[:, outputs] += lines
                part = max(part, _magnitude(found))
                amps = max(amps, _magnitude(lines)) if digital else amps
            whole = max(whole, _magnitude(sums))
            amps = amps if digital else max(amps, _magnitude(first_lines))
        return _Sums(part, whole, amps)

    def _driven(self, layer: Layer, bias_rows: int) -> Iterator[Array]:
        """Voltages of physical rows at some positions of the calibration samples, [<= some, rows], V."""
        lines, v_read = self.design.scheme.lines_per_input, self.design.signal.v_read
        used, source = np.unique(layer.source, return_inverse=True)
        samples = self.values[:: math.ceil(len(self.values) * source.size / _MOST_SUMS)]
        # Ground takes the scale of whatever, since its value is zero.
        compact = samples[:, used] * self.scales[self.lowered.owners(used)]
        signs = np.tile([1.0, -1.0][:lines], layer.source.shape[1] + bias_rows)
        step = max(1, _MOST_ROW_VALUES // source.size)
        for first in range(0, len(compact), step):
            rows = compact[first : first + step][:, source.reshape(layer.source.shape)].reshape(
                -1, layer.source.shape[1]
            )
            rows = np.hstack([rows, np.full((len(rows), bias_rows), v_read)]) if bias_rows else rows
            yield rows if lines == 1 else np.repeat(rows, lines, axis=1) * signs


@dataclass(frozen=True)
class _Sums:
    """Largest magnitudes on the calibration data.

    Args:
        part: of a tile's own weighted sum, network units.
        whole: of an output's whole sum before its activation, network units.
        amps: of the current of any first line of a readout, A.
    """

    part: float
    whole: float
    amps: float


def tile_size(design: Design) -> tuple[int, int]:
    """Signals and outputs that a tile can hold."""
    scheme, choice = design.scheme, design.array
    height, width = choice.rows // scheme.lines_per_input, choice.cols // scheme.lines_per_output
    if not height or not width:
        raise DesignError(
            f"expected tiles of at least {scheme.lines_per_input} x {scheme.lines_per_output} lines for this scheme, "
            f"found {choice.rows} x {choice.cols}",
            where="array",
            remedy="enlarge array.rows or array.cols",
        )
    return height, width


def _labels(spots: Sequence[Spot]) -> list[str]:
    """``t<i>_<j>``: the i-th tile of the j-th set of outputs."""
    sets: dict[bytes, list[int]] = {}
    labels = []
    for spot in spots:
        found = sets.setdefault(spot.cols.tobytes(), [len(sets), 0])
        labels.append(f"t{found[1]}_{found[0]}")
        found[1] += 1
    return labels


def program(name: str, spots: Sequence[Spot], w: csc_matrix, k: float, design: Design) -> tuple[Tile, ...]:
    """The tiles of one stage, programmed.

    Args:
        name: of the stage.
        spots: what lies on each tile.
        w: weights, [inputs, outputs]; every stored entry is a device.
        k: conductance per unit of weight, S.
        design: with the device, the scheme and what happens to programmed devices.
    """
    return tuple(
        _tile(label, spot, w, k, design, f"{name}.{label}") for label, spot in zip(_labels(spots), spots, strict=True)
    )


def _tile(label: str, spot: Spot, w: csc_matrix, k: float, design: Design, where: str) -> Tile:
    """The part of the weights that lies on one tile, programmed; its chance is that of the place ``where``."""
    scheme, g_range, rng = design.scheme, design.device.g_range, chance(design, where)
    entries = spot.entries
    columns = np.searchsorted(w.indptr, entries, side="right") - 1
    place = np.searchsorted(spot.rows, w.indices[entries]), np.searchsorted(spot.cols, columns)
    part = np.zeros((len(spot.rows), len(spot.cols)))
    there = np.zeros(part.shape, dtype=bool)
    part[place], there[place] = w.data[entries], True
    lines = scheme.lines_per_input, scheme.lines_per_output
    target = scheme.encode(part, g_range, k)
    target[~np.kron(there, np.ones(lines, dtype=bool))] = math.nan
    asked = compensate(target, design) if design.array.reserve else target
    g = design.device.program(asked, rng)
    g = disturb(design.effects, g, g_range, rng)
    require_reach(design.device, g, where)
    rows, cols = (
        (numbers[:, None] * count + np.arange(count)).ravel()
        for numbers, count in zip((spot.rows, spot.cols), lines, strict=True)
    )
    # A resistor has no curve to bend.
    linear = design.device.cell() is None
    return Tile(
        label, rows, cols, target, g, None if linear else bend(design.effects, g, chance(design, f"{where}.bend"))
    )


def _coded(low: float, high: float, bits: int) -> tuple[float, float]:
    """The narrowest range around low <= 0 <= high of which 0 V is a code."""
    codes = 2**bits - 1
    below = min(round(codes * -low / (high - low)), codes) if high > low else 0
    steps = [bound / count for bound, count in ((-low, below), (high, codes - below)) if count]
    step = max(steps, default=0.0)
    return -below * step, (codes - below) * step


def _extremes(values: Array) -> tuple[float, float]:
    """The lowest and the highest of some values and zero."""
    return float(values.min(initial=0.0)), float(values.max(initial=0.0))


def _magnitude(values: Array) -> float:
    return float(max(values.max(), -values.min()))
