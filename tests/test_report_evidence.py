"""What runs leave behind comes back whole, or is refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ohmweave.errors import BuildError
from ohmweave.report import Check, Evidence


@pytest.fixture
def results() -> SimpleNamespace:
    rng = np.random.default_rng(1)
    volts = {"s1": rng.normal(size=(24, 4)), "s0": rng.normal(size=(24, 8))}
    evidence = Evidence(
        engine="native",
        engine_version="1.2.3",
        data="digits:test",
        samples=24,
        x=rng.normal(size=(16, 7)),
        labels=rng.integers(0, 4, size=24),
        logits=rng.normal(size=(24, 4)),
        software_logits=rng.normal(size=(24, 4)),
        stage_volts=volts,
        stage_values={stage: 3.0 * values for stage, values in volts.items()},
        power_w={"s0 readouts": 1.5e-4, "drivers": 0.1 + 0.2},
        quiescent_w=4.2e-3,
        seconds={"reduce": 0.25, "total": 0.75},
        key="native digits",
    )
    spice = {stage: values[:5] for stage, values in volts.items()}
    native = {stage: values + 1e-12 for stage, values in spice.items()}
    return SimpleNamespace(evidence=evidence, check=Check("ngspice", "46", 5, spice, native, 1.5, 1e-6))


def test_evidence_comes_back_as_it_was_saved(results: SimpleNamespace, tmp_path: Path) -> None:
    saved = results.evidence
    path = saved.save(tmp_path / "results", "simulate-native", "d" * 64)
    assert sorted(item.name for item in path.parent.iterdir()) == ["simulate-native.json", "simulate-native.npz"]
    read = Evidence.load(tmp_path / "results", "simulate-native", "d" * 64)
    for name in ("engine", "engine_version", "data", "samples", "power_w", "quiescent_w", "seconds", "key"):
        assert getattr(read, name) == getattr(saved, name)
    for name in ("x", "labels", "logits", "software_logits"):
        np.testing.assert_array_equal(getattr(read, name), getattr(saved, name), strict=True)
    for name in ("stage_volts", "stage_values"):
        assert list(getattr(read, name)) == ["s1", "s0"]
        for stage, values in getattr(saved, name).items():
            np.testing.assert_array_equal(getattr(read, name)[stage], values, strict=True)


def test_evidence_without_labels_stays_without(results: SimpleNamespace, tmp_path: Path) -> None:
    replace(results.evidence, labels=None).save(tmp_path, "e", "d")
    assert Evidence.load(tmp_path, "e", "d").labels is None


def test_a_check_comes_back_as_it_was_saved(results: SimpleNamespace, tmp_path: Path) -> None:
    results.check.save(tmp_path, "verify", "d" * 64)
    read = Check.load(tmp_path, "verify", "d" * 64)
    for name in ("engine", "version", "samples", "seconds", "tolerance"):
        assert getattr(read, name) == getattr(results.check, name)
    for name in ("stage_volts", "native_volts"):
        for stage, values in getattr(results.check, name).items():
            np.testing.assert_array_equal(getattr(read, name)[stage], values, strict=True)


def test_results_of_another_plan_are_refused(results: SimpleNamespace, tmp_path: Path) -> None:
    results.evidence.save(tmp_path, "e", "a" * 64)
    results.check.save(tmp_path, "c", "a" * 64)
    with pytest.raises(BuildError) as stale:
        Evidence.load(tmp_path, "e", "b" * 64)
    assert str(stale.value) == (
        f"{tmp_path / 'e.json'}: was made from another plan (digest aaaaaaaaaaaa, expected bbbbbbbbbbbb); "
        "run ohmweave simulate --fresh again"
    )
    with pytest.raises(BuildError) as stale:
        Check.load(tmp_path, "c", "b" * 64)
    assert str(stale.value) == (
        f"{tmp_path / 'c.json'}: was made from another plan (digest aaaaaaaaaaaa, expected bbbbbbbbbbbb); "
        "run ohmweave verify again"
    )


def _drop_fact(name: str) -> Callable[[Path], object]:
    def edit(folder: Path) -> object:
        facts = json.loads((folder / "e.json").read_text())
        del facts[name]
        return (folder / "e.json").write_text(json.dumps(facts))

    return edit


def _set_fact(name: str, value: object) -> Callable[[Path], object]:
    def edit(folder: Path) -> object:
        facts = json.loads((folder / "e.json").read_text())
        return (folder / "e.json").write_text(json.dumps({**facts, name: value}))

    return edit


@pytest.mark.parametrize(
    ("spoil", "file", "message"),
    [
        (lambda p: (p / "e.json").unlink(), "e.json", "No such file or directory"),
        (lambda p: (p / "e.npz").unlink(), "e.npz", "No such file or directory"),
        (lambda p: (p / "e.npz").write_bytes(b"PK"), "e.npz", "ValueError: not the arrays that belong to e.json"),
        (
            lambda p: (p / "e.json").write_text("[]"),
            "e.json",
            "TypeError: list indices must be integers or slices, not str",
        ),
        (lambda p: (p / "e.json").write_text("{}"), "e.json", "KeyError: 'plan'"),
        (_drop_fact("engine"), "e.json", "KeyError: 'engine'"),
        (_set_fact("kind", "check"), "e.json", "ValueError: expected evidence of format 2, found check of format 2"),
        (_set_fact("format", 3), "e.json", "ValueError: expected evidence of format 2, found evidence of format 3"),
        (_set_fact("samples", 7), "e.json", "ValueError: logits has shape (24, 4), expected 7 samples"),
        (_set_fact("stages", ["s0", "s9"]), "e.json", "KeyError: 'stage_volts.s9'"),
        (_set_fact("power_w", 3), "e.json", "AttributeError: 'int' object has no attribute 'items'"),
    ],
)
def test_broken_files_are_named(
    results: SimpleNamespace, tmp_path: Path, spoil: Callable[[Path], object], file: str, message: str
) -> None:
    results.evidence.save(tmp_path, "e", "d")
    spoil(tmp_path)
    with pytest.raises(BuildError) as caught:
        Evidence.load(tmp_path, "e", "d")
    assert str(caught.value) == f"{tmp_path / file}: cannot be read ({message}); run ohmweave simulate --fresh again"


def test_shapes_that_do_not_belong_together_are_refused(results: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match=r"^labels has shape \(3,\), expected 24 samples$"):
        replace(results.evidence, labels=np.zeros(3, dtype=np.int64))
    with pytest.raises(ValueError, match=r"^stage_volts of s1 has shape \(5, 4\), expected 4 samples$"):
        replace(results.check, samples=4)
