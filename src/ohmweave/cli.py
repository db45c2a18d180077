"""The command line: parse, call, print."""

import json
import math
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table

from ohmweave import archive, runs
from ohmweave.compile import compile as weave
from ohmweave.compile import require_known
from ohmweave.demo.story import run as run_demo
from ohmweave.design import PRESETS
from ohmweave.errors import OhmweaveError, UserError
from ohmweave.frontend import load_data, read_nir
from ohmweave.graph import Graph
from ohmweave.netlist import DIALECTS
from ohmweave.netlist import dialect as find_dialect
from ohmweave.simulate import SIMULATORS, Precision, Progress, compilers, detect
from ohmweave.spiking import SpikingChip
from ohmweave.units import format_quantity

__all__ = ["app", "main"]

_DISAGREES = 3
_INTERRUPTED = 130
_TOLERANCE = f"deviation allowed, of each stage's full scale, usually {runs.TOLERANCE:g}; of spikes the share astray"
_OTHERS = ", ".join(name for name in SIMULATORS if name != "native")
app = typer.Typer(name="ohmweave", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
Build = Annotated[Path, typer.Argument(help="a build directory")]
Json = Annotated[bool, typer.Option("--json", help="print one JSON object and nothing else")]
DataSpec = Annotated[str, typer.Option("--data", help="digits, mnist:DIR, imagefolder:DIR_OR_ZIP[:SPLIT] or npz:FILE")]


def main() -> None:
    """Run the command line; exit codes: 0 done, 1 our fault, 2 the user's input, 3 verification disagrees."""
    as_json = "--json" in sys.argv[1:]
    try:
        status = app(standalone_mode=False)
    except OhmweaveError as error:
        status = _fail(error, as_json)
    except typer.TyperException as error:  # usage errors, already worded for people
        said = error.format_message().rstrip(".")
        # Without a word the help was printed instead.
        status = _fail(UserError(said, remedy="see ohmweave --help"), as_json) if said else UserError.exit_code
    except (KeyboardInterrupt, typer.Abort):
        status = _INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last resort: anything else is our fault and must exit 1
        traceback.print_exc()
        words, remedy = f"{type(error).__name__}: {error}", "please report it with the lines above"
        status = _fail(OhmweaveError(words, where="a fault of ohmweave", remedy=remedy), as_json)
    if status == _INTERRUPTED:
        _say("interrupted; nothing half-written was left")
    sys.exit(status or 0)


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="build directory")] = Path("build/demo"),
    engine: Annotated[str, typer.Option(help="engine to check against")] = "ngspice",
    as_json: Json = False,
) -> None:
    """Compile a digits network, run 360 images through the circuit, check it in SPICE, write a report."""
    with _progress("simulating") as step:
        outcome = run_demo(output, engine=engine, progress=step, say=_say)
    if as_json:
        _print_json(outcome.summary())
    else:
        _print_table("ohmweave demo", outcome.rows())
        typer.echo(
            f"build directory: {output}\nnetlist:         {output / archive.NETLIST}\nreport:          {outcome.report}"
        )
    if not outcome.ok:
        raise typer.Exit(_DISAGREES)


@app.command("compile")
def compile_(
    model: Annotated[str, typer.Argument(help="FILE.onnx, FILE.nir or package.module:factory")],
    output: Annotated[Path, typer.Option("--output", "-o", help="build directory to make")],
    calibrate: Annotated[
        str | None,
        typer.Option(help="data that sets the scales, as for --data; its training split; spiking ones take none"),
    ] = None,
    design: Annotated[str | None, typer.Option(help=f"TOML file, or a preset: {', '.join(PRESETS)}")] = None,
    weights: Annotated[Path | None, typer.Option(help="safetensors file for a factory")] = None,
    as_json: Json = False,
) -> None:
    """Weave a network into a circuit: plan, netlist and all, in a build directory."""
    if design is not None:
        require_known(design, "--design")
    data = None if calibrate is None else load_data(calibrate, "train").x
    network, remarks = _network(model, weights)
    made = runs.Compiled(weave(network, design, calibration=data, weights=weights), output, remarks)
    archive.save(made.chip, output)
    _print(made.summary() if as_json else made.facts(), as_json, "compiled")
    if not as_json:
        typer.echo(made.table(), nl=False)


@app.command()
def simulate(
    build: Build,
    data: DataSpec,
    engine: Annotated[str, typer.Option(help=", ".join(SIMULATORS))] = "native",
    limit: Annotated[int | None, typer.Option(help="samples, from the first; all if not given")] = None,
    precision: Annotated[Precision, typer.Option(help="of the native engine; float32's error is measured")] = "float64",
    device: Annotated[str | None, typer.Option(help="torch device of the native engine, such as cuda")] = None,
    threads: Annotated[int, typer.Option(min=1, help="of the native engine, for arrays")] = 1,
    time_limit: Annotated[float, typer.Option(help="seconds a SPICE engine may take")] = 600.0,
    fresh: Annotated[bool, typer.Option("--fresh", help="compute again what was computed before")] = False,
    as_json: Json = False,
) -> None:
    """Run data through the whole circuit."""
    samples = load_data(data, "test")
    limits = _limits(time_limit)
    native = {"precision": precision, "device": device, "threads": threads}
    with _progress("simulating") as step:
        options = native if engine == "native" else limits
        done = runs.simulate(build, samples, engine=engine, limit=limit, fresh=fresh, progress=step, options=options)
    _print(done.summary(), as_json, f"simulated by {engine}")


@app.command()
def verify(
    build: Build,
    data: DataSpec,
    samples: Annotated[int, typer.Option(help="samples, from the first")] = 8,
    engine: Annotated[str, typer.Option(help=f"the engine to check against: {_OTHERS}")] = "ngspice",
    tolerance: Annotated[float | None, typer.Option(help=_TOLERANCE)] = None,
    time_limit: Annotated[float, typer.Option(help="seconds the engine may take")] = 600.0,
    as_json: Json = False,
) -> None:
    """Run the written netlist in SPICE and compare every layer; exit 3 where they disagree."""
    if tolerance is not None and not 0.0 < tolerance < 1.0:
        raise UserError(
            f"expected a share between 0 and 1, found {tolerance:g}", where="--tolerance", remedy="try 1e-6"
        )
    options = _limits(time_limit)
    given = load_data(data, "test")
    with _progress("verifying") as step:
        done = runs.verify(
            build, given, samples=samples, engine=engine, tolerance=tolerance, progress=step, options=options
        )
    _print(done.summary(), as_json, f"verified against {engine}")
    if not done.ok:
        _say(done.complaint)
        raise typer.Exit(_DISAGREES)


@app.command()
def characterize(
    model: Annotated[
        Path, typer.Argument(help="a design (.toml) with models of your own, a model file, or a kind of transistors")
    ],
    name: Annotated[str | None, typer.Option(help="of a model file: the subcircuit")] = None,
    ports: Annotated[str | None, typer.Option(help="of a model file: PLUS,MINUS, of an op-amp PLUS,MINUS,OUT")] = None,
    state: Annotated[str | None, typer.Option(help="of a model file: PARAMETER=LOW:HIGH, what programs it")] = None,
    supplies: Annotated[str | None, typer.Option(help="of an op-amp's file: PORT=VOLTS,PORT=VOLTS")] = None,
    bias: Annotated[str | None, typer.Option(help="of an op-amp's file: PORT=AMPS, a current into it")] = None,
    section: Annotated[str | None, typer.Option(help="of a model file: section of a library")] = None,
    include: Annotated[list[str] | None, typer.Option(help="FILE or FILE:SECTION it needs; may be repeated")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="of a kind: file to write")] = None,
    time_limit: Annotated[float, typer.Option(help="seconds a sweep may take")] = 600.0,
    as_json: Json = False,
) -> None:
    """Measure a device model, or an op-amp or a neuron of transistors, in ngspice: figures and what engines take."""
    given = {
        "name": name,
        "ports": None if ports is None else ports.split(","),
        "state": None if state is None else _state(state),
        "supplies": None if supplies is None else _assigned("--supplies", supplies, "vdd=0.55V,vss=-0.55V"),
        "bias": None if bias is None else _assigned("--bias", bias, "ib=5uA"),
        "section": section,
        "include": include or None,
    }
    limits = _limits(time_limit)
    with _progress("characterizing") as step:
        chosen = {key: value for key, value in given.items() if value is not None}
        made = runs.characterize_target(model, chosen, output, progress=step, options=limits)
    if as_json:
        _print_json(made[0].summary() if len(made) == 1 else {each.part: each.summary() for each in made})
        return
    for done in made:
        if isinstance(done, runs.CharacterizedOpAmp | runs.CharacterizedNeuron):
            rows = [(name, _figure(value, unit), bench) for name, value, unit, bench in done.rows()]
            _print_table(f"characterized {done.name}", rows)
            typer.echo(f"written: {done.file} (figures and curves, by {done.engine})")
        else:
            _print(done.summary(), as_json=False, title="characterized")


@app.command()
def netlist(
    build: Build,
    dialect: Annotated[str, typer.Option(help=", ".join(DIALECTS))] = "ngspice",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="directory; BUILD/netlist if not given")] = None,
    stage: Annotated[list[str] | None, typer.Option(help="write this stage alone, such as s2; may be repeated")] = None,
    as_json: Json = False,
) -> None:
    """Write the netlist of the whole circuit, of a sampled chip those of all its stages, or of some stages alone."""
    find_dialect(dialect)
    chip, begun = archive.load(build), time.perf_counter()
    folder = output or build / archive.NETLIST.parent
    if isinstance(chip, SpikingChip):
        if stage:
            raise UserError(
                "expected no stages: a spiking chip is one circuit", where="--stage", remedy="leave --stage out"
            )
        with _writing(folder):
            paths = [str(chip.write(folder, dialect))]
        _print(_written(dialect, paths, chip.plan.devices, begun), as_json, "written")
        return
    every: list[str | None] = [each.name for each in chip.plan.stages] if chip.plan.design.coupling.sampled else [None]
    # What is misspelt is told before anything is written.
    chosen = [chip.stage(name) for name in stage or ()]
    names = [each.name for each in chosen] or every
    paths = []
    with _writing(folder), _progress("writing") as step:
        for done, name in enumerate(names, 1):
            paths.append(str(chip.write(folder, dialect, name)))
            step("netlists", done, len(names))
    devices = sum(each.devices for each in chosen or chip.plan.stages)
    _print(_written(dialect, paths, devices, begun), as_json, "written")


@app.command()
def report(
    build: Build,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="HTML file; BUILD/report.html if not given")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write one self-contained HTML page about a simulated build."""
    target = output or build / "report.html"
    with _writing(target):
        page = runs.report(build, target)
    _print({"report": str(page)}, as_json, "report")


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say which simulators and Verilog-A compilers are on this machine, each tried on a small circuit."""
    engines, found = detect(), compilers()
    if as_json:
        _print_json({"engines": engines, "compilers": found})
        return
    table = Table("engine", "version", "runs", "KLU", "OSDI", "path")
    for name, facts in {**engines, **found}.items():
        flags = ["-" if key not in facts else "yes" if facts[key] else "no" for key in ("runs", "klu", "osdi")]
        table.add_row(name, str(facts["version"]), *flags, str(facts["path"]))
    Console().print(table)


def _network(model: str, weights: Path | None) -> tuple[str | Graph, tuple[str, ...]]:
    """What to compile, and what its file does not say and was assumed, which is told."""
    if weights is not None or not model.lower().endswith(".nir"):
        return model, ()
    found = read_nir(Path(model))
    for remark in found.remarks:
        _say(f"note: {remark}")
    return found.graph, found.remarks


def _written(dialect: str, paths: list[str], devices: int, begun: float) -> dict[str, Any]:
    return {"dialect": dialect, "files": paths, "devices": devices, "seconds": time.perf_counter() - begun}


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Where a file cannot be written, that is the user's to mend."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot be written ({error.strerror})", where=str(path), remedy="choose a place that can"
        ) from error


def _state(text: str) -> dict[str, Any]:
    """``PARAMETER=LOW:HIGH`` as a design has it."""
    name, _, span = text.partition("=")
    low, _, high = span.partition(":")
    try:
        return {"parameter": name.strip(), "low": float(low), "high": float(high)}
    except ValueError as error:
        raise UserError(
            f"expected PARAMETER=LOW:HIGH, found {text!r}", where="--state", remedy="try --state gap=0.2:1.7"
        ) from error


def _assigned(option: str, text: str, example: str) -> dict[str, str]:
    """``PORT=VALUE,PORT=VALUE`` as a design has it."""
    pairs = [each.partition("=") for each in text.split(",")]
    if not all(name.strip() and value.strip() for name, _, value in pairs):
        raise UserError(f"expected PORT=VALUE, found {text!r}", where=option, remedy=f"try {option} {example}")
    return {name.strip(): value.strip() for name, _, value in pairs}


def _limits(time_limit: float) -> dict[str, float]:
    if not time_limit > 0.0:
        raise UserError(f"expected more than 0 s, found {time_limit:g} s", where="--time-limit", remedy="try 600")
    return {"time_limit": time_limit}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _fail(error: OhmweaveError, as_json: bool) -> int:
    """Tell an error in both languages; returns its exit code."""
    _say(f"error: {error}")
    if as_json:
        place = {"where": error.where, "message": error.message, "remedy": error.remedy}
        _print_json({"error": {"kind": type(error).__name__, **place}})
    return error.exit_code


def _print_json(value: dict[str, Any]) -> None:
    print(json.dumps(_plain(value), allow_nan=False))


def _plain(value: Any) -> Any:
    """The value with ``None`` for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _print(summary: dict[str, Any], as_json: bool, title: str) -> None:
    if as_json:
        _print_json(summary)
    else:
        _print_table(title, [(key, _text(value)) for key, value in summary.items()])


def _print_table(title: str, rows: Sequence[tuple[str, ...]]) -> None:
    table = Table(title=title, show_header=False, title_justify="left")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{key}: {_text(inner)}" for key, inner in value.items())
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _figure(value: float, unit: str) -> str:
    """A measured value to four digits, with the prefix that suits it."""
    digits = f"{value:.4g}"
    return format_quantity(float(digits), unit) if unit and math.isfinite(value) else f"{digits} {unit}".rstrip()


@contextmanager
def _progress(title: str) -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bar = ProgressBar(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task(title, total=None)

    def step(what: str, done: int, total: int) -> None:
        # Not before there is something to tell: off a terminal an empty bar would leave an empty line.
        bar.start()
        bar.update(task, description=what, completed=done, total=total)

    try:
        yield step
    finally:
        if bar.live.is_started:
            bar.stop()
