"""Numbers and pictures of the study of co-optimisation; ``study_cooptimisation.py`` uses them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Records = list[dict[str, Any]]

BEGIN, END = "<!-- numbers, written by examples/study_cooptimisation.py -->", "<!-- end of numbers -->"
# Axis -> what it is, and what its values are told in.
TITLES: Mapping[str, tuple[str, float, str]] = MappingProxyType(
    {
        "base": ("base", 1.0, ""),
        "sink": ("op-amps sized for a sink current", 1e6, "µA"),
        "gbw": ("op-amps sized for a bandwidth", 1e-6, "MHz"),
        "feedback": ("loops of", 1.0, ""),
        "read": ("read voltage", 1e3, "mV"),
        "on": ("highest conductance, 30 times the lowest", 1e6, "µS"),
        "error": ("programming error of 2 % of the range, loops of", 1.0, ""),
        "network": ("hidden layers", 1.0, ""),
        "gain": ("gain of the op-amps", 1.0, ""),
        "range": ("highest conductance over the lowest", 1.0, ""),
        "bits": ("bits of the inputs", 1.0, ""),
        "kelvin_resistor": ("temperature, resistors in the loops", 1.0, "K"),
        "kelvin_memristor": ("temperature, memristors in the loops", 1.0, "K"),
        "same_resistor": ("temperature, resistors in the loops, one coefficient", 1.0, "K"),
        "same_memristor": ("temperature, memristors in the loops, one coefficient", 1.0, "K"),
        # Values: read voltage, highest conductance / range, sink current, bandwidth, hidden layer.
        "joint": ("joint search", 1.0, ""),
        "final": ("the best of them, more images", 1.0, ""),
    }
)
# What the best chip may lose to the base's software, share of the images.
ALLOWED = 0.01


def told(record: Mapping[str, Any]) -> str:
    """A record's value with its unit."""
    _, scale, unit = TITLES[record["axis"]]
    value = record["value"]
    return value if isinstance(value, str) else "" if record["axis"] == "base" else f"{value * scale:g} {unit}".strip()


def settling(record: Mapping[str, Any]) -> float | None:
    """Of all stages one after the other, s."""
    return sum(record["settling"]) if "settling" in record else None


def energy(record: Mapping[str, Any]) -> float | None:
    """Of one image, power times settling, J."""
    seconds = settling(record)
    return None if seconds is None else record["power"] * seconds


def loss(record: Mapping[str, Any]) -> float:
    """Share of its images that a chip decides wrongly, beyond those that its network does."""
    return float(record["software"] - record["circuit"]) / float(record["images"])


def winner(found: Records) -> dict[str, Any] | None:
    """The chip of transistors with the least energy among those that keep up with the base's network but for 1 in 100.

    What a chip decides is what its network does on all test images, less what the circuit loses on its own.
    """
    reference = next((each["network"] for each in found if each["axis"] == "base"), None)
    if reference is None:
        return None
    timed = (each for each in found if energy(each) and each["axis"] != "final")
    able = [each for each in timed if each["network"] - loss(each) >= reference - ALLOWED]
    return min(able, key=lambda each: energy(each) or 0.0, default=None)


def numbers(found: Records, title: str) -> list[str]:
    """The table of all points in Markdown."""
    lines = [f"### {title}", ""]
    lines += ["| varied | value | op-amps | images | software, % | circuit, % | lost, gained | gain | error, % |"]
    lines[-1] += " sinks, µA | power, mW | settling, ns | energy, nJ |"
    lines += ["|" + 13 * "---|"]
    return [*lines, *(_row(each) for each in found if each["axis"] in TITLES), ""]


def _row(record: Mapping[str, Any]) -> str:
    """A point as a line of the table."""
    images, seconds, joule = record["images"], record.get("settling", ()), energy(record)
    cells = (
        TITLES[record["axis"]][0],
        told(record),
        "transistors" if record["transistors"] else "finite",
        f"{images}",
        *(f"{100.0 * record[name] / images:.2f}" for name in ("software", "circuit")),
        f"{record['lost']}, {record['gained']}",
        f"{record['gain']:.3f}",
        f"{100.0 * record['error']:.1f}",
        f"{1e6 * record['sinks']:.0f}",
        f"{1e3 * record['power']:.2f}",
        " + ".join(f"{1e9 * part:.0f}" for part in seconds) or "–",
        "–" if joule is None else f"{1e9 * joule:.2f}",
    )
    return f"| {' | '.join(cells)} |"


def summary(found: Records) -> list[str]:
    """The best chip, and what ngspice said to whole netlists."""
    lines, best = [], winner(found)
    base = next((each for each in found if each["axis"] == "base"), None)
    if best is not None and base is not None:
        lines.append(
            f"Least energy within {ALLOWED:.0%} of the base's network: {TITLES[best['axis']][0]}: {told(best)}: "
            f"{1e9 * (energy(best) or 0.0):.2f} nJ an image, {1e3 * best['power']:.2f} mW, "
            f"{1e9 * (settling(best) or 0.0):.0f} ns; the base takes {1e9 * (energy(base) or 0.0):.2f} nJ."
        )
    lines += [
        f"On {each['images']} images it decides {each['circuit']} rightly, its network {each['software']}, and on all "
        f"test images its network {each['network']:.2%}, the base's {base['network']:.2%}."
        for each in found
        if each["axis"] == "final" and base is not None
    ]
    lines += [
        f"Whole netlist in ngspice, {each['devices']} memristors, {each['opamps']} op-amps of transistors, wires "
        f"of {each['ohms']:g} ohm a segment, one image: {each['spice_seconds']:g} s; the native engine is "
        f"{each['deviation']:.1e} of full scale away, {1e3 * each['native_power']:.3f} mW against "
        f"{1e3 * each['spice_power']:.3f} mW; {'the same' if each['same'] else 'another'} decision."
        for each in found
        if each["axis"] == "whole"
    ]
    return [part for line in lines for part in (line, "")]


def write_page(path: Path, lines: Sequence[str]) -> None:
    """Put the numbers between their marks; a page that has none gets them at its end."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    before, begin, rest = text.partition(BEGIN)
    after = rest.partition(END)[2] if begin else ""
    path.write_text(f"{before}{BEGIN}\n\n" + "\n".join(lines) + f"{END}{after or chr(10)}", encoding="utf-8")


def draw(found: Records, folder: Path) -> None:
    """Every figure for which there are points."""
    with rc_context({"svg.hashsalt": "ohmweave", "font.size": 8}):
        for name, axes in (("circuit", ("sink", "gbw", "read", "on")), ("limits", ("gain", "range", "bits"))):
            _panels(found, axes, folder / f"{name}.svg", tall=name == "circuit")
        _temperature(found, folder / "temperature.svg")
        _designs(found, folder / "designs.svg")


def _of(found: Records, axis: str) -> Records:
    return [each for each in found if each["axis"] == axis]


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None})


def _accuracy(panel: Axes, mine: Records, x: Sequence[float]) -> None:
    software = 100.0 * mine[0]["software"] / mine[0]["images"]
    panel.plot(x, [100.0 * each["circuit"] / each["images"] for each in mine], marker="o", ms=3, label="circuit")
    panel.axhline(software, color="0.4", ls="--", lw=1, label="software")
    # So that single images are not taken for a tendency.
    panel.set_ylim(top=software + 1.0, bottom=min(panel.get_ylim()[0], software - 4.0))


def _panels(found: Records, axes: Sequence[str], path: Path, *, tall: bool) -> None:
    """A column of panels for each axis: accuracy, and, of chips of transistors, power and settling."""
    shown = [axis for axis in axes if _of(found, axis)]
    if not shown:
        return
    rows = 3 if tall else 1
    figure = Figure(figsize=(1.0 + 2.3 * len(shown), 0.6 + 1.6 * rows), layout="constrained")
    grid = figure.subplots(rows, len(shown), squeeze=False)
    for k, axis in enumerate(shown):
        mine = _of(found, axis)
        title, scale, unit = TITLES[axis]
        x = [scale * each["value"] for each in mine]
        _accuracy(grid[0][k], mine, x)
        if tall:
            grid[1][k].plot(x, [1e3 * each["power"] for each in mine], marker="o", ms=3)
            timed = [(place, seconds) for place, each in zip(x, mine, strict=True) if (seconds := settling(each))]
            grid[2][k].plot([place for place, _ in timed], [1e9 * seconds for _, seconds in timed], marker="o", ms=3)
        for panel in grid[:, k]:
            panel.set_xscale("linear" if axis == "bits" else "log")
            panel.set_xticks(x, [f"{value:g}" for value in x], rotation=45 if len(x) > 6 else 0)
            panel.minorticks_off()
            if panel is not grid[0][k]:
                panel.set_ylim(bottom=0.0)
        title = title.partition(",")[0]
        grid[-1][k].set_xlabel(f"{title}, {unit}" if unit else title)
    for panel, label in zip(grid[:, 0], ("decided rightly, %", "power, mW", "settling, ns"), strict=False):
        panel.set_ylabel(label)
    grid[0][-1].legend(fontsize=7)
    _save(figure, path)


def _temperature(found: Records, path: Path) -> None:
    """Error and common gain of the scores against temperature, a line for each kind of loop."""
    axes = ("kelvin_resistor", "kelvin_memristor", "same_resistor", "same_memristor")
    kinds = [axis for axis in axes if _of(found, axis)]
    if not kinds:
        return
    figure = Figure(figsize=(6.0, 2.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for kind in kinds:
        mine = _of(found, kind)
        x, told = [each["value"] for each in mine], TITLES[kind][0].removeprefix("temperature, ")
        left.plot(x, [100.0 * each["error"] for each in mine], marker="o", ms=3)
        right.plot(x, [each["gain"] for each in mine], marker="o", ms=3, label=told)
    left.set_ylabel("error of the scores, %")
    right.set_ylabel("gain of the scores")
    for panel in (left, right):
        panel.set_xlabel("temperature, K")
    right.legend(fontsize=6)
    _save(figure, path)


def _designs(found: Records, path: Path) -> None:
    """All chips of transistors: accuracy against the energy of an image."""
    timed = [each for each in found if each["axis"] in TITLES and each["axis"] != "final" and energy(each)]
    if not timed:
        return
    figure = Figure(figsize=(6.0, 3.4), layout="constrained")
    panel = figure.subplots()
    for axis in dict.fromkeys(each["axis"] for each in timed):
        mine = [(energy(each) or 0.0, 100.0 * (each["network"] - loss(each))) for each in _of(timed, axis)]
        panel.plot([1e9 * x for x, _ in mine], [y for _, y in mine], ls="", marker="o", ms=4, label=TITLES[axis][0])
    best = winner(found)
    if best is not None:
        place = 1e9 * (energy(best) or 0.0), 100.0 * (best["network"] - loss(best))
        panel.plot(*place, ls="", marker="*", ms=13, mfc="none", mec="k", label="least energy within 1 %")
    panel.set_xscale("log")
    panel.set_xlabel("energy of an image: power times settling, nJ")
    panel.set_ylabel("network less what the circuit loses, %")
    panel.legend(fontsize=7)
    _save(figure, path)
