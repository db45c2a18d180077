"""The Xyce dialect."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ohmweave.circuit import Behavioural, Cell, Diode, Foreign, MosfetModel, Primitive, Surface
from ohmweave.netlist.dialect import number
from ohmweave.netlist.formula import FUNCTIONS, Words, translate
from ohmweave.netlist.ngspice import Ngspice, expression, wrap

__all__ = ["Xyce"]

# Plain elements are the same in every SPICE.
_SPICE = Ngspice()
_WORDS = Words("xyce", FUNCTIONS)
# Xyce has k/q of SPICE 2 (its N_DEV_Const.h), ohmweave that of the SI of 2019; a diode's emission takes up the ratio.
_THERMAL_RATIO = (1.380649e-23 / 1.602176634e-19) / (1.3806226e-23 / 1.6021918e-19)


@dataclass(frozen=True)
class Xyce:
    """Cards as Xyce reads them (Xyce Reference Guide, chapter 2: netlist commands, devices, expressions).

    Parameters of subcircuits follow the word ``params:``; a behavioural source's whole formula stands in braces
    and names parameters without any.
    """

    name: str = "xyce"
    suffix: str = ".xyce"

    def preamble(self, cells: Iterable[Cell]) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def comment(self, text: str) -> str:
        """``* text``."""
        return _SPICE.comment(text)

    def open_cell(self, name: str, ports: tuple[str, ...], params: Mapping[str, float]) -> str:
        """``.subckt name ports params: parameter=default``."""
        defaults = [f"{key}={number(value)}" for key, value in params.items()]
        return wrap((".subckt", name, *ports, *(("params:", *defaults) if defaults else ())))

    def close_cell(self, name: str) -> str:
        """``.ends name``."""
        return _SPICE.close_cell(name)

    def model(self, name: str, diode: Diode) -> str:
        """``.model name d(level=1 is= n=)``: no series resistance, no capacitance, no breakdown."""
        emission = number(diode.emission * _THERMAL_RATIO)
        return f".model {name} d(level=1 is={number(diode.saturation_current)} n={emission} rs=0 cjo=0 tt=0)"

    def include(self, path: str, section: str) -> str:
        """``.include "path"``, or ``.lib "path" section``; Xyce takes Verilog-A as a plugin, made before."""
        if path.endswith(".va"):
            return self.comment(f"give Xyce what buildxyceplugin makes of {path}: Xyce -plugin FILE")
        return f'.lib "{path}" {section}' if section else f'.include "{path}"'

    def transistors(self, model: MosfetModel) -> str:
        """``.model name nmos(level= parameter=)``."""
        return _SPICE.transistors(model)

    def resistor(self, name: str, nets: tuple[str, ...], ohms: str) -> str:
        """``rNAME p n ohms``."""
        return _SPICE.resistor(name, nets, ohms)

    def call(self, name: str, nets: tuple[str, ...], cell: str, params: Mapping[str, str]) -> str:
        """``xNAME nets cell params: parameter=value``."""
        values = [f"{key}={value}" for key, value in params.items()]
        return wrap((f"x{name}", *nets, cell, *(("params:", *values) if values else ())))

    def element(self, name: str, primitive: Primitive, nets: tuple[str, ...], model: str = "") -> str:
        """As in ngspice, but ``bNAME p n i={formula}``.

        Raises:
            ValueError: a resistor of 0 ohm or less, a formula with a function that Xyce does not have.
        """
        if isinstance(primitive, Foreign):
            settings = dict(primitive.settings)
            if not primitive.compiled:
                return self.call(name, nets, primitive.model, settings)
            values = (f"{key}={value}" for key, value in settings.items())
            model = f"{name}_model"
            return f".model {model} {primitive.model}\n{wrap((f'y{primitive.model}', name, *nets, model, *values))}"
        if not isinstance(primitive, Behavioural | Surface):
            return _SPICE.element(name, primitive, nets, model)
        formula = translate(expression(primitive, nets), _WORDS)
        return wrap((f"b{name}", nets[0], nets[1], f"i={{{formula}}}"))
