# make setup   everything into .venv/, and ngspice where a package manager can bring it
# make demo    the main job, on real data inside the package
# make test    the whole test suite
# make check   linters, types and import contracts

# One thread per process: small matrices run several times slower on more.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export MKL_NUM_THREADS := 1

STAMP := .venv/setup.stamp

.PHONY: setup demo test check again

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt scripts/setup.sh
	@scripts/setup.sh

# A finished set-up may have ended without ngspice; where it is required, that is not finished.
ifeq ($(REQUIRE_NGSPICE),1)
ifeq ($(shell command -v ngspice 2>/dev/null),)
$(STAMP): again
endif
endif

demo: setup
	@.venv/bin/ohmweave demo -o build/demo

test: setup
	@.venv/bin/python -m pytest -q -n 2

check: setup
	.venv/bin/ruff check --output-format concise .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
