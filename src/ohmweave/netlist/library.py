"""A cell and everything below it as a library of subcircuits."""

import hashlib
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from ohmweave.circuit import Cell, Crossbar, Diode, Foreign, Instance, Library, Mosfet, MosfetModel
from ohmweave.errors import NetlistError
from ohmweave.netlist.arrays import array_text
from ohmweave.netlist.dialect import Dialect, number
from ohmweave.netlist.held import held
from ohmweave.netlist.verilog import with_instance_parameter

__all__ = ["block", "bring", "foreign_parts", "write", "written_cells"]

_NET = re.compile(r"0|(?!(?:gnd|ground)$)[a-z][a-z0-9_]*")
_PORTS = {"Vcvs": 4, "Vccs": 4, "Behavioural": 4, "Surface": 6, "Mosfet": 4}


def write(cell: Cell, dialect: Dialect, stream: TextIO, *, names: Mapping[str, str] | None = None) -> int:
    """Write a cell with all its subcells, innermost first, itself last.

    Every crossbar becomes a subcircuit of its own, ports ``r0..``, ``c0..`` and, where its wires have far
    ends, ``fr0..`` and ``fc0..``, just before the cell that uses it. The text depends on nothing but the
    arguments: the same circuit gives the same bytes.

    Args:
        cell: the top cell; its ports are those of the last subcircuit.
        dialect: whose words to use.
        stream: text file; written as it is made, so memory does not grow with the circuit.
        names: safe name -> the user's own name (any text), listed in the header.

    Returns:
        The number of memristors written.

    Raises:
        ValueError: a circuit that cannot be written as it stands: two different cells of one name, an
            unsafe net, a wrong number of nets, a value that is not finite.
        NetlistError: a model file that defines a subcircuit or a parameter of a name that the circuit has too, or
            another's model, function or parameter otherwise.
    """
    cells = written_cells(cell, dialect)
    taken = {each.name for each in cells}
    foreign = foreign_parts(cell)
    _check_names(taken, foreign)
    _check_shared({name for each in cells for name in each.params}, foreign)
    put = _Lines(stream)
    put(dialect.comment(f"ohmweave netlist of {cell.name} for {dialect.name}: {len(cells)} cells, {cell.name} last"))
    put(dialect.comment("SI units; net 0 is ground; include this file and place the last cell"))
    for safe, text in (names or {}).items():
        put(dialect.comment(f"name {safe} = {text}"))
    for still in _held_models(foreign):
        put(dialect.comment(f"states of {still} stand still in the copy of its files, for DC reads"))
    for line in dialect.preamble(cells):
        put(line)
    for path, section in dict.fromkeys(entry for part in foreign for entry in part.library.entries):
        put(dialect.include(path, section))
    for model in _transistor_models(cells):
        put(dialect.transistors(model))
    written = 0
    for each in cells:
        arrays = _array_names(each, taken)
        for crossbar in (part for part in each.parts if isinstance(part, Crossbar)):
            written += _write_array(crossbar, arrays[crossbar.name], each.name, dialect, stream)
        written += _write_cell(each, arrays, dialect, put)
    return written


def bring(cell: Cell, folder: Path) -> tuple[Path, ...]:
    """Copy the model files that a cell's netlist includes to where they stand beside it, below ``folder``.

    DC points are all that is asked of them, so states stand still in the copies (:mod:`ohmweave.netlist.held`); a
    Verilog-A model's parameter becomes one of each instance.

    Returns:
        The files written.
    """
    texts: dict[str, str] = {}
    for part in foreign_parts(cell):
        for path, text in part.library.files:
            known = texts.get(path, text)
            texts[path] = _copied(known, part)
    paths = []
    for path, text in texts.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="latin-1", newline="\n")
        paths.append(target)
    return tuple(paths)


def _copied(text: str, part: Foreign) -> str:
    """A model file's text as netlists use it."""
    if part.compiled:
        return with_instance_parameter(text, part.settings[0][0])
    if not part.settings:
        # What nothing programs has no state to hold.
        return text
    return held(text, part.model, part.library.ports)


def _held_models(foreign: Iterable[Foreign]) -> tuple[str, ...]:
    """Names of the models in whose copies states stand still."""
    spice = (part for part in foreign if not part.compiled)
    held_ones = (part for part in spice if any(_copied(text, part) != text for _, text in part.library.files))
    return tuple(dict.fromkeys(part.model for part in held_ones))


def foreign_parts(cell: Cell) -> tuple[Foreign, ...]:
    """Every different part below a cell that a model file of the user's defines."""
    cells = (*cell.subcells(), cell)
    parts = (part.of for each in cells for part in each.parts if isinstance(part, Instance))
    return tuple(dict.fromkeys(part for part in parts if isinstance(part, Foreign)))


def _check_names(taken: Iterable[str], foreign: tuple[Foreign, ...]) -> None:
    ours = set(taken)
    owners: dict[str, Library] = {}
    for part in foreign:
        for name in part.library.cells:
            if owners.setdefault(name, part.library) != part.library:
                raise NetlistError(
                    f"expected names unlike those of the other models' files, found .subckt {name} in both",
                    where=part.library.entries[-1][0],
                    remedy="rename it",
                )
            if name in ours:
                raise NetlistError(
                    f"expected names unlike those of the chip's own cells, found .subckt {name}",
                    where=part.library.entries[-1][0],
                    remedy="rename it",
                )


def _check_shared(parameters: set[str], foreign: tuple[Foreign, ...]) -> None:
    """What model files define for the whole netlist is nothing of our cells', and the same in all of them."""
    owners: dict[str, list[str]] = {}
    for library in dict.fromkeys(part.library for part in foreign):
        texts: dict[str, list[str]] = {}
        for name, text, _ in library.shared:
            texts.setdefault(name, []).append(text)
        for name, _, place in library.shared:
            # A global parameter goes before a cell's own in HSPICE.
            if name.startswith(".param ") and name.split()[1] in parameters:
                raise NetlistError(
                    f"expected names unlike those of the chip's own cells, found {name}",
                    where=place,
                    remedy="rename it",
                )
            if owners.setdefault(name, texts[name]) != texts[name]:
                raise NetlistError(
                    f"expected the same {name} as in the other models' files, found another",
                    where=place,
                    remedy="rename it, or move it into the model's .subckt",
                )


def block(cell: Cell, dialect: Dialect) -> str:
    """The lines that :func:`write` gives a cell without arrays of its own; of the cells below it only their calls.

    Raises:
        ValueError: a cell with arrays, whose subcircuits have names that depend on all others.
    """
    if any(isinstance(part, Crossbar) for part in cell.parts):
        raise ValueError(f"cell {cell.name} has arrays of its own")
    stream = io.StringIO()
    _write_cell(cell, {}, dialect, _Lines(stream))
    return stream.getvalue()


def written_cells(cell: Cell, dialect: Dialect) -> tuple[Cell, ...]:
    """The cell and all below it, once by name, innermost first.

    Raises:
        ValueError: two cells of one name with different content, or a part that does not fit its cell.
    """
    digests: dict[int, str] = {}
    order: dict[str, tuple[str, Cell]] = {}

    def visit(each: Cell) -> str:
        if id(each) not in digests:
            below = [visit(c) if (c := _child(part)) is not None else "" for part in each.parts]
            digest = _digest(each, below, dialect)
            digests[id(each)] = digest
            if order.setdefault(each.name, (digest, each))[0] != digest:
                raise ValueError(f"two different cells are called {each.name!r}")
        return digests[id(each)]

    visit(cell)
    return tuple(each for _, each in order.values())


def _transistor_models(cells: Iterable[Cell]) -> tuple[MosfetModel, ...]:
    """The model cards of all transistors, once by name."""
    parts = (part.of for cell in cells for part in cell.parts if isinstance(part, Instance))
    models: dict[str, MosfetModel] = {}
    for part in parts:
        if isinstance(part, Mosfet) and models.setdefault(part.model.name, part.model) != part.model:
            raise ValueError(f"two different models are called {part.model.name!r}")
    return tuple(models.values())


def _child(part: Instance | Crossbar) -> Cell | None:
    child = part.device if isinstance(part, Crossbar) else part.of
    return child if isinstance(child, Cell) else None


def _digest(cell: Cell, below: Iterable[str], dialect: Dialect) -> str:
    _check_nets(cell.name, cell.ports)
    state = hashlib.sha256(repr((cell.name, cell.ports, sorted(cell.params.items()))).encode())
    seen: set[str] = set()
    for part, digest in zip(cell.parts, below, strict=True):
        if part.name in seen:
            raise ValueError(f"cell {cell.name}: two parts are called {part.name!r}")
        seen.add(part.name)
        _check_part(cell, part)
        if isinstance(part, Crossbar):
            content: object = (part.ports, part.digest())
        elif isinstance(part.of, Cell):
            content = (part.nets, sorted(part.params.items()))
        else:
            beside = part.of.library.digest if isinstance(part.of, Foreign) else ""
            content = (
                part.of if isinstance(part.of, Diode) else beside,
                dialect.element(part.name, part.of, part.nets),
            )
        state.update(repr((part.name, digest, content)).encode())
    return state.hexdigest()


def _check_part(cell: Cell, part: Instance | Crossbar) -> None:
    where = f"{cell.name}.{part.name}"
    if isinstance(part, Crossbar):
        _check_nets(where, part.ports)
        expected, found = 2, 2 if part.device is None else len(part.device.ports)
    else:
        _check_nets(where, part.nets)
        if isinstance(part.of, Foreign):
            expected = len(part.of.library.ports)
        else:
            expected = len(part.of.ports) if isinstance(part.of, Cell) else _PORTS.get(type(part.of).__name__, 2)
        found = len(part.nets)
        unknown = set(part.params) - set(part.of.params if isinstance(part.of, Cell) else ())
        if unknown:
            raise ValueError(f"{where}: unknown parameters {sorted(unknown)}")
    if expected != found:
        raise ValueError(f"{where}: expected {expected} nets, found {found}")


def _check_nets(where: str, nets: tuple[str, ...]) -> None:
    for net in nets:
        if not _NET.fullmatch(net):
            raise ValueError(
                f"{where}: {net!r} is not a safe net name ([a-z][a-z0-9_]* or 0, and neither gnd nor ground)"
            )


def _array_names(cell: Cell, taken: set[str]) -> dict[str, str]:
    """A subcircuit name for each crossbar of the cell, unlike every name taken so far."""
    names: dict[str, str] = {}
    for part in cell.parts:
        if isinstance(part, Crossbar):
            name = f"{cell.name}_{part.name}"
            while name in taken:
                name += "_"
            taken.add(name)
            names[part.name] = name
    return names


def _write_array(crossbar: Crossbar, name: str, owner: str, dialect: Dialect, stream: TextIO) -> int:
    m, n = crossbar.g.shape
    put = _Lines(stream)
    put("")
    put(dialect.comment(f"{m} x {n} crossbar {crossbar.name} of {owner}, {crossbar.devices} devices"))
    if crossbar.note:
        put(dialect.comment(crossbar.note))
    put(dialect.open_cell(name, crossbar.port_names, {}))
    stream.writelines(array_text(crossbar, dialect))
    put(dialect.close_cell(name))
    return crossbar.devices


def _write_cell(cell: Cell, arrays: Mapping[str, str], dialect: Dialect, put: "_Lines") -> int:
    put("")
    if cell.note:
        put(dialect.comment(cell.note))
    put(dialect.open_cell(cell.name, cell.ports, cell.params))
    diodes = dict.fromkeys(p.of for p in cell.parts if isinstance(p, Instance) and isinstance(p.of, Diode))
    models = {diode: f"diode{k}" for k, diode in enumerate(diodes)}
    for diode, model in models.items():
        put(dialect.model(model, diode))
    devices = 0
    for part in cell.parts:
        if isinstance(part, Crossbar):
            put(dialect.call(part.name, part.ports, arrays[part.name], {}))
        elif isinstance(part.of, Cell):
            following = part.of.following(part.params["g"]) if "g" in part.params else {}
            params = {key: number(value) for key, value in {**following, **part.params}.items()}
            put(dialect.call(part.name, part.nets, part.of.name, params))
            devices += part.of.law is not None
        else:
            model = models[part.of] if isinstance(part.of, Diode) else ""
            put(dialect.element(part.name, part.of, part.nets, model))
    put(dialect.close_cell(cell.name))
    return devices


@dataclass(frozen=True)
class _Lines:
    """Puts lines on a stream."""

    stream: TextIO

    def __call__(self, text: str) -> None:
        self.stream.write(text)
        self.stream.write("\n")
