"""Designs: TOML in and out, units, and messages that say what to do."""

import dataclasses
from pathlib import Path

import pytest

from ohmweave.blocks import ClockedLif, ClockedLif45, Ideal, PrecisionRectifier, TwoStage45
from ohmweave.choices import SpikingChoice
from ohmweave.design import PRESETS, ArrayChoice, Design, SignalChoice
from ohmweave.devices import Sinh
from ohmweave.errors import DesignError, UserError
from ohmweave.schemes import RowPair

KINDS = ("clocked_lif", "clocked_lif_45")


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_toml(name: str) -> None:
    design = Design.preset(name)
    for spiking in (False, True):
        assert Design.parse(design.dump(), spiking=spiking) == design


def test_every_choice_survives_toml() -> None:
    design = Design(
        seed=7,
        device=Sinh(2e-6, 33e-6, 16, 0.25),
        array=ArrayChoice(16, 32, 2.5, 0.0, "both", "both"),
        scheme=RowPair(),
        opamp=Ideal(-2.0, 3.0),
        relu=PrecisionRectifier(4.7e3),
        signal=SignalChoice(0.1, 0.4),
    )
    for spiking in (False, True):
        assert Design.parse(design.dump(), spiking=spiking) == design


def test_what_a_file_does_not_say_is_the_preset_of_its_network() -> None:
    assert Design.parse("") == Design.default()
    preset = Design.preset("spiking")
    assert Design.parse("", spiking=True) == preset != Design.default()
    found = Design.parse('[spiking]\nmicroarchitecture = "crossbar"\n[array]\nrows = 32\n', spiking=True)
    array = ArrayChoice(rows=32, ground=preset.array.ground, reserve=preset.array.reserve)
    assert found == dataclasses.replace(preset, spiking=SpikingChoice("crossbar"), array=array)


def test_a_section_of_another_kind_begins_with_its_own_values(monkeypatch: pytest.MonkeyPatch) -> None:
    base = Design(neuron=ClockedLif(c_m=2e-12, refractory=3))
    monkeypatch.setattr("ohmweave.design.PRESETS", {"spiking": base})
    same, other = (Design.parse(f'[neuron]\nkind = "{kind}"\n', spiking=True) for kind in KINDS)
    assert same == base
    assert other.neuron == ClockedLif45()
    assert Design.parse('[neuron]\nc_m = "3 pF"\n', spiking=True).neuron == ClockedLif(c_m=3e-12, refractory=3)


def test_parts_that_a_spiking_chip_has_not_are_in_nobodys_way() -> None:
    room = '[[effects]]\nkind = "temperature"\nt = "350 K"\n'
    parts = '[opamp]\nkind = "two_stage_45"\n[tanh]\nkind = "transistors_45"\n'
    text = parts + room
    assert isinstance(Design.parse(text, spiking=True).opamp, TwoStage45)
    with pytest.raises(DesignError, match=r"^d.toml: signal: expected v_read and v_out below the op-amp's swing"):
        Design.parse(text, "d.toml")


@pytest.mark.parametrize(
    ("section", "kind", "told"),
    [
        (
            "neuron",
            "clocked_lif_45",
            'neuron\'s transistors were measured, found 350 K; choose neuron.kind = "clocked_lif"',
        ),
        (
            "synapse",
            "pulse_driver_45",
            "row driver's transistors were measured, found 350 K; "
            'choose synapse.kind = "ideal", with the r_source it has there',
        ),
    ],
)
def test_transistors_of_a_spiking_chip_are_for_one_temperature(section: str, kind: str, told: str) -> None:
    """And are in nobody's way where the network does not spike."""
    text = f'[{section}]\nkind = "{kind}"\n[[effects]]\nkind = "temperature"\nt = "350 K"\n'
    with pytest.raises(DesignError) as refused:
        Design.parse(text, "d.toml", spiking=True)
    assert str(refused.value) == f"d.toml: effects.temperature.t: expected 300.15 K, where the {told}"
    assert Design.parse(text).effects


def test_units_are_read_to_si() -> None:
    design = Design.parse('[array]\nr_row = "2.5 ohm"\nr_col = "4 mΩ"\n[device]\ng_on = "100 uS"\ng_off = "500 nS"\n')
    assert (design.array.r_row, design.array.r_col) == (2.5, 0.004)
    assert design.device.g_range == (5e-7, 1e-4)


def test_the_digest_tells_designs_apart() -> None:
    assert Design().digest() == Design.default().digest()
    assert len({Design().digest(), Design(seed=1).digest(), Design.preset("lossy").digest()}) == 3


def test_a_design_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Design().seed = 1  # type: ignore[misc]


MESSAGES = {
    "[array]\nr_row = 1": "d.toml: array.r_row: expected a unit (ohm), found the bare number '1'; write \"1 ohm\"",
    '[array]\nr_row = "1"': "d.toml: array.r_row: expected a unit (ohm), found the bare number '1'; write \"1 ohm\"",
    '[array]\nr_row = "1 V"': "d.toml: array.r_row: expected a value in ohm, found '1 V'; write it like \"1 ohm\"",
    '[array]\nr_row = "1,5 V"': "d.toml: array.r_row: expected a value in ohm, found '1,5 V'; write it like \"1 ohm\"",
    '[array]\nr_rwo = "1 ohm"': "d.toml: [array]: unknown key 'r_rwo'; did you mean 'r_row'?",
    "arry = 1": "d.toml: unknown key 'arry'; did you mean 'array'?",
    '[device]\nkind = "sihn"': "d.toml: device.kind: unknown kind 'sihn'; did you mean 'sinh'?",
    '[device]\nv0 = "0.3 V"': "d.toml: [device]: unknown key 'v0'; known are g_off, g_on, kind, levels",
    '[device]\ng_off = "1 mS"': (
        "d.toml: device: expected 0 S < g_off < g_on, found g_off = 1 mS and g_on = 100 uS; "
        "give g_off the lower conductance"
    ),
    "[device]\nlevels = 1": "d.toml: device.levels: expected 0 (analog) or at least 2 levels, found 1; set levels = 0",
    "[device]\nlevels = true": "d.toml: device.levels: expected a whole number, found True; mend the value",
    "[array]\nrows = 2.5": "d.toml: array.rows: expected a whole number, found 2.5; mend the value",
    "[array]\nrows = 1": "d.toml: array.rows: expected at least 2, found 1; try rows = 64",
    '[array]\nr_row = "-1 ohm"': 'd.toml: array.r_row: expected at least 0 ohm, found -1 ohm; try r_row = "1 ohm"',
    '[array]\ndrive = "two"': "d.toml: array.drive: expected 'one' or 'both', found 'two'; try drive = \"one\"",
    '[array]\nground = "Both"': "d.toml: array.ground: expected 'one' or 'both', found 'Both'; try ground = \"one\"",
    "[array]\nground = 2": "d.toml: array.ground: expected a text, found 2; mend the value",
    "[opamp]\ngain = 0.5": "d.toml: opamp.gain: expected a gain of at least 1, found 0.5; try gain = 1e4",
    "[opamp]\ngain = nan": "d.toml: opamp.gain: expected a finite number, found nan; mend the value",
    '[signal]\nv_read = "2 V"': (
        "d.toml: signal: expected v_read and v_out below the op-amp's swing of 1 V to either side, "
        "found 2 V and 0.5 V; lower them or widen opamp.v_low and opamp.v_high"
    ),
    '[opamp]\nv_low = "-0.1 V"': (
        "d.toml: signal: expected v_read and v_out below the op-amp's swing of 0.1 V to either side, "
        "found 0.2 V and 0.5 V; lower them or widen opamp.v_low and opamp.v_high"
    ),
    "seed = -1": "d.toml: seed: expected a seed of at least 0, found -1; try seed = 0",
    '[array]\nr_row = "1e9999999 ohm"': (
        "d.toml: array.r_row: expected a finite value in ohm, found '1e9999999 ohm'; write it like \"1 ohm\""
    ),
    '[array]\nr_row = "1e-9 ohm"': (
        "d.toml: array.r_row: expected 0 ohm (no wire) or at least 1e-06 ohm, found 1e-09 ohm; "
        "such a wire beside a device is beyond the digits of a float; set it to 0 ohm"
    ),
    '[relu]\nkind = "rectifier"\nresistor = "0 ohm"': (
        'd.toml: relu.resistor: expected a positive value in ohm, found 0 ohm; try resistor = "10 kohm"'
    ),
    '[tanh]\ntail_current = "0 A"': (
        'd.toml: tanh.tail_current: expected a positive value in A, found 0 A; try tail_current = "10 uA"'
    ),
    '[opamp]\nkind = "two_stage_45"\n[signal]\nv_out = "0.3 V"\n[[effects]]\nkind = "temperature"\nt = "350 K"': (
        "d.toml: effects.temperature.t: expected 300.15 K, where the op-amp's transistors were measured, "
        'found 350 K; choose opamp.kind = "finite", with the gain it has there'
    ),
    '[tanh]\nkind = "transistors_45"\n[[effects]]\nkind = "temperature"\nt = "350 K"': (
        "d.toml: effects.temperature.t: expected 300.15 K, where the tanh's transistors were measured, "
        'found 350 K; choose tanh.kind = "differential_pair", with the pair_voltage it has there'
    ),
    '[sigmoid]\nkind = "transistors_45"\n[[effects]]\nkind = "temperature"\nt = "250 K"': (
        "d.toml: effects.temperature.t: expected 300.15 K, where the sigmoid's transistors were measured, "
        'found 250 K; choose sigmoid.kind = "differential_pair", with the pair_voltage it has there'
    ),
    '[neuron]\nkind = "axon_hillock"': (
        "d.toml: neuron.kind: expected a neuron that spikes by its chip's clock, found 'axon_hillock', which spikes "
        "when it likes; known are clocked_lif, clocked_lif_45"
    ),
    '[device]\nkind = ["sinh"]': "d.toml: device.kind: unknown kind ['sinh']; did you mean 'sinh'?",
    "array = 3": "d.toml: expected a table [array], found 3; write [array]",
    "[array": (
        "d.toml: is not TOML: Expected ']' at the end of a table declaration (at end of document); mend the syntax"
    ),
}


@pytest.mark.parametrize("text", MESSAGES)
def test_a_mistake_is_told_whole(text: str) -> None:
    with pytest.raises(UserError) as caught:
        Design.parse(text, "d.toml")
    assert str(caught.value) == MESSAGES[text]
    assert caught.value.exit_code == 2


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DesignError) as caught:
        Design.load(tmp_path / "none.toml")
    assert str(caught.value).startswith(f"{tmp_path / 'none.toml'}: cannot be read (")


def test_an_unknown_preset_is_told() -> None:
    with pytest.raises(DesignError) as caught:
        Design.preset("idael")
    assert str(caught.value) == "design: expected a preset, found 'idael'; did you mean 'ideal'?"
