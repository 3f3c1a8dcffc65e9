# Two commands for a start: `make demo` and `make test`. `make help` lists all.

PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= requirements/constraints-cpu.txt
PYTEST_ARGS ?=
# Processes that run tests, each of one thread.
WORKERS ?= 2

CONSTRAIN = $(if $(CONSTRAINTS),-c $(CONSTRAINTS))
RUN = $(VENV)/bin/python
PIP = $(RUN) -m pip --disable-pip-version-check
DEMO_CONFIG = configs/demo/tfinet_r18_synthetic.py
DEMO_DIR = work_dirs/demo
DEMO_DATA = data/synthetic
# A file stays in one process, and so do the fixtures that its tests share.
PYTEST = $(RUN) -m pytest -n $(WORKERS) --dist loadfile
# torch and oneDNN then work as on a processor with AVX2 and nothing newer.
AVX2 = ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2
INSTALLED = $(VENV)/.installed
TIMM = $(VENV)/timm/.installed

.PHONY: help install demo test test-slow test-avx2 test-all lint format test-openmmlab clean

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

install: $(INSTALLED) ## Make the environment: this package, the maintained stack, test tools

$(INSTALLED): pyproject.toml setup.py $(CONSTRAINTS)
	@echo "== Environment in $(VENV) (a few minutes the first time)"
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v[:2] <= (3, 13) else f"Python 3.11 to 3.13 is needed, {sys.executable} is {v.major}.{v.minor}; say make PYTHON=python3.11")'
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(PIP) install $(CONSTRAIN) -e '.[mm,pretrained,test,lint]'
	@touch $@

# timm imports torchvision, and a torchvision whose binary doesn't fit the installed torch
# would break every import of mmseg; in a folder of its own only timm's test sees it.
$(TIMM): $(INSTALLED)
	$(PIP) install --quiet --no-deps --upgrade --target $(VENV)/timm -r requirements/timm.txt
	@touch $@

demo: $(INSTALLED) ## Generate data, train, test; prints scores and where the pictures are
	@echo "== 1/3 Embedded data set in $(DEMO_DATA)"
	$(RUN) tools/dataset/make_synthetic.py $(DEMO_DATA) --train 240 --val 40 --size 128 --seed 0 --workers 2
	@echo "== 2/3 Training $(DEMO_CONFIG) into $(DEMO_DIR)"
	$(RUN) tools/train.py $(DEMO_CONFIG) --work-dir $(DEMO_DIR) --resume
	@echo "== 3/3 Testing the best checkpoint on the held-out pairs"
	$(RUN) tools/test.py $(DEMO_CONFIG) $(DEMO_DIR)/best_Score_*.pth --work-dir $(DEMO_DIR)/test \
		--out $(DEMO_DIR)/maps --show-dir $(DEMO_DIR)/pictures --json $(DEMO_DIR)/scores.json
	@echo "== Pictures: $(DEMO_DIR)/pictures   maps: $(DEMO_DIR)/maps   scores: $(DEMO_DIR)/scores.json"

test: $(INSTALLED) $(TIMM) ## Run the tests, but for the slow ones
	$(PYTEST) $(PYTEST_ARGS)

test-slow: $(INSTALLED) $(TIMM) ## Run the slow tests: every config, several processes, the whole recipe
	$(PYTEST) -m slow $(PYTEST_ARGS)

test-avx2: $(INSTALLED) $(TIMM) ## Run the tests of `make test` as if the processor had AVX2 only
	$(AVX2) $(PYTEST) $(PYTEST_ARGS)

test-all: $(INSTALLED) $(TIMM) ## Run all tests
	$(PYTEST) -m '' $(PYTEST_ARGS)

lint: $(INSTALLED) ## Check style, formatting and types
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

format: $(INSTALLED) ## Mend style and formatting
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

# mmcv's operators are compiled here, which takes 10 to 20 minutes on two cores. mmcv's build
# script needs an old setuptools and must see torch, hence no build isolation.
test-openmmlab: ## Run the tests on OpenMMLab's own stack, in an environment of its own
	test -x $(VENV)-openmmlab/bin/python || $(PYTHON) -m venv $(VENV)-openmmlab
	$(VENV)-openmmlab/bin/python -m pip install $(CONSTRAIN) torch
	$(VENV)-openmmlab/bin/python -m pip install $(CONSTRAIN) 'setuptools<70' wheel ninja psutil
	MMCV_WITH_OPS=1 $(VENV)-openmmlab/bin/python -m pip install $(CONSTRAIN) --no-build-isolation -v mmcv==2.1.0
	$(VENV)-openmmlab/bin/python -m pip install $(CONSTRAIN) -e '.[openmmlab,pretrained,test]'
	$(VENV)-openmmlab/bin/python -m pytest -n $(WORKERS) --dist loadfile $(PYTEST_ARGS)

clean: ## Remove environments and what the demo made
	rm -rf $(VENV) $(VENV)-openmmlab $(DEMO_DIR) $(DEMO_DATA)
