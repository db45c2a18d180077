"""Arrays of nonlinear devices as the kernels take them: every crossing repeated over the lanes of some samples."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmweave.circuit import Bent, Crossbar, DeviceLaw
from ohmweave.simulate.drops import LANES, Wires
from ohmweave.units import Array

__all__ = ["CurvedArray", "Ends", "constants"]


@dataclass(frozen=True, eq=False)
class CurvedArray:
    """An array of nonlinear devices with its wires.

    Args:
        wires: their layout and resistances.
        g: conductance parameters, shape [m, n], S; nan where there is no device.
        unbent: the current of a device whose voltage scale is 1; monotone.
        bend: voltage scales of the devices (:class:`ohmweave.circuit.Bent`), shape [m, n]; nan where there is no
            device, ``None`` where all are 1.

    Raises:
        ValueError: g or bend of another shape than the wires ask for, or a bend that is not positive and finite.
    """

    wires: Wires
    g: Array
    unbent: DeviceLaw
    bend: Array | None = None

    def __post_init__(self) -> None:
        for name, values in (("g", self.g), ("bend", self.bend)):
            if values is not None and values.shape != (self.wires.m, self.wires.n):
                raise ValueError(f"{name} has shape {values.shape}, the wires ask for {(self.wires.m, self.wires.n)}")
        if self.bend is not None and not (np.isnan(self.g) | ((self.bend > 0.0) & np.isfinite(self.bend))).all():
            raise ValueError("expected a positive finite bend wherever there is a device")

    @staticmethod
    def of(crossbar: Crossbar) -> "CurvedArray":
        """The array that a crossbar is.

        Raises:
            ValueError: its device has no current law.
        """
        law = None if crossbar.device is None else crossbar.device.law
        if law is None:
            raise ValueError(f"crossbar {crossbar.name}: expected a device with a current law")
        (m, n), far_rows, far_cols = crossbar.g.shape, bool(crossbar.far_rows), bool(crossbar.far_cols)
        wires = Wires(m, n, crossbar.r_row, crossbar.r_col, far_rows, far_cols)
        return CurvedArray(wires, crossbar.g, law, crossbar.bend)

    @cached_property
    def law(self) -> DeviceLaw:
        """The law of all devices together, for voltages and conductances of shape [..., m, n]."""
        return self.unbent if self.bend is None else Bent(self.unbent, self.bend)

    def amps_of_lanes(self, v: Array, places: slice) -> Array:
        """Currents at voltages of some of the flat places of :attr:`_g_lanes`, A."""
        g, bend = self._g_lanes, self._bend_lanes
        law = self.unbent if bend is None else Bent(self.unbent, bend[places])
        return np.ascontiguousarray(law.current(v, g[places]), dtype=np.float64)

    def slopes_of_lanes(self, v: Array, places: slice) -> Array:
        """Slopes there, S, in float32 where that can hold them: they only serve to find a step."""
        short: Any = v.astype(np.float32)
        slopes = self._slopes(short, places, *self._short_lanes)
        return slopes if np.isfinite(slopes).all() else self._slopes(v, places, self._g_lanes, self._bend_lanes)

    def _slopes(self, v: Array, places: slice, g: Array, bend: Array | None) -> Array:
        law = self.unbent if bend is None else Bent(self.unbent, bend[places])
        return law.slope(v, g[places])

    @cached_property
    def absent(self) -> NDArray[np.int64]:
        """Flat indices of the crossings without a device."""
        return np.flatnonzero(np.isnan(self.g))

    def absent_in(self, rows: slice) -> NDArray[np.int64]:
        """Those in some rows, counted from the first of them."""
        first, end = np.searchsorted(self.absent, [rows.start * self.wires.n, rows.stop * self.wires.n])
        return np.asarray(self.absent[first:end] - rows.start * self.wires.n)

    @cached_property
    def _g_lanes(self) -> Array:
        """Parameters repeated over the lanes, flat; an ordinary value stands where there is no device."""
        ordinary = np.nanmin(self.g) if len(self.absent) < self.g.size else 1.0
        return np.repeat(np.where(np.isnan(self.g), ordinary, self.g), LANES)

    @cached_property
    def _bend_lanes(self) -> Array | None:
        if self.bend is None:
            return None
        return np.repeat(np.where(np.isnan(self.g), 1.0, self.bend), LANES)

    @cached_property
    def _short_lanes(self) -> Any:
        """Parameters and bends of the lanes in float32."""
        bend = self._bend_lanes
        return self._g_lanes.astype(np.float32), None if bend is None else bend.astype(np.float32)


def constants(wires: Wires) -> tuple[Array, NDArray[np.bool_]]:
    """Resistances and both-ends flags as the kernels take them."""
    return np.array([wires.r_row, wires.r_col]), np.array([wires.rows_both_ends, wires.cols_both_ends])


@dataclass(frozen=True, eq=False)
class Ends:
    """Port voltages as the kernels take them: ``rows`` [groups, 2, m, LANES], ``cols`` [groups, 2, n LANES], V."""

    rows: Array
    cols: Array

    @staticmethod
    def of(wires: Wires, v_ports: Array) -> "Ends":
        """Of the ports' voltages, shape [samples, ports], V."""
        samples, m, n = len(v_ports), wires.m, wires.n
        # The last group is filled up with its last sample: lanes cost the same, full or not.
        places = np.minimum(np.arange(-(-samples // LANES) * LANES), samples - 1)
        # Currents do not know what all ports have in common, and rounding should not either.
        level = v_ports[places] - v_ports[places, m : m + 1]
        by_port = np.moveaxis(level.reshape(-1, LANES, wires.ports), 1, 2)
        near_rows, near_cols = by_port[:, :m], by_port[:, m : m + n]
        far_rows, far_cols = near_rows, near_cols
        if wires.rows_both_ends:
            far_rows = by_port[:, m + n : 2 * m + n]
        if wires.cols_both_ends:
            far_cols = by_port[:, -n:]
        rows = np.stack([near_rows, (far_rows - near_rows) / (n + 1)], axis=1)
        cols = np.stack([far_cols, (near_cols - far_cols) / (m + 1)], axis=1)
        return Ends(np.ascontiguousarray(rows), np.ascontiguousarray(cols).reshape(len(rows), 2, n * LANES))
