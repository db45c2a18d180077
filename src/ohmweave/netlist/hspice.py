"""The HSPICE dialect."""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ohmweave.circuit import Behavioural, Cell, Diode, Foreign, MosfetModel, Primitive, Surface
from ohmweave.netlist.dialect import number
from ohmweave.netlist.formula import FUNCTIONS, Words, broken, translate
from ohmweave.netlist.ngspice import Ngspice, expression

__all__ = ["Hspice"]

# Plain elements are the same in every SPICE.
_SPICE = Ngspice()
# The manual of 2001 has no floor(), which _integer_parts replaces; its log() is the natural one.
_FUNCTIONS = {**{name: word for name, word in FUNCTIONS.items() if name != "ceil"}, "ln": "log", "pow": "pwr"}


@dataclass(frozen=True)
class Hspice:
    r"""Cards as HSPICE reads them (Star-Hspice Manual 2001.2, chapters 3, 6 and 14).

    A behavioural source is a ``G`` element whose current is a quoted formula. Constants in formulae have single
    precision there and parameters double, so that constants which single precision cannot hold become parameters
    of the subcircuit, named by their value. A quoted formula goes on behind ``\\`` at a line's end.
    """

    name: str = "hspice"
    suffix: str = ".sp"

    def preamble(self, cells: Iterable[Cell]) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def comment(self, text: str) -> str:
        """``* text``."""
        return _SPICE.comment(text)

    def open_cell(self, name: str, ports: tuple[str, ...], params: Mapping[str, float]) -> str:
        """``.subckt name ports parameter=default``."""
        return _SPICE.open_cell(name, ports, params)

    def close_cell(self, name: str) -> str:
        """``.ends name``."""
        return _SPICE.close_cell(name)

    def model(self, name: str, diode: Diode) -> str:
        """``.model name d level=1 is= n=``: no series resistance, no capacitance, no breakdown."""
        amps, emission = number(diode.saturation_current), number(diode.emission)
        return f".model {name} d level=1 is={amps} n={emission} rs=0 cjo=0 tt=0"

    def include(self, path: str, section: str) -> str:
        """``.include 'path'``, ``.lib 'path' section``, or ``.hdl 'path'`` for Verilog-A."""
        if path.endswith(".va"):
            return f".hdl '{path}'"
        return f".lib '{path}' {section}" if section else f".include '{path}'"

    def transistors(self, model: MosfetModel) -> str:
        """``.model name nmos level= parameter=``."""
        return _SPICE.transistors(model).replace("(", " ").replace(")", "")

    def resistor(self, name: str, nets: tuple[str, ...], ohms: str) -> str:
        """``rNAME p n ohms``."""
        return _SPICE.resistor(name, nets, ohms)

    def call(self, name: str, nets: tuple[str, ...], cell: str, params: Mapping[str, str]) -> str:
        """``xNAME nets cell parameter=value``."""
        return _SPICE.call(name, nets, cell, params)

    def element(self, name: str, primitive: Primitive, nets: tuple[str, ...], model: str = "") -> str:
        """As in ngspice, but ``gNAME p n cur='formula'`` behind the ``.param`` cards of its constants.

        Raises:
            ValueError: a resistor of 0 ohm or less, a formula with a function that HSPICE does not have.
        """
        if isinstance(primitive, Foreign):
            # A module is called as a subcircuit is.
            return _SPICE.call(name, nets, primitive.model, primitive.plain)
        if not isinstance(primitive, Behavioural | Surface):
            return _SPICE.element(name, primitive, nets, model)
        constants: dict[str, str] = {}

        def named(text: str) -> str:
            name = _constant(text)
            if name != text:
                constants[name] = text
            return name

        words = Words("hspice", _FUNCTIONS, number=named)
        formula = _integer_parts(translate(expression(primitive, nets), words))
        lines = [f".param {constant}={text}" for constant, text in constants.items()]
        return "\n".join([*lines, broken(f"g{name} {nets[0]} {nets[1]} cur='{formula}'", " \\\\")])


def _constant(text: str) -> str:
    """A number as it stands where single precision holds it, else the name of its parameter."""
    value = float(text)
    try:
        exact = struct.unpack("f", struct.pack("f", value))[0] == value
    except OverflowError:
        exact = False
    return text if exact else "k" + text.replace(".", "p").replace("-", "m").replace("+", "")


def _integer_parts(formula: str) -> str:
    """The formula with floor(x) as int(x), which truncates, less one where that lies above x."""
    begin = formula.find("floor(")
    if begin < 0:
        return formula
    end, depth = begin + len("floor("), 1
    while depth:
        depth += {"(": 1, ")": -1}.get(formula[end], 0)
        end += 1
    inner = _integer_parts(formula[begin + len("floor(") : end - 1])
    return f"{formula[:begin]}(int({inner})-((({inner})<int({inner}))?1:0)){_integer_parts(formula[end:])}"
