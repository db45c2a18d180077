"""The page says what the results say, to anyone, without fetching anything."""

import base64
import re
from dataclasses import dataclass, replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmweave.analysis.accuracy import accuracy, agreement, confusion
from ohmweave.analysis.deviation import deviation, stage_errors, stage_values
from ohmweave.chip import Chip
from ohmweave.design import ArrayChoice, Design
from ohmweave.devices import Linear as LinearDevice
from ohmweave.graph import Graph, Input, Linear, Node, Relu, Softmax
from ohmweave.mapping import Plan, plan
from ohmweave.report import Check, Evidence, render, write
from ohmweave.report.quantities import percent, plural, quantity, scientific
from ohmweave.report.tables import network, power_bars

SAMPLES = 24


@dataclass(frozen=True, eq=False)
class Results:
    chip: Chip
    evidence: Evidence
    check: Check

    @property
    def plan(self) -> Plan:
        return self.chip.plan


def simulated(
    design: Design, *, names: tuple[str, str] = ("hidden", "out"), classes: int = 4, host: bool = False
) -> Results:
    """A random network, its circuit, and a check whose SPICE is the native engine with a known difference."""
    rng = np.random.default_rng(3)
    nodes = [
        Node("in", Input((7,))),
        Node(names[0], Linear(rng.normal(size=(8, 7)), rng.normal(size=8)), ("in",)),
        Node("act", Relu(), (names[0],)),
        Node(names[1], Linear(rng.normal(size=(classes, 8)), rng.normal(size=classes)), ("act",)),
    ]
    if host:
        nodes.append(Node("soft", Softmax(), (names[1],)))
    x = rng.uniform(-1.0, 1.0, size=(SAMPLES, 7))
    chip = Chip(plan(Graph(tuple(nodes), (nodes[-1].name,)), design, x))
    run = chip.simulate(x)
    software = chip.plan.graph.forward(x)
    labels = software.argmax(axis=1)
    labels[:3] = (labels[:3] + 1) % classes
    evidence = Evidence(
        engine="native",
        engine_version="1.2.3",
        data="digits:test",
        samples=SAMPLES,
        x=x[:16],
        labels=labels,
        logits=run.logits,
        software_logits=software,
        stage_volts=run.stage_volts,
        stage_values=stage_values(chip.plan.graph, chip.plan, x),
        power_w={part: float(watts.mean()) for part, watts in run.power.parts.items()},
        quiescent_w=run.power.quiescent,
        seconds={"reduce": 0.25, "solve": 0.5, "total": 0.75},
        key="native digits",
    )
    native = {stage: volts[:5] for stage, volts in run.stage_volts.items()}
    spice = {stage: volts.copy() for stage, volts in native.items()}
    spice["s1"][2, 1] += 4e-9 * np.abs(native["s1"]).max()
    check = Check("ngspice", "46", 5, spice, native, seconds=1.5, tolerance=1e-6)
    return Results(chip, evidence, check)


@pytest.fixture(scope="module")
def results() -> Results:
    return simulated(Design(array=ArrayChoice(rows=4, cols=6, r_row=5.0, r_col=5.0)))


@pytest.fixture(scope="module")
def page(results: Results) -> str:
    return render(results.plan, results.evidence, results.check)


@pytest.fixture(scope="module")
def unchecked(results: Results) -> str:
    return render(results.plan, results.evidence, None)


def summary(page: str) -> dict[str, tuple[str, str]]:
    """Name -> (value, note) of the table at the top."""
    value, note = r'<span class="value">([^<]*)</span>', r'(?: <span class="note">([^<]*)</span>)?'
    pattern = rf'<th scope="row">([^<]*)</th><td>{value}{note}</td>'
    return {unescape(key): (unescape(first), unescape(second)) for key, first, second in re.findall(pattern, page)}


def section(page: str, name: str) -> str:
    found = re.search(rf'<section id="{name}".*?</section>', page, re.DOTALL)
    assert found is not None, name
    return found.group()


def test_the_summary_holds_the_figures_of_the_analysis(page: str, results: Results) -> None:
    e, top = results.evidence, summary(page)
    assert e.labels is not None
    right = round(accuracy(e.software_logits, e.labels) * SAMPLES)
    assert right == SAMPLES - 3
    assert top["Network"] == ("7 → 8 (relu) → 4", "")
    assert top["Data"] == ("digits:test", "24 samples")
    assert top["Accuracy in software"] == ("87.50 %", "21 of 24 right")
    assert top["Accuracy in circuit"][0] == percent(accuracy(e.logits, e.labels))
    assert top["Decision agreement"][0] == percent(agreement(e.logits, e.software_logits))
    assert top["Memristors"] == (f"{results.plan.devices}", "in 12 tiles")
    assert top["Op-amps"] == (f"{results.plan.opamps}", "")
    assert top["Static power"][0] == quantity(sum(e.power_w.values()) + e.quiescent_w, "W")
    assert top["Wall time of native 1.2.3"] == ("750 ms", "24 samples, 31.2 ms each")
    assert top["Wall time of ngspice 46"] == ("1.5 s", "5 samples, 300 ms each")


def test_the_largest_deviation_is_named_with_its_place_and_verdict(page: str) -> None:
    value, note = summary(page)["Largest deviation from SPICE"]
    assert value == "4.0 × 10⁻⁹"
    assert note == "of full scale, in s1_y1 at sample 2; allowed 1.0 × 10⁻⁶"
    assert '<tr class="good"><th scope="row">Largest deviation from SPICE' in page
    assert "ngspice 46 confirms every stage to 4.0 × 10⁻⁹ of its full scale (5 samples" in page
    assert '<div class="box bad">' not in page


def test_a_disagreement_is_shown_as_one(results: Results) -> None:
    page = render(results.plan, results.evidence, replace(results.check, tolerance=1e-9))
    assert '<tr class="bad"><th scope="row">Largest deviation from SPICE' in page
    assert "ngspice 46 disagrees by 4.0 × 10⁻⁹ of full scale in stage s1 (5 samples); 1.0 × 10⁻⁹ is allowed." in page
    assert '<div class="box good">' not in page


def test_without_a_check_the_page_says_so_and_how_to_make_one(unchecked: str) -> None:
    assert summary(unchecked)["Largest deviation from SPICE"] == ("not checked", "see the SPICE check below")
    text = section(unchecked, "spice")
    assert "Not checked against SPICE." in text
    assert "<code>ohmweave verify BUILD --data digits:test</code>" in text
    assert '<div class="box open">' in text
    assert "Wall time of ngspice" not in unchecked


def test_every_section_is_there_with_and_without_a_check(page: str, unchecked: str) -> None:
    names = ["summary", "stages", "decisions", "layers", "spice", "power", "wires", "conductances", "design"]
    for text, pictures in ((page, 8), (unchecked, 7)):
        assert re.findall(r'<section id="(\w+)"', text) == names
        # The scatter, the histogram of the check, two of the wires, two tiles of each of the two stages.
        assert text.count('<img src="data:image/png;base64,') == pictures
        assert all(f'href="#{name}"' in text for name in names[1:])


def test_each_stage_has_its_row(page: str, results: Results) -> None:
    body = section(page, "stages")
    rows = [re.findall(r"<td>([^<]*)</td>", row) for row in re.findall(r"<tr>(<td>.*?)</tr>", body)]
    errors = stage_errors(results.plan, results.evidence.stage_volts, results.evidence.stage_values)
    found = deviation(results.check.native_volts, results.check.stage_volts)
    for row, stage in zip(rows, results.plan.stages, strict=True):
        bias = f"{stage.inputs} + {stage.bias_rows} bias × {stage.outputs}"
        assert row[:3] == [stage.name, ", ".join(stage.layers), bias]
        assert row[3:6] == [
            str(len(stage.tiles)),
            {"through": "none"}.get(stage.activation, stage.activation),
            quantity(stage.k, "S"),
        ]
        assert row[6:9] == [quantity(s, "V") for s in (stage.s_in, stage.s_pre, stage.s_out)]
        assert row[9:11] == [quantity(stage.r_feedback, "Ω"), quantity(stage.r_mixing, "Ω")]
        assert row[11:13] == [percent(errors[stage.name].rms), percent(errors[stage.name].largest)]
        assert row[13] == scientific(found.by_stage[stage.name])


def test_the_confusion_matrix_is_that_of_the_circuit(page: str, results: Results) -> None:
    assert results.evidence.labels is not None
    cells = re.findall(r'<td style="background[^"]*">(\d+)</td>', section(page, "decisions"))
    expected = confusion(results.evidence.logits, results.evidence.labels)
    np.testing.assert_array_equal(np.array(cells, dtype=int).reshape(4, 4), expected)


def test_many_classes_become_a_picture() -> None:
    many = simulated(Design(), classes=21)
    text = section(render(many.plan, many.evidence, None), "decisions")
    assert 'alt="Confusion matrix"' in text
    assert "21 classes" in text


def test_what_is_not_there_is_not_claimed(results: Results) -> None:
    evidence = replace(results.evidence, labels=None, power_w={"drivers": 3e-3, "s0 readouts": -1e-3})
    page = render(results.plan, evidence, None)
    assert "takes power in" in section(page, "power")
    assert "Accuracy in circuit" not in page
    assert "Decision agreement" in summary(page)
    assert "There are no labels for these samples" in section(page, "decisions")


def test_power_is_listed_by_part_and_adds_up(page: str, results: Results) -> None:
    parts = {**results.evidence.power_w, "at rest": results.evidence.quiescent_w}
    found = re.findall(r'class="part">([^<]*)</td>.*?class="watts">([^<]*)</td>', section(page, "power"))
    assert dict(found) == {
        **{name: quantity(watts, "W") for name, watts in parts.items()},
        "together": quantity(sum(parts.values()), "W"),
    }


def test_a_part_that_takes_power_in_is_told_apart(results: Results) -> None:
    evidence = replace(results.evidence, power_w={"drivers": 3e-3, "s0 readouts": -1e-3}, quiescent_w=0.0)
    assert [(bar.name, bar.share, bar.width, bar.negative) for bar in power_bars(evidence)] == [
        ("drivers", "150.0 %", 100.0, False),
        ("at rest", "0.0 %", 0.0, False),
        ("s0 readouts", "-50.0 %", 33.33, True),
    ]


def test_the_worst_tile_of_the_wires_is_named(page: str) -> None:
    text = section(page, "wires")
    assert re.search(
        r"Tile s[01]\.t\d_\d, row \d, column \d, sample \d+ loses most of all tiles and of the first 16 samples", text
    )
    assert "5 Ω a row segment, 5 Ω a column segment" in text


def test_wires_without_resistance_lose_nothing() -> None:
    ideal = simulated(Design(array=ArrayChoice(r_row=0.0, r_col=0.0)))
    text = section(render(ideal.plan, ideal.evidence, None), "wires")
    assert "Wires have no resistance in this design, so no voltage is lost on them." in text
    assert "<img" not in text


def test_tiles_that_are_left_out_are_counted(page: str, results: Results) -> None:
    tiles = [len(stage.tiles) for stage in results.plan.stages]
    assert tiles == [6, 6]
    text = section(page, "conductances")
    assert [int(n) for n in re.findall(r"(\d+) further tiles? of this stage", text)] == [4, 4]


def test_coarse_levels_show_as_programming_error() -> None:
    coarse = simulated(Design(device=LinearDevice(levels=3)))
    text = section(render(coarse.plan, coarse.evidence, None), "conductances")
    g_off, g_on = coarse.plan.design.device.g_range
    for stage in coarse.plan.stages:
        (tile,) = stage.tiles
        error = np.abs(tile.g - tile.target).max() / (g_on - g_off)
        assert error > 0.05
        assert f"Largest programming error {percent(error)} of the conductance range." in text


def test_every_choice_of_the_design_is_there(page: str, results: Results) -> None:
    found = re.findall(r"<dt>([^<]*)</dt><dd>([^<]*)</dd>", section(page, "design"))
    written = re.findall(r'^(\w+) = "?([^"\n]*)"?$', results.plan.design.dump(), re.MULTILINE)
    assert [(key, unescape(value)) for key, value in found] == written


def test_the_footer_says_where_the_page_comes_from(page: str, results: Results) -> None:
    footer = re.search(r"<footer>(.*)</footer>", page)
    assert footer is not None
    assert results.plan.digest()[:12] in footer.group(1)
    assert "seed 0" in footer.group(1)
    assert footer.group(1).startswith("ohmweave ")


class _Tags(HTMLParser):
    """Collects tags, and the attributes that make a browser fetch something."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "data", "action"}]


def test_nothing_is_fetched_and_nothing_runs(page: str) -> None:
    parser = _Tags()
    parser.feed(page)
    assert not {"script", "link", "iframe", "object", "embed"} & set(parser.tags)
    assert all(value.startswith(("data:image/png;base64,", "#")) for value in parser.fetched)
    # Four letters turn up by chance in a picture's encoding; the text has none.
    text = re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", page)
    assert all(word not in text for word in ("http", "//", "url(", "@import"))
    assert b"http" not in b"".join(base64.b64decode(part) for part in re.findall(r"base64,([A-Za-z0-9+/=]+)", page))
    assert len(page) < 3_000_000


def test_names_of_strangers_are_text() -> None:
    hostile = simulated(
        Design(),
        names=("<script>alert(1)</script>", '"><img src=x onerror=alert(2)> $\\frac{}$ {{ 7 * 6 }}'),
        host=True,
    )
    page = render(hostile.plan, replace(hostile.evidence, data="<b>$(rm)</b>"), hostile.check)
    parser = _Tags()
    parser.feed(page)
    assert "script" not in parser.tags
    assert "b" not in parser.tags
    assert "x" not in parser.fetched
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "{{ 7 * 6 }}" in page


def test_what_stays_on_the_host_is_named() -> None:
    assert network(simulated(Design(), host=True).plan) == "7 → 8 (relu) → 4 → softmax on the host"


def test_a_page_is_the_same_for_the_same_results(page: str, results: Results) -> None:
    assert render(results.plan, results.evidence, results.check) == page


def test_writing_replaces_whole(tmp_path: Path) -> None:
    path = tmp_path / "deeper" / "report.html"
    assert write("<p>old</p>", path) == path
    write("<p>µ Ω</p>", path)
    assert path.read_text(encoding="utf-8") == "<p>µ Ω</p>"
    assert [item.name for item in path.parent.iterdir()] == ["report.html"]


def test_a_write_that_fails_leaves_the_old_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("old", tmp_path / "report.html")

    def fail(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        write("new", path)
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 V"),
        (1.0, "1 V"),
        (0.9999999, "1 V"),
        (999.96, "1 kV"),
        (-2.5e-5, "-25 µV"),
        (1e-4, "100 µV"),
        (3.3e-20, "3.3e-05 fV"),
        (float("inf"), "inf V"),
    ],
)
def test_quantities_have_a_prefix_and_a_unit(value: float, text: str) -> None:
    assert quantity(value, "V") == text


@given(st.floats(min_value=1e-14, max_value=1e11))
def test_a_quantity_reads_back_to_its_digits(value: float) -> None:
    number, unit = quantity(value, "A").split(" ")
    scale = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "µ": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}[unit[:-1]]
    assert 1.0 <= float(number) < 1000.0
    assert float(number) * scale == pytest.approx(value, rel=1e-3)


def test_small_numbers_shares_and_counts_are_written_out() -> None:
    assert [scientific(v) for v in (3.24e-11, 0.0, 1.0, float("inf"))] == ["3.2 × 10⁻¹¹", "0", "1.0 × 10⁰", "inf"]
    assert percent(0.97222) == "97.22 %"
    assert [plural(1, "tile"), plural(1200, "tile"), plural(2, "class", "classes")] == [
        "1 tile",
        "1,200 tiles",
        "2 classes",
    ]
