"""Formulae change their words and never their meaning."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmweave.bench import Bench
from ohmweave.circuit import Behavioural, Cell, Instance, Resistor
from ohmweave.devices import Table
from ohmweave.netlist import Hspice, Xyce
from ohmweave.netlist.formula import FUNCTIONS, Words, broken, parameters, translate
from ohmweave.simulate.ngspice import NgspiceSimulator
from ohmweave.units import Array

VOLTS = np.array([-1.0, -0.4, -1.0 / 3.0 - 1e-3, -0.1, 0.0, 0.1, 0.35, 1.0, 2.9])
PLAIN = Words("plain", FUNCTIONS)


class Floor:
    """1 mA floor(3 x) + 0.1 mA."""

    def value(self, x: Array) -> Array:
        return np.asarray(1e-3 * np.floor(3.0 * x) + 1e-4)

    def slope(self, x: Array) -> Array:
        return np.zeros_like(x)

    def expression(self, x: str) -> str:
        return f"0.001*floor(3*{x})+0.0001"


class Spoken:
    """A law that says what it is given."""

    def __init__(self, said: str) -> None:
        self.said = said

    def value(self, x: Array) -> Array:
        return x

    def slope(self, x: Array) -> Array:
        return np.ones_like(x)

    def expression(self, x: str) -> str:
        return self.said.replace("X", x)


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("{g}*0.33*sinh(v(p,n)/0.33)", "g*0.33*sinh(v(p,n)/0.33)"),
        ("((v(p)<(-0.5))?({s}+1e-06):max(v(p),0))", "((v(p)<(-0.5))?(s+1e-06):max(v(p),0))"),
        ("(-v(n))*ln(2)", "(-v(n))*log(2)"),
    ],
)
def test_parameters_lose_their_braces_and_functions_get_their_names(formula: str, said: str) -> None:
    assert translate(formula, Words("other", {**FUNCTIONS, "ln": "log"})) == said


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=0.0))
def test_numbers_and_voltages_are_said_in_the_dialects_way(value: float) -> None:
    words = Words("other", FUNCTIONS, lambda text: f"<{text}>", str.upper)
    assert translate(f"{value!r}*v(p,n)", words) == f"<{value!r}>*V(P,N)"


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("u(v(p))", "expected a function that plain has (" + ", ".join(sorted(FUNCTIONS)) + "), found 'u'"),
        ("v(p)^2", "expected a formula, found '^2' in 'v(p)^2'"),
        ("time*2", "expected a formula, found 'time*2' in 'time*2'"),
        ("v(p)\n.control", "expected a formula, found '\\n.control' in 'v(p)\\n.control'"),
    ],
)
def test_what_has_no_word_is_refused(formula: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        translate(formula, PLAIN)


def test_parameters_are_found_once_each() -> None:
    assert parameters("{s}*({g}*sinh(v(p)/{s}))") == ("s", "g")


@given(st.integers(0, 400), st.integers(20, 90))
def test_breaking_a_formula_keeps_it(seed: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    text = "+".join(f"{value!r}*max(v(p),{value!r})" for value in rng.normal(size=rng.integers(1, 30)).tolist())
    lines = broken(text, " \\", width).split("\n")
    assert "".join(line.removesuffix(" \\") for line in lines) == text
    assert all(line.endswith(" \\") for line in lines[:-1])


def test_constants_of_hspice_become_parameters_where_single_precision_cannot_hold_them() -> None:
    said = Hspice().element("b", Behavioural(Spoken("0.5*X+0.1*X-1e-06+3e+40+0.1")), ("p", "0", "p", "0"))
    assert said == (
        ".param k0p1=0.1\n.param k1em06=1e-06\n.param k3e40=3e+40\n"
        "gb p 0 cur='0.5*v(p)+k0p1*v(p)-k1em06+k3e40+k0p1'"
    )  # fmt: skip


def test_no_line_of_hspice_is_longer_than_it_reads() -> None:
    volts = tuple(float(v) for v in np.linspace(-1.0, 1.0, 41))
    part = Table(volts=volts, shape=volts).cell().parts[0]
    assert isinstance(part, Instance)
    lines = Hspice().element("b1", part.of, part.nets).split("\n")  # type: ignore[arg-type]
    assert max(map(len, lines)) <= 200


def test_a_floor_is_itself_in_xyce(ngspice: str) -> None:
    said = Xyce().element("b", Behavioural(Floor()), ("p", "0", "p", "0")).split("{")[1].removesuffix("}")
    parts = (Instance("b", Behavioural(Spoken(said.replace("v(p)", "X"))), ("0", "y", "a", "0")),)
    cell = Cell("jig", ("a", "y"), (*parts, Instance("r", Resistor(1.0), ("y", "0"))))
    waves = NgspiceSimulator(ngspice).run(Bench(cell, ("a",), VOLTS[:, None], ("y",)))
    np.testing.assert_allclose(waves.volts[:, 0], Floor().value(VOLTS), rtol=1e-9, atol=1e-15)


def test_a_floor_in_hspice_is_made_from_what_truncates() -> None:
    *constants, card = Hspice().element("b", Behavioural(Floor()), ("p", "0", "p", "0")).split("\n")
    formula = card.split("'")[1].replace("v(p)", "x").replace("?1:0)", "*1)")
    known = {"int": np.trunc, "x": VOLTS}
    known |= {name: float(value) for name, value in (line.removeprefix(".param ").split("=") for line in constants)}
    assert "floor" not in formula
    np.testing.assert_allclose(eval(formula, known), Floor().value(VOLTS), rtol=1e-12)  # noqa: S307 - our own text
