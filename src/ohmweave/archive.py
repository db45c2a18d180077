"""Build directories: a chip as files that a person can open.

    design.toml          every choice
    graph.json           the network's structure        weights.safetensors   its arrays
    plan.json            stages, tiles and scales       conductances.npz      targets and what was reached
    netlist/chip.cir     the whole circuit of an analog chip; of a sampled one netlist/s0.cir, ... once asked for
    results/             what engines returned, written later
    device/              the model files of a device of the user's, and what was measured on them
    opamp/               the same of an op-amp of the user's

``plan.json`` carries the digests of graph, design and plan; a directory whose files do not belong
together is refused.
"""

import json
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file
from safetensors.numpy import save as to_bytes

from ohmweave.blocks.file_opamp import FileOpAmp
from ohmweave.build import sampled_parts
from ohmweave.chip import Chip
from ohmweave.design import Design
from ohmweave.devices.file import FileDevice
from ohmweave.errors import BuildError, ModelError, OhmweaveError
from ohmweave.graph import Graph
from ohmweave.mapping import Plan
from ohmweave.models import FOLDER, OPAMP_FOLDER, write_device, write_opamp
from ohmweave.spiking import SpikingChip, SpikingPlan
from ohmweave.units import Array

__all__ = ["CACHE", "NETLIST", "RESULTS", "AnyChip", "load", "load_static", "netlist_path", "save"]

NETLIST = Path("netlist") / "chip.cir"
RESULTS = Path("results")
CACHE = Path("cache")
_PLAN = "plan.json"
_FILES = frozenset(
    {
        "cache",
        "conductances.npz",
        "design.toml",
        "device",
        "graph.json",
        "netlist",
        "opamp",
        _PLAN,
        "report.html",
        "results",
        "weights.safetensors",
    }
)
_FORMAT = 2
AnyChip = Chip | SpikingChip
_BROKEN = (
    ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError, SafetensorError,
    StopIteration, TypeError, ValueError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def netlist_path(build: Path, stage: str) -> Path:
    """Where the netlist of one stage of a sampled chip stands in a build."""
    return build / NETLIST.with_stem(stage)


def save(chip: AnyChip, directory: Path) -> Path:
    """Write a build directory; it appears whole or not at all.

    An older build of the same place is replaced; its results stay where the plan is the same.

    Raises:
        BuildError: the place holds something that is not a build, or cannot be written.
    """
    # A link keeps pointing where it points; "." gets a name and a parent.
    place = directory.resolve()
    _check_free(place, str(directory))
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{place.name}.", dir=place.parent) as staging:
            fresh, retired = Path(staging, "fresh"), Path(staging, "retired")
            fresh.mkdir()
            _write(chip, fresh)
            _keep_results(chip, place, fresh)
            _exchange(fresh, place, retired)
    except OSError as error:
        raise BuildError(
            f"cannot be written ({error.strerror})", where=str(directory), remedy="choose a place that can"
        ) from error
    return directory


def load(directory: Path) -> AnyChip:
    """Read a build directory back.

    Raises:
        BuildError: no build, a broken file, or files that do not belong together.
    """
    if not (directory / _PLAN).is_file():
        raise BuildError(
            "expected a build directory, found none", where=str(directory), remedy="make one with ohmweave compile"
        )
    structure = _read_json(directory / "graph.json")
    header = _read_json(directory / _PLAN)
    design = Design.load(directory / "design.toml", spiking=_spikes(header))
    try:
        if header["format"] != _FORMAT:
            raise BuildError(
                f"expected format {_FORMAT}, found {header['format']}",
                where=str(directory / _PLAN),
                remedy="compile again with this version",
            )
        graph = Graph.unpack(structure, load_file(directory / "weights.safetensors"))
        chip = _unpack(graph, design, header["plan"], _read_arrays(directory / "conductances.npz"))
        digests = dict(header["digests"])
    except (*_BROKEN, ModelError) as error:
        raise BuildError(
            f"is broken ({type(error).__name__}: {error})", where=str(directory), remedy="compile again"
        ) from error
    for name, found in (("graph", graph.digest()), ("design", design.digest()), ("plan", chip.plan.digest())):
        if digests.get(name) != found:
            raise BuildError(
                f"the {name} is not the one this build was made from "
                f"(digest {found[:12]}, expected {str(digests.get(name))[:12]})",
                where=str(directory),
                remedy="compile again",
            )
    return _built(chip, directory)


def load_static(directory: Path) -> Chip:
    """Read a build whose chip answers with voltages.

    Raises:
        BuildError: as :func:`load`, or a chip of spiking neurons.
    """
    chip = load(directory)
    if isinstance(chip, SpikingChip):
        raise BuildError(
            "expected a chip that answers with voltages, found one of spiking neurons",
            where=str(directory),
            remedy="its spikes are what can be asked of it",
        )
    return chip


def _spikes(header: Mapping[str, Any]) -> bool:
    """Whether a build's plan, perhaps a broken one, is that of a spiking chip."""
    plan = header.get("plan")
    return isinstance(plan, dict) and bool(plan.get("spiking"))


def _unpack(graph: Graph, design: Design, plan: Mapping[str, Any], arrays: Mapping[str, Array]) -> AnyChip:
    if plan.get("spiking"):
        return SpikingChip(SpikingPlan.unpack(graph, design, plan, arrays))
    return Chip(Plan.unpack(graph, design, plan, arrays))


def _built(chip: AnyChip, directory: Path) -> AnyChip:
    """The chip, once its circuit could be built: digests say that files belong together, not that they are sane."""
    try:
        if isinstance(chip, Chip) and chip.plan.design.coupling.sampled:
            _ = [sampled_parts(chip.plan, stage) for stage in chip.plan.stages]
        else:
            _ = chip.cell
    except _BROKEN as error:
        raise BuildError(
            f"holds no circuit ({type(error).__name__}: {error})", where=str(directory), remedy="compile again"
        ) from error
    return chip


def _check_free(place: Path, where: str) -> None:
    """Refuse a place that holds anything but a build, which alone may be replaced."""
    if not place.exists():
        return
    found = sorted(item.name for item in place.iterdir()) if place.is_dir() else [place.name]
    foreign = [name for name in found if name not in _FILES]
    netlists = place / NETLIST.parent
    if netlists.is_dir():
        ours = re.compile(rf"{NETLIST.stem}|s[0-9]+")
        foreign += [f"{netlists.name}/{item.name}" for item in netlists.iterdir() if not ours.fullmatch(item.stem)]
        # What the netlists include of model files.
        foreign = [
            name for name in foreign if name not in {f"{netlists.name}/{each}" for each in (FOLDER, OPAMP_FOLDER)}
        ]
    if foreign or (found and _PLAN not in found):
        raise BuildError(
            f"expected a new, an empty or a build directory, found other files ({(foreign or found)[0]})",
            where=where,
            remedy="choose another",
        )


def _exchange(fresh: Path, place: Path, retired: Path) -> None:
    """Put a directory into a place; what was there is moved away, and comes back if that fails."""
    try:
        if place.exists():
            place.replace(retired)
        fresh.replace(place)
    finally:
        if retired.exists() and not place.exists():
            retired.replace(place)


def _write(chip: AnyChip, directory: Path) -> None:
    plan = chip.plan
    (directory / "design.toml").write_text(plan.design.dump(), encoding="utf-8")
    if isinstance(plan.design.device, FileDevice):
        write_device(plan.design.device, directory)
    if isinstance(plan.design.opamp, FileOpAmp):
        write_opamp(plan.design.opamp, directory)
    structure, weights = plan.graph.pack()
    _write_json(directory / "graph.json", {**structure, "digest": plan.graph.digest()})
    metadata = {"graph": plan.graph.digest()}
    # Its own writer gives the file to its owner alone, whatever the umask says.
    content = to_bytes({k: np.ascontiguousarray(v) for k, v in weights.items()}, metadata)
    (directory / "weights.safetensors").write_bytes(content)
    packed, conductances = plan.pack()
    digests = {"graph": plan.graph.digest(), "design": plan.design.digest(), "plan": plan.digest()}
    _write_json(directory / _PLAN, {"format": _FORMAT, "digests": digests, "plan": packed})
    np.savez(directory / "conductances.npz", allow_pickle=False, plan=np.array(plan.digest()), **conductances)
    if isinstance(chip, SpikingChip) or not plan.design.coupling.sampled:
        chip.write(directory / NETLIST.parent)


def _keep_results(chip: AnyChip, directory: Path, partial: Path) -> None:
    """Copy the older build's results where they are of the same plan."""
    with suppress(OhmweaveError, KeyError):
        same = _read_json(directory / _PLAN)["digests"]["plan"] == chip.plan.digest()
        for folder in (RESULTS, CACHE):
            if same and (directory / folder).is_dir():
                ignore = shutil.ignore_patterns("*.part")
                shutil.copytree(directory / folder, partial / folder, ignore=ignore, ignore_dangling_symlinks=True)


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BuildError(f"cannot be read ({error})", where=str(path), remedy="compile again") from error
    if not isinstance(value, dict):
        raise BuildError("expected a JSON object", where=str(path), remedy="compile again")
    return value


def _read_arrays(path: Path) -> dict[str, Array]:
    # Opened here, since NumPy leaves a file open that it cannot read.
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        # Builds are not compressed: a small file that unpacks to a large one is no build.
        if sum(member.file_size for member in stored.zip.infolist()) > path.stat().st_size:
            raise ValueError("compressed arrays")
        return {name: stored[name] for name in stored.files if name != "plan"}
