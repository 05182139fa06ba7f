# Everything sets itself up: a fresh machine needs python3 with venv, and make.
PYTHON ?= python3
BIN := .venv/bin
PADDLE ?= paddlepaddle==3.3.*
OLD_PADDLE := paddlepaddle==2.6.2
# most tests wait for processes of one thread
JOBS ?= 2

.PHONY: help env demo test test-runs test-faults smoke-old lint mutants bench bench-smoke newcomer notebooks site site-serve clean

help:
	@echo "make env        a virtual environment in .venv, with ppim and all it needs"
	@echo "make demo       train three small models on drawn pictures and compare them (about 3 minutes on 2 cores)"
	@echo "make test       the tests, on Paddle 3.3"
	@echo "make test-runs  whole runs: lines as documented, launchers, kills, full disks"
	@echo "make smoke-old  a small set of both on Paddle 2.6.2"
	@echo "make test-faults   kills, full disks and damage by the thousand (hours; goes on where it stopped), and its tables"
	@echo "make lint       style, and that nothing needs a newer Python than is promised"
	@echo "make mutants    plant known mistakes one by one; every one must make a test fail"
	@echo "make bench      how fast everything is on this machine (minutes; keep it quiet)"
	@echo "make newcomer   the first ten minutes of the documentation, typed line by line in an empty folder"
	@echo "make notebooks  run the notebooks in notebooks/ (about 4 minutes on 2 cores)"
	@echo "make site       the documentation as a site, in site/, every link of it looked at"
	@echo "make site-serve the same, shown at http://127.0.0.1:8000"
	@echo "make clean      remove what the above have installed and built"

env: .venv/.ready

.venv/.ready: setup.py
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check "$(PADDLE)" -e ".[dev]"
	@touch $@

.venv-2.6/.ready: setup.py
	$(PYTHON) -m venv .venv-2.6
	.venv-2.6/bin/python -m pip install -q --disable-pip-version-check "$(OLD_PADDLE)" "numpy<2" setuptools -e ".[dev]"
	@touch $@

.venv-notebooks/.ready: setup.py
	$(PYTHON) -m venv .venv-notebooks
	.venv-notebooks/bin/python -m pip install -q --disable-pip-version-check "$(PADDLE)" -e ".[notebooks]"
	@touch $@

.venv-docs/.ready: setup.py
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install -q --disable-pip-version-check -e ".[docs]"
	@touch $@

demo: env
	$(BIN)/python tools/demo.py

test: env
	$(BIN)/python -m pytest -q -m "not runs" -n $(JOBS) --dist worksteal tests

test-runs: env
	$(BIN)/python -m pytest -q -m runs -n $(JOBS) --dist worksteal tests

test-faults: env
	$(BIN)/python -m tests.faults.campaign run; status=$$?; $(BIN)/python -m tests.faults.campaign table; exit $$status

smoke-old: .venv-2.6/.ready
	.venv-2.6/bin/python -m pytest -q -m smoke -n $(JOBS) --dist worksteal tests

lint: env
	$(BIN)/ruff check .
	$(BIN)/vermin --no-tips --violations --target=3.9- ppim tools setup.py

mutants: env
	$(BIN)/python tests/run_mutants.py

bench: env
	$(BIN)/ppim bench

bench-smoke: env
	$(BIN)/ppim bench --smoke

newcomer: env
	$(BIN)/python tests/newcomer.py

notebooks: .venv-notebooks/.ready
	.venv-notebooks/bin/python tools/run_notebooks.py

site: .venv-docs/.ready
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict -f tools/site/mkdocs.yml
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict -f tools/site/mkdocs_cn.yml
	.venv-docs/bin/python tools/site/check.py site

site-serve: site
	$(PYTHON) -m http.server --bind 127.0.0.1 --directory site 8000

clean:
	rm -rf .venv .venv-2.6 .venv-notebooks .venv-docs build site *.egg-info
