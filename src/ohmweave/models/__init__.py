"""Users' own models of devices and op-amps: read from their files, measured in SPICE, kept beside them."""

from ohmweave.models.characterize import Characterisation, characterize
from ohmweave.models.choice import read_choice
from ohmweave.models.device import load_device, write_device
from ohmweave.models.files import FOLDER, load_library
from ohmweave.models.opamps import (
    OPAMP_FOLDER,
    load_opamp,
    load_opamp_library,
    opamp_path,
    read_opamp_choice,
    write_opamp,
)
from ohmweave.models.stored import stored_path, write_characterisation
from ohmweave.models.verilog import remarks

__all__ = [
    "FOLDER",
    "OPAMP_FOLDER",
    "Characterisation",
    "characterize",
    "load_device",
    "load_library",
    "load_opamp",
    "load_opamp_library",
    "opamp_path",
    "read_choice",
    "read_opamp_choice",
    "remarks",
    "stored_path",
    "write_characterisation",
    "write_device",
    "write_opamp",
]
