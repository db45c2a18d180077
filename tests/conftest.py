"""Fixtures for every test."""

import os
import shutil

import pytest


@pytest.fixture(scope="session")
def ngspice() -> str:
    """The path of ngspice; skips where there is none, fails where there must be one (REQUIRE_NGSPICE=1)."""
    found = shutil.which("ngspice")
    if found is None:
        if os.environ.get("REQUIRE_NGSPICE") == "1":
            pytest.fail("REQUIRE_NGSPICE=1, but ngspice is not on this machine")
        pytest.skip("ngspice is not on this machine")
    return found
