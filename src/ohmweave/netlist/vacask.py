"""The VACASK dialect."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ohmweave.circuit import (
    Behavioural,
    Cell,
    CurrentSource,
    Diode,
    Instance,
    Law,
    Primitive,
    Resistor,
    Vccs,
    Vcvs,
    VoltageSource,
)
from ohmweave.netlist.dialect import number, one_line
from ohmweave.netlist.formula import FUNCTIONS, Words, broken, parameters, translate
from ohmweave.netlist.ngspice import wrap

__all__ = ["Vacask"]

_GOES_ON = (" \\", "  ")
_LAWS = "ohmweave_laws.va"
# A number there, whatever its place.
_RESERVED = frozenset({"inf", "nan"})
_MODELS = (
    'load "resistor.osdi"',
    "model ow_resistor resistor",
    "model ow_vsource vsource",
    "model ow_isource isource",
    "model ow_vcvs vcvs",
    "model ow_vccs vccs",
)
# k/q of the SI of 2019. pnjlim is SPICE's own way of keeping Newton's steps out of the exponential's overflow.
_DIODE = """module ow_diode(a, c);
  inout a, c;
  electrical a, c;
  parameter real is = 1e-14 from (0:inf);
  parameter real n = 1.0 from (0:inf);
  real vt, v;
  analog begin
    vt = n * 8.617333262145179e-05 * $temperature;
    v = $limit(V(a, c), "pnjlim", vt, vt * ln(vt / (sqrt(2.0) * is)));
    I(a, c) <+ is * (exp(v / vt) - 1.0);
  end
endmodule"""


@dataclass(frozen=True)
class Vacask:
    r"""Statements as VACASK reads them (its demo/, test/ and netlist grammar; release 0.3).

    Instances look like Spectre's. There is no behavioural source: each formula becomes a Verilog-A module, all of
    them in one file that stands in the netlist itself and that VACASK has compiled by openvaf-r when it reads it.
    """

    name: str = "vacask"
    suffix: str = ".sim"

    def preamble(self, cells: Iterable[Cell]) -> tuple[str, ...]:
        """The models of plain elements, and the Verilog-A of the cells' formulae and diodes.

        Raises:
            ValueError: a net that VACASK would read as a number, a formula with a function that Verilog-A has not.
        """
        modules: dict[str, str] = {}
        for cell in cells:
            for part in _instances(cell):
                for net in (*cell.ports, *part.nets):
                    if net in _RESERVED:
                        raise ValueError(f"cell {cell.name}: {net!r} is a number to VACASK; give another name")
                if isinstance(part.of, Behavioural):
                    name, formula = _module(part.of.law)
                    modules[name] = _verilog(name, formula, parameters(part.of.law.expression("v(cp,cn)")))
                elif isinstance(part.of, Diode):
                    modules["ow_diode"] = _DIODE
        if not modules:
            return _MODELS
        text = "\n\n".join(('`include "disciplines.vams"', *modules.values()))
        models = tuple(f"model {name} {name}" for name in modules if name != "ow_diode")
        return (*_MODELS, f'embed "{_LAWS}" <<<LAWS', text, ">>>LAWS", f'load "{_LAWS}"', *models)

    def comment(self, text: str) -> str:
        """``// text``."""
        return f"// {one_line(text)}".rstrip()

    def open_cell(self, name: str, ports: tuple[str, ...], params: Mapping[str, float]) -> str:
        """``subckt name(ports)``, and ``parameters name=default`` below it."""
        head = wrap((f"subckt {name}(", *ports, ")"), *_GOES_ON)
        defaults = (f"{key}={number(value)}" for key, value in params.items())
        return "\n".join([head, wrap(("parameters", *defaults), *_GOES_ON)] if params else [head])

    def close_cell(self, name: str) -> str:
        """``ends``, behind which no name may stand."""
        return f"ends // {name}"

    def model(self, name: str, diode: Diode) -> str:
        """``model name ow_diode is= n=``."""
        return f"model {name} ow_diode is={number(diode.saturation_current)} n={number(diode.emission)}"

    def resistor(self, name: str, nets: tuple[str, ...], ohms: str) -> str:
        """``rNAME (p n) ow_resistor r=ohms``."""
        return f"r{name} ({nets[0]} {nets[1]}) ow_resistor r={ohms}"

    def call(self, name: str, nets: tuple[str, ...], cell: str, params: Mapping[str, str]) -> str:
        """``xNAME (nets) cell parameter=value``."""
        values = (f"{key}={value}" for key, value in params.items())
        return wrap((f"x{name} (", *nets, ")", cell, *values), *_GOES_ON)

    def element(self, name: str, primitive: Primitive, nets: tuple[str, ...], model: str = "") -> str:
        """One instance of the primitive's own kind.

        Raises:
            ValueError: a resistor of 0 ohm or less, a formula with a function that Verilog-A does not have.
        """
        pair, four = f"({nets[0]} {nets[1]})", f"({' '.join(nets)})"
        match primitive:
            case Resistor(ohms):
                if not ohms > 0.0:
                    raise ValueError(f"resistor {name}: expected more than 0 ohm, found {ohms}")
                return self.resistor(name, nets, number(ohms))
            case VoltageSource(volts):
                return f"v{name} {pair} ow_vsource dc={number(volts)}"
            case CurrentSource(amps):
                return f"i{name} {pair} ow_isource dc={number(amps)}"
            case Vcvs(gain):
                return f"e{name} {four} ow_vcvs gain={number(gain)}"
            case Vccs(siemens):
                return f"g{name} {four} ow_vccs gain={number(siemens)}"
            case Behavioural(law):
                given = (f"{key}={key}" for key in parameters(law.expression("v(cp,cn)")))
                return " ".join((f"b{name}", four, _module(law)[0], *given))
            case Diode():
                return f"d{name} {pair} {model}"


def _instances(cell: Cell) -> Iterator[Instance]:
    return (part for part in cell.parts if isinstance(part, Instance))


def _real(text: str) -> str:
    # Verilog-A divides whole numbers into whole numbers.
    return text if "." in text or "e" in text else f"{text}.0"


_WORDS = Words("vacask", FUNCTIONS, _real, lambda _: "V(cp, cn)")


def _module(law: Law) -> tuple[str, str]:
    """Name, by its content, and formula of a law's module."""
    formula = translate(law.expression("v(cp,cn)"), _WORDS)
    return f"law_{hashlib.sha256(formula.encode()).hexdigest()[:12]}", formula


def _verilog(name: str, formula: str, given: tuple[str, ...]) -> str:
    lines = [f"module {name}(p, n, cp, cn);", "  inout p, n, cp, cn;", "  electrical p, n, cp, cn;"]
    lines += [f'  (* type="instance" *) parameter real {key} = 1.0;' for key in given]
    return "\n".join([*lines, broken(f"  analog I(p, n) <+ {formula};", ""), "endmodule"])
