"""Builds of spiking chips: kept, read back, simulated, checked in ngspice, and put on a page."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ohmweave import archive, runs
from ohmweave.blocks import ClockedLif, ClockedLif45
from ohmweave.choices import SpikingChoice
from ohmweave.compile import compile as weave
from ohmweave.design import Design
from ohmweave.encoders import Direct, Given, Rate
from ohmweave.errors import BuildError, DataError, DesignError, ModelError, SimulationError
from ohmweave.frontend import Data, write_nir
from ohmweave.graph import Graph, Input, Linear, Node
from ohmweave.ops import LeakyIntegrateFire
from ohmweave.report import SpikeCheck, render_spiking
from ohmweave.report.quantities import quantity
from ohmweave.spiking import SpikingChip
from ohmweave.spiking.costs import energy_scope, stage_energies
from ohmweave.spiking.counterpart import Counterpart
from ohmweave.temporal import decide, run

CommandLine = Callable[..., SimpleNamespace]
X = np.random.default_rng(7).random((6, 5))
DATA = Data(X, np.array([0, 1, 0, 1, 0, 1]), "six")


def lif(count: int, reset: str = "zero") -> LeakyIntegrateFire:
    return LeakyIntegrateFire(np.full(count, 0.9), np.full(count, 1.5), reset, False)


@pytest.fixture
def network() -> Graph:
    rng = np.random.default_rng(3)
    w1, w2 = rng.normal(0.6, 0.8, (4, 5)), rng.normal(0.5, 1.2, (2, 4))
    nodes = (
        Node("x", Input((5,))),
        Node("one", Linear(w1, np.zeros(4)), ("x",)),
        Node("hidden", lif(4), ("one",)),
        Node("two", Linear(w2, np.full(2, 0.1)), ("hidden",)),
        Node("out", lif(2, "subtract"), ("two",)),
    )
    return Graph(nodes, ("out",))


@pytest.fixture
def chip(network: Graph) -> SpikingChip:
    made = weave(network, Design(encoding=Rate(6)))
    assert isinstance(made, SpikingChip)
    return made


@pytest.fixture
def build(chip: SpikingChip, tmp_path: Path) -> Path:
    return archive.save(chip, tmp_path / "build")


def stage_means(chip: SpikingChip) -> dict[str, float]:
    """Energy a sample of each stage and of the chip, J."""
    found = stage_energies(chip, chip.plan.encode(X))
    stages = {name: float(sum(each.mean() for each in parts.values())) for name, parts in found.items()}
    return {**stages, "chip": sum(stages.values())}


def table_rows(page: str) -> list[tuple[str, ...]]:
    """The cells of every row of a page's tables."""
    return [tuple(re.findall("<td>(.*?)</td>", row)) for row in re.findall("<tr>(.*?)</tr>", page)]


def test_a_build_is_read_back_as_it_was(chip: SpikingChip, build: Path) -> None:
    again = archive.load(build)
    assert isinstance(again, SpikingChip)
    assert again.plan.digest() == chip.plan.digest()
    assert again.plan.stages[1].membranes == chip.plan.stages[1].membranes
    trains = chip.plan.encode(X)
    np.testing.assert_array_equal(again.simulate(trains).output, chip.simulate(trains).output)


def test_what_asks_for_voltages_refuses_a_spiking_build(build: Path) -> None:
    with pytest.raises(BuildError, match="expected a chip that answers with voltages, found one of spiking neurons"):
        archive.load_static(build)


def test_a_run_says_what_the_network_says(network: Graph, chip: SpikingChip, build: Path) -> None:
    done = runs.simulate(build, DATA)
    software = decide(run(network, chip.plan.encode(X)))
    np.testing.assert_array_equal(done.evidence.software, software)
    found = done.summary()
    assert found["software_accuracy"] == np.mean(software == DATA.y)
    assert found["energy_j"]["rows of s0"] > 0.0
    assert set(found["energy_j"]) == {"rows of s0", "rows of s1"}
    spikes = chip.simulate(chip.plan.encode(X)).spikes
    heard = 4 * chip.plan.encode(X).sum() + 2 * spikes["s0"].sum()
    assert found["synaptic_events_each"] == pytest.approx(heard / 6)
    assert found["spikes_each"] == pytest.approx((spikes["s0"].sum() + spikes["s1"].sum()) / 6)
    assert found["energy_of"] == energy_scope(chip.plan.design)
    assert (found["samples"], found["steps"], found["reused"]) == (6, 6, False)


def test_energies_are_told_by_part_and_stage(network: Graph, tmp_path: Path) -> None:
    design = Design(encoding=Rate(6), neuron=ClockedLif45(), spiking=SpikingChoice("crossbar"))
    build = archive.save(weave(network, design), tmp_path / "build")
    made = archive.load(build)
    assert isinstance(made, SpikingChip)
    done = runs.simulate(build, DATA).summary()
    found = done["energy_j"]
    wanted = {
        f"{part} of {stage}": each.mean()
        for stage, parts in stage_energies(made, made.plan.encode(X)).items()
        for part, each in parts.items()
    }
    assert found == pytest.approx(wanted)
    assert set(found) == {f"{part} of s{stage}" for part in ("rows", "routing", "neurons") for stage in (0, 1)}
    # Of four neurons for six steps, their currents at rest alone.
    assert found["neurons of s0"] > 24 * ClockedLif45().figures.energy_step
    page = runs.report(build, tmp_path / "page.html").read_text(encoding="utf-8")
    assert f"mean of 6 samples. In it is {energy_scope(design)}." in page
    rows = table_rows(page)
    neurons, spikes = sum(v for part, v in found.items() if part.startswith("neurons")), done["spikes_each"]
    over = "all energy of the neurons over their spikes", "this chip", quantity(neurons / spikes, "J")
    assert (*over, "what they take at rest included") in rows
    alone = "energy of a spike alone", "this chip", quantity(ClockedLif45().figures.energy_spike, "J")
    assert (*alone, "what a step with a spike takes more than one without") in rows
    events = quantity(sum(found.values()) / done["synaptic_events_each"], "J")
    assert ("all energy over synaptic events", "this chip", events, "rows, routing and neurons") in rows


def test_a_run_is_kept_and_taken_up_again(build: Path) -> None:
    first, again = runs.simulate(build, DATA), runs.simulate(build, DATA)
    assert again.reused
    assert {**again.summary(), "reused": False} == first.summary()
    assert not runs.simulate(build, DATA, fresh=True).reused


def test_ngspice_finds_the_same_spikes_in_the_written_netlist(build: Path, ngspice: str) -> None:
    done = runs.verify(build, DATA, samples=2)
    assert isinstance(done, runs.SpikesVerified)
    assert done.ok, done.complaint
    found = done.summary()
    assert sum(found["spikes"].values()) > 10
    assert max(found["membrane_error"].values()) < 2e-3
    assert found["decision_agreement"] == 1.0


def test_ngspice_notices_another_conductance_in_the_netlist(build: Path, ngspice: str) -> None:
    path = build / archive.NETLIST
    lines = path.read_text(encoding="ascii").splitlines()
    first = next(k for k, line in enumerate(lines) if line.startswith("rd0_0 "))
    name, a, b, ohms = lines[first].split()
    # A hundredth of the weight's resistance: spikes where there were none.
    lines[first] = f"{name} {a} {b} {float(ohms) / 100.0!r}"
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    done = runs.verify(build, DATA, samples=2)
    assert not done.ok
    assert done.complaint.startswith("the engines disagree: spikes differing by stage s0:")


def test_the_page_shows_rasters_and_says_whether_spice_agrees(build: Path, tmp_path: Path) -> None:
    runs.simulate(build, DATA)
    page = runs.report(build, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "not checked against SPICE" in page
    assert "5 → 4 neurons → 2 neurons" in page
    assert page.count("data:image/png;base64,") == 2
    assert "mean of 6 samples. In it is only what row drivers deliver to the arrays" in page
    assert "<script" not in page


def test_the_page_says_what_each_microarchitecture_takes(chip: SpikingChip, build: Path, tmp_path: Path) -> None:
    evidence = runs.simulate(build, DATA).evidence
    page = runs.report(build, tmp_path / "page.html").read_text(encoding="utf-8")
    joules = {name: quantity(value, "J") for name, value in stage_means(chip).items()}
    rows = table_rows(page)
    assert ("s0", "1", "100.0 %", "4", "40", "5", "80", "0", joules["s0"]) in rows
    assert ("s1", "1", "100.0 %", "2", "20", "5", "40", "0", joules["s1"]) in rows
    assert ("chip, layer", "2", "100.0 %", "6", "60", "10", "120", "0", joules["chip"]) in rows
    beside = evidence.beside
    assert beside is not None
    there = quantity(sum(beside.joules.values()), "J")
    assert ("as crossbar", "2", "0.7 %", "6", "60", "10", "120", "4", there) in rows
    assert "The last line is the same network at the same design, as crossbar." in page
    assert "energy a sample, without neurons" in page
    # Of ideal neurons no figure stands alone beside those of whole chips.
    arrays = quantity(sum(evidence.joules.values()) / evidence.counts[1], "J")
    remark = "ideal neurons have no supply: not to be compared with totals of chips"
    assert ("rows and routing over synaptic events", "this chip", arrays, remark) in rows
    assert "over their spikes" not in page


def test_the_page_says_why_the_other_microarchitecture_is_missing(chip: SpikingChip, build: Path) -> None:
    evidence = runs.simulate(build, DATA).evidence
    large = replace(evidence, beside=Counterpart("crossbar", left_out="it is large"))
    assert "As crossbar: it is large." in render_spiking(chip.plan, large, None)
    none = "What the other microarchitecture would take is computed where the native engine runs."
    assert none in render_spiking(chip.plan, replace(evidence, beside=None), None)


def shared(rows: list[tuple[str, ...]]) -> tuple[str, ...]:
    """The row of the chip's energy for each synaptic event."""
    return next(row for row in rows if row and row[0] == "rows and routing over synaptic events")


def test_a_chip_without_a_spike_has_a_page(chip: SpikingChip, build: Path) -> None:
    silent = replace(runs.simulate(build, DATA).evidence, joules={"rows of s0": 0.0}, counts=(0.0, 0.0))
    rows = table_rows(render_spiking(chip.plan, silent, None))
    assert ("rows of s0", "0 J", "0.00 %") in rows
    assert "–" in shared(rows)


def test_few_spikes_are_counted_as_they_are(chip: SpikingChip, build: Path) -> None:
    """Less than one a sample, in the mean."""
    rare = replace(runs.simulate(build, DATA).evidence, joules={"rows of s0": 4e-12}, counts=(0.25, 0.5))
    rows = table_rows(render_spiking(chip.plan, rare, None))
    assert "8 pJ" in shared(rows)


def test_what_a_simulator_had_to_do_is_told_with_its_answer(chip: SpikingChip, build: Path, ngspice: str) -> None:
    done = runs.verify(build, DATA, samples=1, options={"executable": ngspice})
    assert isinstance(done, runs.SpikesVerified)
    assert done.summary()["remarks"] == list(done.check.remarks)
    told = replace(done.check, remarks=("attofarads at every node",))
    told.save(build / "told", "verified", "digest")
    again = SpikeCheck.load(build / "told", "verified", "digest")
    assert again.remarks == ("attofarads at every node",)
    evidence = runs.simulate(build, DATA).evidence
    assert "With attofarads at every node." in render_spiking(chip.plan, evidence, again)


def test_an_ngspice_run_has_no_counts_that_nobody_made(build: Path, ngspice: str) -> None:
    found = runs.simulate(build, DATA, engine="ngspice", limit=1, options={"executable": ngspice}).summary()
    assert found["spikes_each"] is found["synaptic_events_each"] is None


def test_compile_tells_arrays_wires_and_drivers_of_each_stage(
    network: Graph, tmp_path: Path, ohmweave: CommandLine
) -> None:
    write_nir(network, tmp_path / "net.nir", dt=1e-3)
    (tmp_path / "d.toml").write_text(
        '[array]\nrows = 4\ncols = 6\n[spiking]\nmicroarchitecture = "crossbar"\n', encoding="utf-8"
    )
    # Neurons 0 to 2 are at the mesh's corner, 3 at the end of its first row of three; each two hops from its middle.
    command = ("compile", tmp_path / "net.nir", "--design", tmp_path / "d.toml", "-o", tmp_path / "made")
    assert ohmweave(*command).out.splitlines()[-5:] == [
        "stage  arrays    used  neurons  memristors  row drivers  wire segments  hops",
        "s0          4  41.7 %        4          40           10             80     0",
        "s1          2  41.7 %        2          20            5             40     8",
        "chip        6  41.7 %        6          60           15            120     8",
        "hops: of one spike of each neuron to every array that hears it, in all; at most 2 to one array",
    ]
    found = json.loads(ohmweave(*command, "--json").out)["layout"]
    assert list(found) == ["s0", "s1", "chip"]
    assert (found["s0"]["arrays"], found["chip"]["longest"]) == (4, 2)
    assert found["s1"]["utilisation"] == pytest.approx(20 / 48)


def test_what_neurons_do_unlike_the_network_is_told_with_their_spikes(network: Graph, tmp_path: Path) -> None:
    design = Design(encoding=Rate(6), neuron=ClockedLif(refractory=2))
    chip = weave(network, design)
    assert isinstance(chip, SpikingChip)
    build = archive.save(chip, tmp_path / "build")
    found = runs.simulate(build, DATA).summary()
    assert found["remarks"] == list(chip.plan.remarks)
    assert len(found["remarks"]) == 2
    assert sum(found["spikes_differing"].values()) > 0
    page = runs.report(build, tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("Unlike the network") == 2
    assert "neuron.refractory = 2 silences neurons after a spike" in page


def test_the_command_line_tells_what_neurons_do_unlike_the_network(
    network: Graph, tmp_path: Path, ohmweave: CommandLine
) -> None:
    write_nir(network, tmp_path / "net.nir", dt=1e-3)
    (tmp_path / "d.toml").write_text("[neuron]\nrefractory = 2\n", encoding="utf-8")
    for design, told in (("spiking", 0), (str(tmp_path / "d.toml"), 2)):
        done = ohmweave("compile", tmp_path / "net.nir", "--design", design, "-o", tmp_path / "made", "--json")
        assert done.code == 0
        remarks = json.loads(done.out).get("remarks", ())
        assert sum("neuron.refractory = 2" in each for each in remarks) == told


def test_a_page_needs_a_run(build: Path, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="nothing was simulated yet"):
        runs.report(build, tmp_path / "page.html")


def test_direct_values_are_shares_of_a_pulse(network: Graph) -> None:
    chip = weave(network, Design(encoding=Direct(6)))
    assert isinstance(chip, SpikingChip)
    assert chip.plan.straight
    with pytest.raises(DataError, match=r"expected shares of a pulse from 0 to 1, found 1\.5"):
        chip.simulate(chip.plan.encode(np.full((1, 5), 1.5)))


def test_given_trains_are_spikes(network: Graph) -> None:
    chip = weave(network, Design(encoding=Given()))
    assert isinstance(chip, SpikingChip)
    with pytest.raises(DataError, match=r"expected spikes of 0 or 1, found 0\.5"):
        chip.simulate(np.full((1, 3, 5), 0.5))


def test_engines_without_time_are_refused(build: Path, chip: SpikingChip) -> None:
    with pytest.raises(DesignError, match="expected native or ngspice, which run spiking chips, found 'vacask'"):
        chip.simulate(chip.plan.encode(X), "vacask")
    with pytest.raises(DesignError, match="expected ngspice, which runs spiking chips in time, found 'vacask'"):
        runs.verify(build, DATA, engine="vacask")


def test_single_precision_is_not_asked_for_in_vain(build: Path) -> None:
    with pytest.raises(DesignError, match="stepped in float64 on the processor, found 'float32'"):
        runs.simulate(build, DATA, options={"precision": "float32"})


def test_no_samples_are_told(chip: SpikingChip) -> None:
    with pytest.raises(DataError, match="expected at least one sample, found none"):
        chip.plan.encode(np.zeros((0, 5)))


def test_forged_stages_are_refused(chip: SpikingChip) -> None:
    first, second = chip.plan.stages
    with pytest.raises(ModelError, match="expected an earlier stage of 4 outputs as its source, found 1"):
        replace(chip.plan, stages=(first, replace(second, source=1)))
    with pytest.raises(ModelError, match="found 5 inputs, 1 arrays and 3 membranes"):
        replace(first, membranes=first.membranes[:3])
    with pytest.raises(ModelError, match="expected a positive gain and a decay from 0 to 1, found nan"):
        replace(first.membranes[0], gain=float("nan"))


def test_too_little_time_is_told(build: Path, ngspice: str) -> None:
    with pytest.raises(SimulationError, match=r"0\.05 s"):
        runs.verify(build, DATA, samples=1, options={"time_limit": 0.05})


def test_a_network_without_spikes_needs_calibration(perceptron: Graph) -> None:
    with pytest.raises(DataError, match="expected calibration data, which sets the scales of a network without spikes"):
        weave(perceptron)


def test_the_command_line_takes_a_spiking_network_the_whole_way(
    build: Path, tmp_path: Path, ohmweave: CommandLine
) -> None:
    np.savez(tmp_path / "six.npz", x=X, y=DATA.y)
    done = ohmweave("simulate", str(build), "--data", f"npz:{tmp_path / 'six.npz'}", "--json")
    assert done.code == 0
    assert json.loads(done.out)["steps"] == 6
    assert ohmweave("netlist", str(build), "-o", str(tmp_path / "nets")).code == 0
    assert (tmp_path / "nets" / "chip.cir").stat().st_size > 1000
    refused = ohmweave("netlist", str(build), "--stage", "s0")
    assert refused.code == 2
    assert "expected no stages: a spiking chip is one circuit" in refused.err
    assert ohmweave("report", str(build)).code == 0
