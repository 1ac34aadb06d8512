# Two commands on a fresh machine:  make demo  and  make test
PYTHON ?= python3
BIN := .venv/bin
FAISS := $(if $(shell command -v nvidia-smi 2>/dev/null),gpu,cpu)
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
CORES := $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
export OMP_NUM_THREADS ?= $(CORES)
export NO_MKDOCS_2_WARNING := 1 # of the theme: what another version of MkDocs will break

.PHONY: demo demo-train test test-lowest lint docs docs-serve audit results clean

# constraints.txt pins torch; where a local CPU build of it is offered (UV_FIND_LINKS), uv takes that one.
.venv/ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode \
		--constraint constraints.txt --editable '.[$(FAISS),lightcurves,test]'
	touch $@

demo: .venv/ready
	$(BIN)/python scripts/demo.py

demo-train: .venv/ready
	$(BIN)/python scripts/demo.py --train

# As many processes as cores, with one thread each.
test: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(CORES) \
		--dist loadfile --no-loadscope-reorder

# With the lowest versions that pyproject.toml allows, in an environment of their own. Old versions
# warn of what newer ones of their own dependencies will drop: that is no failure here.
test-lowest:
	test -x .venv-lowest/bin/python || $(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet uv
	.venv-lowest/bin/uv pip install --quiet --python .venv-lowest/bin/python \
		--resolution lowest-direct --editable '.[$(FAISS),lightcurves,test]'
	OMP_NUM_THREADS=1 .venv-lowest/bin/python -m pytest -W default --numprocesses $(CORES) \
		--dist loadfile --no-loadscope-reorder

# Measures the shipped weights again, two hours: needs MULTISTAR_REAL_DATA.
results: .venv/ready
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[trees,variability]'
	sh scripts/measure.sh

# Known vulnerabilities of what is installed; asks PyPI.
audit: .venv/ready
	$(BIN)/uv tool run pip-audit --progress-spinner off \
		--path $$($(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

# The site, into build/site; anything that leads nowhere is an error. Needs no network.
docs: .venv/ready
	$(BIN)/mkdocs build --strict --quiet

docs-serve: .venv/ready
	$(BIN)/mkdocs serve

clean:
	rm -rf .venv .venv-lowest demo build dist *.egg-info
