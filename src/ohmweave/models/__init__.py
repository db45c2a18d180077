"""Users' own device models: read from their files, measured in SPICE, kept beside them."""

from ohmweave.models.characterize import Characterisation, characterize
from ohmweave.models.choice import read_choice
from ohmweave.models.device import load_device, write_device
from ohmweave.models.files import FOLDER, load_library
from ohmweave.models.stored import stored_path, write_characterisation
from ohmweave.models.verilog import remarks

__all__ = [
    "FOLDER",
    "Characterisation",
    "characterize",
    "load_device",
    "load_library",
    "read_choice",
    "remarks",
    "stored_path",
    "write_characterisation",
    "write_device",
]
