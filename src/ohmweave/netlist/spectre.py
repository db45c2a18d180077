"""The Spectre dialect."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ohmweave.circuit import (
    Behavioural,
    Capacitor,
    Cell,
    Clock,
    Crossbar,
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
from ohmweave.netlist.dialect import number, one_line
from ohmweave.netlist.formula import FUNCTIONS, Words, broken, translate
from ohmweave.netlist.ngspice import expression, positive, wrap

__all__ = ["Spectre", "bracketed"]

_WORDS = Words("spectre", FUNCTIONS)
_GOES_ON = (" \\", "  ")
_BSIM4 = (14, 54)
# What begins a statement or means something inside one; nobody may be called so.
_RESERVED = frozenset({
    "ahdl_include", "altergroup", "correlate", "else", "end", "ends", "export", "for", "function", "global", "ground",
    "ic", "if", "include", "inline", "invisible", "library", "local", "march", "model", "nodeset", "parameters",
    "paramset", "plot", "print", "protect", "real", "return", "save", "sens", "simulator", "statistics", "subckt", "to",
    "truncate", "unprotect", "vary",
})  # fmt: skip


@dataclass(frozen=True)
class Spectre:
    r"""Statements as Spectre reads them (Spectre Circuit Simulator User Guide, Spectre Netlists; Reference).

    Names are case-sensitive. Nets stand in parentheses, what an element is behind them, every value by its
    parameter's name. A comment is ``//`` and a statement goes on behind a backslash at a line's end.
    """

    name: str = "spectre"
    suffix: str = ".scs"

    def preamble(self, cells: Iterable[Cell]) -> tuple[str, ...]:
        """``simulator lang=spectre``, so that it does not matter what includes the file.

        Raises:
            ValueError: a cell or net that is called like a word of the language.
        """
        for cell in cells:
            for name in (cell.name, *cell.ports, *(net for part in cell.parts for net in _nets(part))):
                if name in _RESERVED:
                    raise ValueError(f"cell {cell.name}: {name!r} is a word of Spectre's language; give another name")
        return ("simulator lang=spectre",)

    def comment(self, text: str) -> str:
        """``// text``."""
        return f"// {one_line(text)}".rstrip()

    def open_cell(self, name: str, ports: tuple[str, ...], params: Mapping[str, float]) -> str:
        """``subckt name (ports)``, and ``parameters name=default`` below it."""
        head = wrap(("subckt", name, *bracketed(ports)), *_GOES_ON)
        defaults = (f"{key}={number(value)}" for key, value in params.items())
        return "\n".join([head, wrap(("parameters", *defaults), *_GOES_ON)] if params else [head])

    def close_cell(self, name: str) -> str:
        """``ends name``."""
        return f"ends {name}"

    def model(self, name: str, diode: Diode) -> str:
        """``model name diode is= n=``: no series resistance, and the exponential to the end (``jmax``, A/m^2)."""
        amps, emission = number(diode.saturation_current), number(diode.emission)
        return f"model {name} diode is={amps} n={emission} rs=0 jmax=1e20"

    def include(self, path: str, section: str) -> str:
        """``ahdl_include "path"`` for Verilog-A; SPICE's own card in its own language for the others."""
        if path.endswith(".va"):
            return f'ahdl_include "{path}"'
        card = f'.lib "{path}" {section}' if section else f'.include "{path}"'
        return f"simulator lang=spice\n{card}\nsimulator lang=spectre"

    def transistors(self, model: MosfetModel) -> str:
        """``model name bsim4 type=n parameter=``.

        Raises:
            ValueError: a level that is not BSIM4's.
        """
        if model.level not in _BSIM4:
            raise ValueError(f"model {model.name}: expected BSIM4 (level 14 or 54), found level {model.level}")
        values = (
            f"{key}={value if isinstance(value, int) else number(value)}" for key, value in model.parameters.items()
        )
        return wrap(("model", model.name, "bsim4", f"type={model.kind[0]}", *values), *_GOES_ON)

    def resistor(self, name: str, nets: tuple[str, ...], ohms: str) -> str:
        """``rNAME (p n) resistor r=ohms``."""
        return f"r{name} ({nets[0]} {nets[1]}) resistor r={ohms}"

    def call(self, name: str, nets: tuple[str, ...], cell: str, params: Mapping[str, str]) -> str:
        """``xNAME (nets) cell parameter=value``."""
        values = (f"{key}={value}" for key, value in params.items())
        return wrap((f"x{name}", *bracketed(nets), cell, *values), *_GOES_ON)

    def element(self, name: str, primitive: Primitive, nets: tuple[str, ...], model: str = "") -> str:
        """One instance of the primitive's own kind.

        Raises:
            ValueError: a resistor of 0 ohm or less, a formula with a function that Spectre does not have.
        """
        pair, four = f"({nets[0]} {nets[1]})", f"({' '.join(nets)})"
        match primitive:
            case Foreign():
                return self.call(name, nets, primitive.model, primitive.plain)
            case Resistor(ohms):
                return self.resistor(name, nets, positive(f"resistor {name}", ohms, "ohm"))
            case Capacitor(farads):
                return f"c{name} {pair} capacitor c={positive(f'capacitor {name}', farads, 'F')}"
            case Clock():
                return f"v{name} {pair} vsource type=pwl wave=[0 0 1 1]"
            case VoltageSource(value) | CurrentSource(value):
                letter = "v" if isinstance(primitive, VoltageSource) else "i"
                return f"{letter}{name} {pair} {letter}source type=dc dc={number(value)}"
            case Vcvs(gain) | Vccs(gain):
                words = ("e", "vcvs gain") if isinstance(primitive, Vcvs) else ("g", "vccs gm")
                return f"{words[0]}{name} {four} {words[1]}={number(gain)}"
            case Behavioural() | Surface():
                formula = translate(expression(primitive, nets), _WORDS)
                return broken(f"b{name} {pair} bsource i={formula}", " \\")
            case Diode():
                return f"d{name} {pair} {model}"
            case Mosfet(card, width, length):
                return f"m{name} {four} {card.name} w={number(width)} l={number(length)}"


def bracketed(nets: tuple[str, ...]) -> tuple[str, ...]:
    """Nets with a parenthesis before the first and one behind the last."""
    if not nets:
        return ("()",)
    *most, last = (f"({nets[0]}", *nets[1:])
    return (*most, f"{last})")


def _nets(part: Instance | Crossbar) -> tuple[str, ...]:
    return part.ports if isinstance(part, Crossbar) else part.nets
