"""The VACASK dialect."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ohmweave.circuit import (
    Behavioural,
    Capacitor,
    Cell,
    Clock,
    CurrentSource,
    Diode,
    Foreign,
    Instance,
    Mosfet,
    MosfetModel,
    Primitive,
    Resistor,
    Surface,
    Vccs,
    Vcvs,
    VoltageSource,
)
from ohmweave.errors import NetlistError
from ohmweave.netlist.dialect import number, one_line
from ohmweave.netlist.formula import FUNCTIONS, Words, broken, parameters, translate
from ohmweave.netlist.ngspice import expression, positive, wrap

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
_TRANSISTORS = ('load "spice/bsim4v8.osdi"',)
_BSIM4, _BSIM4_VERSION = (14, 54), 4.8
_CAPACITOR = ('load "capacitor.osdi"', "model ow_capacitor capacitor")
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
        """The models of plain elements and of users' modules, and the Verilog-A of the cells' formulae and diodes.

        Raises:
            ValueError: a net that VACASK would read as a number, a formula with a function that Verilog-A has not.
        """
        modules: dict[str, str] = {}
        parts: list[Instance] = []
        for cell in cells:
            for part in _instances(cell):
                parts.append(part)
                for net in (*cell.ports, *part.nets):
                    if net in _RESERVED:
                        raise ValueError(f"cell {cell.name}: {net!r} is a number to VACASK; give another name")
                if isinstance(part.of, Behavioural | Surface):
                    name, formula = _module(part.of)
                    modules[name] = _verilog(part.of, name, formula)
                elif isinstance(part.of, Diode):
                    modules["ow_diode"] = _DIODE
        users = dict.fromkeys(part.of.model for part in parts if isinstance(part.of, Foreign) and part.of.compiled)
        capacitor = _CAPACITOR if any(isinstance(part.of, Capacitor) for part in parts) else ()
        transistors = _TRANSISTORS if any(isinstance(part.of, Mosfet) for part in parts) else ()
        models = (*_MODELS, *capacitor, *transistors, *(f"model {name} {name}" for name in users))
        if not modules:
            return models
        text = "\n\n".join(('`include "disciplines.vams"', *modules.values()))
        laws = tuple(f"model {name} {name}" for name in modules if name != "ow_diode")
        return (*models, f'embed "{_LAWS}" <<<LAWS', text, ">>>LAWS", f'load "{_LAWS}"', *laws)

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

    def include(self, path: str, section: str) -> str:
        """``load "path"`` for Verilog-A.

        Raises:
            NetlistError: a SPICE file. VACASK's own reader of SPICE folds names to lower case and does not take
                what ngspice's models are made of (tried with VACASK 0.3).
        """
        if path.endswith(".va"):
            return f'load "{path}"'
        raise NetlistError(
            "expected a Verilog-A model, which is what VACASK takes, found a SPICE file",
            where=path,
            remedy="use ngspice, or give the model in Verilog-A",
        )

    def transistors(self, model: MosfetModel) -> str:
        """``model name sp_bsim4v8 type=1 version="4.8.0" parameter=``: BSIM4 of VACASK's own library.

        Raises:
            ValueError: a level that is not BSIM4's, or a version that this library has not.
        """
        version = model.parameters.get("version")
        if model.level not in _BSIM4 or version != _BSIM4_VERSION:
            raise ValueError(
                f"model {model.name}: expected BSIM4 {_BSIM4_VERSION:g} (level 14 or 54) for VACASK, found level "
                f"{model.level}, version {version}; use ngspice"
            )
        values = (
            f"{key}={value if isinstance(value, int) else number(value)}"
            for key, value in model.parameters.items()
            if key != "version"
        )
        channel = 1 if model.kind == "nmos" else -1
        head = ("model", model.name, "sp_bsim4v8", f"type={channel}", f'version="{_BSIM4_VERSION:g}.0"')
        return wrap((*head, *values), *_GOES_ON)

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
            case Foreign():
                return self.call(name, nets, primitive.model, primitive.plain)
            case Resistor(ohms):
                return self.resistor(name, nets, positive(f"resistor {name}", ohms, "ohm"))
            case Capacitor(farads):
                return f"c{name} {pair} ow_capacitor c={positive(f'capacitor {name}', farads, 'F')}"
            case Clock():
                return f'v{name} {pair} ow_vsource type="pwl" wave=[0, 0, 1, 1]'
            case VoltageSource(value) | CurrentSource(value):
                letter = "v" if isinstance(primitive, VoltageSource) else "i"
                return f"{letter}{name} {pair} ow_{letter}source dc={number(value)}"
            case Vcvs(gain) | Vccs(gain):
                kind = "vcvs" if isinstance(primitive, Vcvs) else "vccs"
                return f"{'e' if kind == 'vcvs' else 'g'}{name} {four} ow_{kind} gain={number(gain)}"
            case Behavioural() | Surface():
                given = (f"{key}={key}" for key in parameters(_formula(primitive)))
                return " ".join((f"b{name}", four, _module(primitive)[0], *given))
            case Diode():
                return f"d{name} {pair} {model}"
            case Mosfet(card, width, length):
                return f"m{name} {four} {card.name} w={number(width)} l={number(length)}"


def _instances(cell: Cell) -> Iterator[Instance]:
    return (part for part in cell.parts if isinstance(part, Instance))


def _real(text: str) -> str:
    # Verilog-A divides whole numbers into whole numbers.
    return text if "." in text or "e" in text else f"{text}.0"


_WORDS = Words("vacask", FUNCTIONS, _real, lambda text: f"V({', '.join(text[2:-1].split(','))})")


def _ports(source: Behavioural | Surface) -> tuple[str, ...]:
    return ("p", "n", "cp", "cn") if isinstance(source, Behavioural) else ("p", "n", "cp", "cn", "dp", "dn")


def _formula(source: Behavioural | Surface) -> str:
    return expression(source, _ports(source))


def _module(source: Behavioural | Surface) -> tuple[str, str]:
    """Name, by its content, and formula of a source's module."""
    formula = translate(_formula(source), _WORDS)
    return f"law_{hashlib.sha256(formula.encode()).hexdigest()[:12]}", formula


def _verilog(source: Behavioural | Surface, name: str, formula: str) -> str:
    ports = ", ".join(_ports(source))
    lines = [f"module {name}({ports});", f"  inout {ports};", f"  electrical {ports};"]
    lines += [f'  (* type="instance" *) parameter real {key} = 1.0;' for key in parameters(_formula(source))]
    return "\n".join([*lines, broken(f"  analog I(p, n) <+ {formula};", ""), "endmodule"])
