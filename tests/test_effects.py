"""Effects on conductances: what each does to an array, what they have in common, what they refuse."""

import dataclasses
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.random import Generator

import ohmweave.registry
from ohmweave.effects import (
    BUILTIN_EFFECTS,
    CMO_HFOX,
    HFOX_AFTER_A_DAY,
    HFOX_AFTER_A_SECOND,
    Bending,
    Curvature,
    Drift,
    Effect,
    Gaussian,
    LevelDependent,
    LogNormal,
    ReadNoise,
    Relaxation,
    Stuck,
    Temperature,
    Wiring,
    bend,
    disturb,
    effects,
    wired,
)
from ohmweave.errors import DesignError
from ohmweave.units import Array, Unit, format_quantity, parse_quantity

RANGE = (1e-6, 100e-6)
MANY = (400, 500)
DAY = 86400.0


def rng(seed: int = 0) -> Generator:
    return np.random.default_rng(seed)


@st.composite
def programmed(draw: st.DrawFn) -> Array:
    """Conductances within the range, some devices absent."""
    shape = (draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    g = draw(arrays(np.float64, shape, elements=st.floats(*RANGE)))
    return np.where(draw(arrays(np.bool_, shape)), g, np.nan)


shares = st.floats(0.0, 1.0)
spreads = st.floats(0.0, 10.0)
siemens = st.floats(0.0, 1e-3)
RATES = st.tuples(shares, shares, shares).filter(lambda rates: math.fsum(rates) <= 1.0)
STRATEGIES: dict[str, st.SearchStrategy[Effect]] = {
    "gaussian": st.builds(Gaussian, sigma=spreads),
    "lognormal": st.builds(LogNormal, sigma=spreads),
    "level_dependent": st.builds(
        LevelDependent, sigma=st.tuples(siemens, siemens), g_reference=st.floats(1e-9, 1.0), scale=spreads
    ),
    "drift": st.builds(Drift, t=st.floats(20.0, 2e13), nu=shares, nu_sigma=shares),
    "relaxation": st.builds(Relaxation, t=st.floats(1.0, 1e12), decay=siemens, sigma=siemens, growth=siemens),
    "stuck": RATES.map(lambda rates: Stuck(*rates)),
    "read_noise": st.builds(ReadNoise, sigma=spreads),
    "curvature": st.builds(Curvature, sigma=shares),
    "temperature": st.builds(
        Temperature, t=st.floats(200.0, 500.0), t0=st.floats(300.0, 350.0), alpha_on=st.floats(-0.02, 0.02)
    ),
}


@st.composite
def chosen(draw: st.DrawFn) -> Effect:
    return draw(STRATEGIES[draw(st.sampled_from(sorted(STRATEGIES)))])


def test_the_properties_below_are_asked_of_every_built_in_effect() -> None:
    assert STRATEGIES.keys() == BUILTIN_EFFECTS.keys()
    assert effects().items() >= BUILTIN_EFFECTS.items()


@given(chosen(), programmed(), st.integers(0, 2**32))
def test_devices_stay_positive_and_absent_ones_absent(effect: Effect, g: Array, seed: int) -> None:
    before = g.copy()
    out = effect.perturb(g, RANGE, rng(seed))
    np.testing.assert_array_equal(g, before)
    assert out is not g
    assert out.shape == g.shape
    assert out.dtype == np.float64
    np.testing.assert_array_equal(np.isnan(out), np.isnan(g))
    present = out[~np.isnan(g)]
    assert ((present > 0.0) & np.isfinite(present)).all()


@given(chosen(), programmed(), st.integers(0, 2**32))
def test_the_same_seed_gives_the_same_chip(effect: Effect, g: Array, seed: int) -> None:
    np.testing.assert_array_equal(effect.perturb(g, RANGE, rng(seed)), effect.perturb(g, RANGE, rng(seed)))


@given(chosen(), programmed(), st.integers(0, 2**32))
def test_what_is_drawn_for_a_device_does_not_depend_on_which_others_there_are(
    effect: Effect, g: Array, seed: int
) -> None:
    whole = np.where(np.isnan(g), RANGE[1], g)
    out = effect.perturb(whole, RANGE, rng(seed))
    np.testing.assert_array_equal(effect.perturb(g, RANGE, rng(seed)), np.where(np.isnan(g), np.nan, out))


@pytest.mark.parametrize(
    "effect",
    [
        Gaussian(sigma=0.0),
        LogNormal(sigma=0.0),
        LevelDependent(scale=0.0),
        LevelDependent(sigma=(0.0,)),
        Drift(nu=0.0, nu_sigma=0.0),
        Drift(t=20.0, t0=20.0),
        Relaxation(decay=0.0, sigma=0.0, growth=0.0),
        Stuck(),
        ReadNoise(sigma=0.0),
        Curvature(sigma=0.0),
        Curvature(sigma=1.0),
        Temperature(),
        Temperature(t=400.0, t0=400.0),
        Temperature(t=400.0, alpha_off=0.0, alpha_on=0.0, sigma=0.0),
    ],
    ids=repr,
)
@given(g=programmed())
def test_without_strength_an_effect_changes_nothing(effect: Effect, g: Array) -> None:
    # An unformed device, far below G_off, must not be lifted either.
    g.flat[0] = 1e-9
    np.testing.assert_array_equal(effect.perturb(g, RANGE, rng()), g)


def moments(effect: Effect, g: float, of: Callable[[Array], Array] = np.asarray) -> tuple[float, float]:
    """Mean and standard deviation over many devices of one conductance."""
    out = of(effect.perturb(np.full(MANY, g), RANGE, rng(7)))
    return float(out.mean()), float(out.std())


# 200,000 devices: a mean is known to sigma / 447, a standard deviation to a part in 632. Five of these pass.
def assert_normal(found: tuple[float, float], mean: float, sigma: float) -> None:
    assert found[0] == pytest.approx(mean, abs=5 * sigma / 447)
    assert found[1] == pytest.approx(sigma, rel=5 / 632)


@pytest.mark.parametrize("g", [50e-6, 100e-6])
def test_gaussian_error_has_a_share_of_the_range_as_its_spread(g: float) -> None:
    assert_normal(moments(Gaussian(sigma=0.02), g), g, 0.02 * 99e-6)


@pytest.mark.parametrize("g", [1e-6, 100e-6])
def test_lognormal_error_spreads_the_logarithm_about_the_target(g: float) -> None:
    assert_normal(moments(LogNormal(sigma=0.3), g, np.log), math.log(g), 0.3)


@pytest.mark.parametrize(
    ("effect", "g", "sigma"),
    [
        # The polynomials of FACTS by hand, x = g / 40 µS, in µS.
        (HFOX_AFTER_A_SECOND, 20e-6, 0.348 + 16.03 * 0.5 - 43.853 * 0.25 + 45.393 * 0.125 - 16.815 * 0.0625),
        (HFOX_AFTER_A_DAY, 20e-6, 0.701 + 22.086 * 0.5 - 50.773 * 0.25 + 47.095 * 0.125 - 16.458 * 0.0625),
        (HFOX_AFTER_A_SECOND, 40e-6, 0.348 + 16.03 - 43.853 + 45.393 - 16.815),
        (CMO_HFOX, 50e-6, 0.0112 + 0.0113 * 50.0),
    ],
)
def test_level_dependent_error_follows_its_polynomial(effect: LevelDependent, g: float, sigma: float) -> None:
    assert effect.spread(np.array(g)) == pytest.approx(sigma * 1e-6, rel=2e-3)
    assert_normal(moments(effect, g), g, float(effect.spread(np.array(g))))


def test_beyond_what_was_measured_the_spread_stays_what_it_was_at_the_end() -> None:
    ends = HFOX_AFTER_A_SECOND.spread(np.array([40e-6, 41e-6, 100e-6]))
    assert (ends == ends[0]).all()
    assert (HFOX_AFTER_A_SECOND.spread(np.linspace(0.0, 100e-6, 1001)) > 0.0).all()


def test_a_scale_multiplies_the_spread() -> None:
    assert_normal(
        moments(LevelDependent(scale=0.5), 30e-6), 30e-6, 0.5 * float(LevelDependent().spread(np.array(30e-6)))
    )


def test_read_noise_is_relative_to_the_device() -> None:
    assert_normal(moments(ReadNoise(sigma=0.01), 3e-6), 3e-6, 0.03e-6)
    # Also to one that was never formed.
    assert_normal(moments(ReadNoise(sigma=0.01), 1e-9), 1e-9, 0.01e-9)


def test_drift_is_a_power_law_with_an_exponent_for_each_device() -> None:
    t, t0 = 1e6, 10.0
    effect = Drift(t=t, t0=t0, nu=0.06, nu_sigma=0.02)
    exponents = moments(effect, 10e-6, lambda g: -np.log(g / 10e-6) / np.log(t / t0))
    assert_normal(exponents, 0.06, 0.02)


def test_drift_without_spread_is_its_formula() -> None:
    out = Drift(t=2000.0, t0=20.0, nu=0.05, nu_sigma=0.0).perturb(np.array([[10e-6]]), RANGE, rng())
    assert out[0, 0] == pytest.approx(10e-6 * 100.0**-0.05, rel=1e-14)


@pytest.mark.parametrize(("g", "alpha"), [(1e-6, 2e-3), (10e-6, 0.5e-3), (100e-6, -1e-3), (200e-6, -1e-3)])
def test_low_conductances_rise_with_temperature_and_high_ones_fall(g: float, alpha: float) -> None:
    rise = moments(Temperature(t=340.15, sigma=1e-4), g, lambda found: np.log(found / g) / 40.0)
    assert_normal(rise, alpha, 1e-4)


def test_a_device_warmed_by_a_few_kelvins_has_its_coefficient() -> None:
    warm = Temperature(t=301.15, alpha_off=1e-3, alpha_on=1e-3, sigma=0.0)
    assert warm.perturb(np.array([[5e-6]]), RANGE, rng())[0, 0] == pytest.approx(5e-6 * 1.001, rel=1e-6)


def test_wires_of_copper_gain_two_fifths_of_a_per_cent_a_kelvin() -> None:
    assert isinstance(Temperature(), Wiring)
    assert wired((Gaussian(), Temperature(t=310.15)), 2.0) == pytest.approx(2.0 * 1.039, rel=1e-12)
    assert wired((Gaussian(), Temperature(t=310.15)), 0.0) == 0.0
    assert wired((), 2.0) == 2.0


@pytest.mark.parametrize("t", [1.0, DAY])
def test_relaxation_shifts_and_spreads_with_the_logarithm_of_time(t: float) -> None:
    mean, sigma = 50.0 - 0.089 * math.log(t), 0.412 + 0.042 * math.log(t)
    assert_normal(moments(Relaxation(t=t), 50e-6), mean * 1e-6, sigma * 1e-6)


@pytest.mark.parametrize("effect", [Gaussian(10.0), LevelDependent(sigma=(1e-3,)), Relaxation(sigma=1e-3)], ids=repr)
def test_an_error_that_would_leave_no_conductance_leaves_a_tenth_of_the_lowest(effect: Effect) -> None:
    out = effect.perturb(np.full(MANY, 1e-6), RANGE, rng())
    assert out.min() == pytest.approx(0.1e-6, rel=1e-12)
    assert np.mean(out == out.min()) == pytest.approx(0.5, abs=0.02)


def test_a_reading_never_falls_below_a_tenth_of_the_device() -> None:
    out = ReadNoise(sigma=10.0).perturb(np.full(MANY, 5e-6), RANGE, rng())
    assert out.min() == pytest.approx(0.5e-6, rel=1e-12)


@given(RATES, st.integers(0, 2**32))
def test_devices_fail_at_the_rates_stated(rates: tuple[float, float, float], seed: int) -> None:
    g, count = np.full((100, 100), 5e-6), 1e4
    out = Stuck(*rates, g_pristine=2e-9).perturb(g, RANGE, rng(seed))
    places = (RANGE[1], RANGE[0], 2e-9, 5e-6)
    found = [np.count_nonzero(out == place) for place in places]
    assert sum(found) == count
    for rate, number in zip((*rates, 1.0 - math.fsum(rates)), found, strict=True):
        # Eight standard deviations of a binomial law, and some for the rarest: one chance in 1e14.
        assert abs(number - rate * count) <= 8.0 * math.sqrt(count * max(rate, 0.0) * (1.0 - rate) + 1.0) + 8.0


def test_a_device_that_is_never_formed_may_be_an_open() -> None:
    out = Stuck(unformed=0.3, g_pristine=0.0).perturb(np.full(MANY, 5e-6), RANGE, rng())
    assert np.mean(np.isnan(out)) == pytest.approx(0.3, abs=0.01)


def test_more_failures_are_the_fewer_ones_and_further() -> None:
    g = np.full(MANY, 5e-6)
    few, many = (Stuck(on=rate).perturb(g, RANGE, rng(3)) == RANGE[1] for rate in (0.01, 0.05))
    assert (many & few).sum() == few.sum() < many.sum()


def test_a_larger_error_is_the_same_error_enlarged() -> None:
    g = np.full(MANY, 50e-6)
    small, large = (Gaussian(sigma).perturb(g, RANGE, rng(3)) - g for sigma in (0.01, 0.02))
    np.testing.assert_allclose(large, 2.0 * small, rtol=1e-6, atol=1e-18)


CHAIN: tuple[Effect, ...] = (Gaussian(0.02), LogNormal(0.05), Stuck(on=0.1, unformed=0.1), ReadNoise(0.01))


def test_effects_act_in_their_order_each_with_its_own_stream() -> None:
    g = np.full(MANY, 30e-6)
    expected = g
    for effect, stream in zip(CHAIN, rng(5).spawn(len(CHAIN)), strict=True):
        expected = effect.perturb(expected, RANGE, stream)
    np.testing.assert_array_equal(disturb(CHAIN, g, RANGE, rng(5)), expected)


def test_an_effect_appended_leaves_the_draws_of_the_others() -> None:
    g = np.full(MANY, 30e-6)
    without = disturb(CHAIN[:-1], g, RANGE, rng(5))
    noise = disturb(CHAIN, g, RANGE, rng(5)) / without - 1.0
    assert np.abs(noise).max() < 0.06
    assert noise.std() == pytest.approx(0.01, rel=0.01)


def test_no_effects_leave_a_copy() -> None:
    g = np.array([[1e-6, np.nan]])
    out = disturb((), g, RANGE, rng())
    np.testing.assert_array_equal(out, g)
    assert out is not g


@dataclasses.dataclass(frozen=True)
class Faulty:
    """An effect of a user's package that does not keep the protocol."""

    change: Callable[[Array], Array]

    def perturb(self, g: Array, g_range: tuple[float, float], rng: Generator) -> Array:
        return self.change(g)


REMEDY = "its perturb() must return what each device can conduct, or nan for an open one"
NOT_POSITIVE = "effects[1]: Faulty: expected positive conductances where devices are and nan elsewhere, found"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: g[:1], f"effects[1]: Faulty: expected conductances of shape (2, 2), found (1, 2); {REMEDY}"),
        (lambda g: 0.0 * g, f"{NOT_POSITIVE} 0 S (3 in all); {REMEDY}"),
        (lambda g: g * np.inf, f"{NOT_POSITIVE} inf S (3 in all); {REMEDY}"),
        (lambda g: np.nan_to_num(g, nan=3e-6), f"{NOT_POSITIVE} 3e-06 S (1 in all); {REMEDY}"),
    ],
)
def test_an_effect_that_breaks_the_protocol_is_named(change: Callable[[Array], Array], message: str) -> None:
    g = np.array([[1e-6, 2e-6], [3e-6, np.nan]])
    with pytest.raises(DesignError, match=f"^{re.escape(message)}$"):
        disturb((ReadNoise(), Faulty(change)), g, RANGE, rng())


def test_curvature_spreads_the_logarithm_of_the_voltage_scale() -> None:
    s = Curvature(0.2).bend(np.full(MANY, 1.1), rng(7))
    assert_normal((float(np.log(s).mean()), float(np.log(s).std())), math.log(1.1), 0.2)
    np.testing.assert_array_equal(Curvature(0.0).bend(s, rng(7)), s)


def test_a_larger_spread_of_curves_is_the_same_one_enlarged() -> None:
    small, large = (np.log(Curvature(sigma).bend(np.ones(MANY), rng(3))) for sigma in (0.1, 0.2))
    np.testing.assert_allclose(large, 2.0 * small, rtol=1e-9, atol=1e-15)


BENDING: tuple[Effect, ...] = (Gaussian(0.02), Curvature(0.1), Stuck(on=0.1), Curvature(0.2))


def test_curves_bend_in_order_each_effect_with_its_own_stream_and_only_where_devices_are() -> None:
    g = np.where(rng().random((30, 20)) < 0.8, 30e-6, np.nan)
    expected = np.where(np.isnan(g), np.nan, 1.0)
    for effect, stream in zip(BENDING, rng(5).spawn(len(BENDING)), strict=True):
        expected = effect.bend(expected, stream) if isinstance(effect, Bending) else expected
    found = bend(BENDING, g, rng(5))
    assert found is not None
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(g))
    whole = bend(BENDING, np.full(g.shape, 30e-6), rng(5))
    assert whole is not None
    np.testing.assert_array_equal(np.where(np.isnan(g), np.nan, whole), found)


def test_effects_on_conductances_bend_nothing() -> None:
    assert bend(CHAIN, np.full(MANY, 30e-6), rng(5)) is None
    assert bend((), np.full(MANY, 30e-6), rng(5)) is None


def test_curvature_appended_leaves_the_conductances_as_they_were() -> None:
    g = np.full(MANY, 30e-6)
    np.testing.assert_array_equal(disturb((*CHAIN, Curvature()), g, RANGE, rng(5)), disturb(CHAIN, g, RANGE, rng(5)))


@dataclasses.dataclass(frozen=True)
class FaultyBend(Curvature):
    """A bending effect of a user's package that does not keep the protocol."""

    change: Callable[[Array], Array] = np.asarray

    def bend(self, s: Array, rng: Generator) -> Array:
        return self.change(s)


BEND_REMEDY = "its bend() must return a positive number for each device, and nan where there is none"
NO_SCALE = "effects[1]: FaultyBend: expected positive scales where devices are and nan elsewhere, found"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s[:1], f"effects[1]: FaultyBend: expected scales of shape (2, 2), found (1, 2); {BEND_REMEDY}"),
        (lambda s: 0.0 * s, f"{NO_SCALE} 0 (3 in all); {BEND_REMEDY}"),
        (lambda s: s * np.inf, f"{NO_SCALE} inf (3 in all); {BEND_REMEDY}"),
        (lambda s: s * np.nan, f"{NO_SCALE} nan (3 in all); {BEND_REMEDY}"),
        (lambda s: np.ones((2, 2)), f"{NO_SCALE} 1 (1 in all); {BEND_REMEDY}"),
    ],
)
def test_an_effect_that_bends_what_is_not_there_is_named(change: Callable[[Array], Array], message: str) -> None:
    g = np.array([[1e-6, 2e-6], [3e-6, np.nan]])
    with pytest.raises(DesignError, match=f"^{re.escape(message)}$"):
        bend((Gaussian(), FaultyBend(change=change)), g, rng())


@dataclasses.dataclass
class Entry:
    name: str

    def load(self) -> type[Any]:
        return Faulty


def test_users_packages_add_effects_but_replace_none(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"ohmweave.effects": (Entry("ageing"), Entry("gaussian"))}
    monkeypatch.setattr(ohmweave.registry, "_installed", lambda group: installed[group])
    assert effects() == {**BUILTIN_EFFECTS, "ageing": Faulty}


@pytest.mark.parametrize("kind", BUILTIN_EFFECTS.values())
def test_every_quantity_has_a_unit_that_designs_can_write(kind: type[Any]) -> None:
    for item in dataclasses.fields(kind):
        if item.type in (float, int):
            continue
        unit = next(part for part in item.type.__metadata__ if isinstance(part, Unit))  # type: ignore[union-attr]
        value = getattr(kind(), item.name)
        for single in value if isinstance(value, tuple) else (value,):
            assert parse_quantity(format_quantity(single, unit.symbol), unit.symbol) == single


def test_a_spread_may_touch_zero_within_its_range() -> None:
    # (1 - 2 x)² µS
    assert LevelDependent(sigma=(1e-6, -4e-6, 4e-6)).spread(np.array(20e-6)) == pytest.approx(0.0, abs=1e-18)


def test_shares_that_make_one_whole_are_accepted_whatever_their_rounding() -> None:
    out = Stuck(0.1, 0.2, 0.7, g_pristine=2e-9).perturb(np.full(MANY, 5e-6), RANGE, rng())
    assert set(np.unique(out)) == {2e-9, *RANGE}
