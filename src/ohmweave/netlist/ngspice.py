"""The ngspice dialect."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ohmweave.circuit import (
    Behavioural,
    Capacitor,
    Cell,
    Clock,
    CurrentSource,
    Diode,
    Foreign,
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

__all__ = ["Ngspice", "across", "wrap"]

_WIDTH = 100

# ngspice has k/q of CODATA 2014 (its const.h), ohmweave the exact one of the SI of 2019. A diode's
# emission takes up the ratio, so that n V_T is the same in both.
_THERMAL_RATIO = (1.380649e-23 / 1.602176634e-19) / (1.38064852e-23 / 1.6021766208e-19)


@dataclass(frozen=True)
class Ngspice:
    """Cards as ngspice reads them (ngspice User's Manual, chapters 2 to 7).

    An element is the letter of its kind followed by its instance's name. Behavioural expressions take
    parameters in braces. Comments begin with a star and a blank: a star and a hash would be a command.
    """

    name: str = "ngspice"
    suffix: str = ".cir"

    def preamble(self, cells: Iterable[Cell]) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def comment(self, text: str) -> str:
        """``* text``."""
        return f"* {one_line(text)}".rstrip()

    def open_cell(self, name: str, ports: tuple[str, ...], params: Mapping[str, float]) -> str:
        """``.subckt name ports parameter=default``."""
        defaults = (f"{key}={number(value)}" for key, value in params.items())
        return wrap((".subckt", name, *ports, *defaults))

    def close_cell(self, name: str) -> str:
        """``.ends name``."""
        return f".ends {name}"

    def model(self, name: str, diode: Diode) -> str:
        """``.model name d(is= n=)``: no series resistance, no capacitance, no breakdown."""
        emission = number(diode.emission * _THERMAL_RATIO)
        return f".model {name} d(is={number(diode.saturation_current)} n={emission} rs=0 cjo=0 tt=0)"

    def include(self, path: str, section: str) -> str:
        """``.include path``, or ``.lib path section``; a Verilog-A file (``.va``) is compiled and loaded before."""
        if path.endswith(".va"):
            return self.comment(f"load what is compiled from {path} before: openvaf-r makes it, osdi loads it")
        return f".lib {path} {section}" if section else f".include {path}"

    def transistors(self, model: MosfetModel) -> str:
        """``.model name nmos(level= parameter=)``; options, which are whole numbers, are written as such."""
        values = {"level": model.level, **model.parameters}
        words = (f"{key}={value if isinstance(value, int) else number(value)}" for key, value in values.items())
        return wrap((".model", model.name, f"{model.kind}(", *words, ")"))

    def resistor(self, name: str, nets: tuple[str, ...], ohms: str) -> str:
        """``rNAME p n ohms``."""
        return f"r{name} {nets[0]} {nets[1]} {ohms}"

    def call(self, name: str, nets: tuple[str, ...], cell: str, params: Mapping[str, str]) -> str:
        """``xNAME nets cell parameter=value``."""
        values = (f"{key}={value}" for key, value in params.items())
        return wrap((f"x{name}", *nets, cell, *values))

    def element(self, name: str, primitive: Primitive, nets: tuple[str, ...], model: str = "") -> str:
        """One card of the letter that the primitive has in SPICE.

        Raises:
            ValueError: a resistor of 0 ohm or less (ngspice would make it 1 mohm in silence), or a capacitor of
                0 F or less.
        """
        p, n = nets[:2]
        if isinstance(primitive, Foreign):
            return self._foreign(name, primitive, nets)
        match primitive:
            case Resistor(ohms):
                return self.resistor(name, nets, positive(f"resistor {name}", ohms, "ohm"))
            case Capacitor(farads):
                return f"c{name} {p} {n} {positive(f'capacitor {name}', farads, 'F')}"
            case Clock():
                return f"v{name} {p} {n} pwl(0 0 1 1)"
            case VoltageSource(value) | CurrentSource(value):
                return f"{'v' if isinstance(primitive, VoltageSource) else 'i'}{name} {p} {n} {number(value)}"
            case Vcvs(gain) | Vccs(gain):
                return f"{'e' if isinstance(primitive, Vcvs) else 'g'}{name} {' '.join(nets)} {number(gain)}"
            case Behavioural() | Surface():
                return wrap((f"b{name}", p, n, f"i={expression(primitive, nets)}"))
            case Diode():
                return f"d{name} {p} {n} {model}"
            case Mosfet(card, width, length):
                return f"m{name} {' '.join(nets)} {card.name} w={number(width)} l={number(length)}"

    def _foreign(self, name: str, part: Foreign, nets: tuple[str, ...]) -> str:
        if not part.compiled:
            return self.call(name, nets, part.model, dict(part.settings))
        values = (f"{key}={value}" for key, value in part.settings)
        return f".model {name}_model {part.model}\n{wrap((f'n{name}', *nets, f'{name}_model', *values))}"


def wrap(words: tuple[str, ...], end: str = "", begin: str = "+ ") -> str:
    """Join words by blanks, going on in a ``+`` line where a line would exceed 100 characters.

    Args:
        words: what to join.
        end: put behind a line that goes on.
        begin: put before what it goes on with.
    """
    lines, line = [], words[0]
    for word in words[1:]:
        if len(line) + 1 + len(word) + len(end) > _WIDTH:
            lines.append(f"{line}{end}")
            line = f"{begin}{word}"
        else:
            line = f"{line} {word}"
    return "\n".join([*lines, line])


def expression(primitive: Behavioural | Surface, nets: tuple[str, ...]) -> str:
    """The formula of a behavioural source between its nets, in ngspice's words."""
    x = across(nets[2], nets[3])
    if isinstance(primitive, Surface):
        return primitive.law.expression(x, across(nets[4], nets[5]))
    return primitive.law.expression(x)


def positive(what: str, value: float, unit: str) -> str:
    """The number of a value that may not be zero.

    Raises:
        ValueError: one that is, or is below; ngspice would take another value in silence.
    """
    if not value > 0.0:
        raise ValueError(f"{what}: expected more than 0 {unit}, found {value}")
    return number(value)


def across(p: str, n: str) -> str:
    """The voltage between two nets in a formula."""
    if n == "0":
        return f"v({p})"
    return f"v({p},{n})" if p != "0" else f"(-v({n}))"
