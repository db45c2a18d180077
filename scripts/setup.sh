#!/usr/bin/env bash
# Puts everything ohmweave needs in place: .venv/ with the pinned packages and, where a package
# manager can bring it, ngspice. Safe to run again. Details go to .venv/setup.log.
#
#   PYTHON=...          the interpreter to use, 3.11 or newer
#   REQUIRE_NGSPICE=1   fail where ngspice cannot be had, instead of saying what will be skipped
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly VENV=.venv
readonly LOG=.venv/setup.log
readonly STAMP=.venv/setup.stamp

say() { printf 'setup: %s\n' "$*"; }

# Runs a command with its output in the log alone, and never waits for an answer.
logged() {
    printf '\n$ %s\n' "$*" >>"$LOG"
    "$@" >>"$LOG" 2>&1 </dev/null
}

# Ends the set-up: what failed, and the last lines of the log.
give_up() {
    say "$1; the last lines of $LOG:" >&2
    tail -n 20 "$LOG" >&2
    exit 1
}

# ---------------------------------------------------------------- packages of the system

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        env DEBIAN_FRONTEND=noninteractive "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo -n env DEBIAN_FRONTEND=noninteractive "$@"
    else
        echo "neither root nor sudo without a password"
        return 1
    fi
}

apt_get() {
    as_root apt-get -q -o Acquire::Retries=1 -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30 \
        -o DPkg::Lock::Timeout=120 "$@"
}

# One field of os-release, e.g. ID or VERSION_CODENAME; empty where there is no such file.
os_release() {
    sed -n "s/^$1=//p" /etc/os-release 2>/dev/null | tr -d '"'
}

# ---------------------------------------------------------------- Python

at_least_3_11() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    local candidate
    # The versions the pins were made with come first, so that every wheel is there.
    for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3.12 python3.13 python3.14 python3 python; do
        if at_least_3_11 "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# Debian and Ubuntu keep what makes virtual environments in a package of its own.
bring_venv_module() {
    local version
    "$1" -c 'import ensurepip, venv' >/dev/null 2>&1 && return
    version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if command -v apt-get >/dev/null; then
        say "installing python$version-venv"
        logged apt_get update || true
        logged apt_get install -y "python$version-venv" && return
    fi
    say "$1 cannot make virtual environments: install its venv module (Debian, Ubuntu: python$version-venv)" >&2
    exit 1
}

make_venv() {
    local python
    if at_least_3_11 "$VENV/bin/python" && "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
        mkdir -p "$VENV" && : >"$LOG"
        return
    fi
    if ! python=$(find_python); then
        say "no Python 3.11 or newer found: install one, or name it with PYTHON=/path/to/python" >&2
        exit 1
    fi
    rm -rf "$VENV"
    mkdir -p "$VENV" && : >"$LOG"
    bring_venv_module "$python"
    say "making $VENV with $("$python" --version 2>&1) ($python)"
    logged "$python" -m venv "$VENV" || give_up "the virtual environment could not be made"
}

pip_install() {
    logged "$VENV/bin/python" -m pip install --disable-pip-version-check --no-input -c constraints.txt "$@"
}

install_packages() {
    local torch
    torch=$(grep '^torch==' constraints.txt)
    # Alone and first: resolved together with the rest, torch can draw gigabytes of CUDA libraries.
    say "installing $torch (the CPU build where there is one)"
    pip_install "$torch+cpu" || pip_install "$torch" || give_up "$torch could not be installed"
    say "installing ohmweave and the packages it needs"
    # The build backend comes from the pins too, which an isolated build would not see.
    pip_install hatchling editables || give_up "the build backend could not be installed"
    pip_install --no-build-isolation -e '.[snn,torch,dev]' || give_up "the packages could not be installed"
}

# ---------------------------------------------------------------- ngspice

has_ngspice() { command -v ngspice >/dev/null; }

# Without the KLU solver large arrays take hours; only the banner tells.
has_klu() { has_ngspice && ngspice --version 2>/dev/null </dev/null | grep KLU >/dev/null; }

apt_candidate() { apt-cache policy ngspice 2>/dev/null | sed -n 's/^ *Candidate: *//p'; }

# Debian and Ubuntu build ngspice with KLU since version 42.
klu_candidate() {
    local major
    major=$(apt_candidate)
    major=${major%%[!0-9]*}
    [ -n "$major" ] && [ "$major" -ge 42 ]
}

apt_knows() { apt-cache policy 2>/dev/null | grep "n=$1" >/dev/null; }

# Adds <codename>-backports next to the machine's own Debian source, with the same mirror and key.
add_backports() {
    local suite=$1 own=/etc/apt/sources.list.d/debian.sources added=/etc/apt/sources.list.d/backports.sources
    apt_knows "$suite" && return
    [ -f "$own" ] && [ ! -e "$added" ] || return 1
    sed "s/^Suites:.*/Suites: $suite/" "$own" | awk 'BEGIN{RS=""} NR==1' >"$VENV/backports.sources"
    logged as_root install -m 644 "$VENV/backports.sources" "$added" || return 1
    # apt calls an update without network a success: only what it knows afterwards counts.
    if ! logged apt_get update || ! apt_knows "$suite"; then
        logged as_root rm -f "$added"
        return 1
    fi
}

ngspice_by_apt() {
    local suite
    suite="$(os_release VERSION_CODENAME)-backports"
    logged apt_get update || true
    if ! klu_candidate && [ "$(os_release ID)" = debian ] && add_backports "$suite"; then
        logged apt_get install -y -t "$suite" ngspice && return
    fi
    logged apt_get install -y ngspice
}

ngspice_by_package_manager() {
    if command -v apt-get >/dev/null; then
        ngspice_by_apt
    elif command -v brew >/dev/null; then
        logged brew install ngspice
    elif command -v dnf >/dev/null; then
        logged as_root dnf install -y ngspice
    elif command -v pacman >/dev/null; then
        logged as_root pacman -S --noconfirm --needed ngspice
    else
        return 1
    fi
}

bring_ngspice() {
    has_klu && return
    say "installing ngspice"
    ngspice_by_package_manager || true
    hash -r
    if has_klu; then
        return
    elif has_ngspice; then
        say "ngspice is here without its KLU solver: SPICE checks of large arrays will be slow"
    elif [ "${REQUIRE_NGSPICE:-0}" = 1 ]; then
        say "ngspice is missing and could not be installed, and REQUIRE_NGSPICE=1 asks for it (see $LOG)" >&2
        exit 1
    else
        say "ngspice is missing and could not be installed: SPICE verification and contract tests will be skipped"
    fi
}

# The first run would otherwise wait for the compiler of the array kernels; later ones find them kept.
compile_kernels() {
    "$VENV/bin/python" -c "import numpy, ohmweave.simulate.merging as m; m.port_admittance(numpy.full((20, 20), 1e-5), 1.0, 1.0)" \
        >>"$LOG" 2>&1 || say "the array kernels could not be compiled ahead (see $LOG)"
}

make_venv
rm -f "$STAMP"
install_packages
compile_kernels
bring_ngspice
touch "$STAMP"
say "done"
