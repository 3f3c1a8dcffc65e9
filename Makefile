# Two commands for a start: `make demo` and `make test`. `make help` lists all.

PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= requirements/constraints-cpu.txt
PYTEST_ARGS ?=
# Processes that run tests, each of one thread.
WORKERS ?= 2

# stac-model, which the tests check cards with, asks for this pip or a later one.
NEW_PIP = pip>=26.1.2
CONSTRAIN = $(if $(CONSTRAINTS),-c $(CONSTRAINTS))
RUN = $(VENV)/bin/python
PIP = $(RUN) -m pip --disable-pip-version-check
WEIGHTS = tfinet_lite0_fpn_generated
# What the demo maps, and what it fine-tunes on; another seed is another scene.
DEMO_DIR = work_dirs/demo
DEMO_DATA = data/demo
DEMO_SCENE = --size 768 --resolution 0.5 --seed 11
DEMO_PAIRS = --train 48 --val 40 --size 128 --seed 9
DEMO_CONFIG = configs/demo/tfinet_lite0_fpn_finetune.py
DEMO_OPTIONS =
TRAIN_DEMO_DIR = work_dirs/train-demo
TRAIN_DEMO_DATA = data/synthetic
TRAIN_DEMO_CONFIG = configs/demo/tfinet_r18_synthetic.py
DOC_PICTURES_DIR = work_dirs/doc_pictures
# A file stays in one process, and so do the fixtures that its tests share.
PYTEST = $(RUN) -m pytest -n $(WORKERS) --dist loadfile
# torch and oneDNN then work as on a processor with AVX2 and nothing newer.
AVX2 = ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2
# Tests in which networks compute, so that the processor makes a difference. Those of the tools run
# the same networks in processes of their own.
OF_NETWORKS = analysis apis checkpoints deploy engine evaluation models pseudo_labels \
	test_calibration.py test_ensemble_configs.py test_shipped_weights.py
INSTALLED = $(VENV)/.installed
TIMM = $(VENV)/timm/.installed
SPHINX = $(VENV)/.installed-docs

.PHONY: help install demo demo-map demo-picture train-demo test test-slow test-export test-avx2 test-all coverage docs tutorial doc-pictures qgis-plugin lint format test-openmmlab clean

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

install: $(INSTALLED) ## Make the environment: this package, the maintained stack, test tools

$(INSTALLED): pyproject.toml setup.py $(CONSTRAINTS)
	@echo "== Environment in $(VENV) (a few minutes the first time)"
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v[:2] <= (3, 13) else f"Python 3.11 to 3.13 is needed, {sys.executable} is {v.major}.{v.minor}; say make PYTHON=python3.11")'
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade '$(NEW_PIP)'
	$(PIP) install $(CONSTRAIN) -e '.[mm,pretrained,test,lint]'
	@touch $@

# timm imports torchvision, and a torchvision whose binary doesn't fit the installed torch
# would break every import of mmseg; in a folder of its own only timm's test sees it.
$(TIMM): $(INSTALLED)
	$(PIP) install --quiet --no-deps --upgrade --target $(VENV)/timm -r requirements/timm.txt
	@touch $@

# Half a minute and 200 MB that only the site needs, so they come with its first build.
$(SPHINX): $(INSTALLED)
	$(PIP) install --quiet $(CONSTRAIN) -e '.[docs]'
	@touch $@

demo: demo-map ## Map two GeoTIFFs with the weights that come along, then fine-tune them for a minute
	@echo "== 3/4 The same weights on pairs of a kind they never saw, then a minute of fine-tuning on others"
	$(RUN) tools/dataset/make_synthetic.py $(DEMO_DATA)/pairs $(DEMO_PAIRS) --workers 1
	$(RUN) tools/test.py $(DEMO_CONFIG) $(WEIGHTS) --work-dir $(DEMO_DIR)/before --json $(DEMO_DIR)/before.json
	rm -rf $(DEMO_DIR)/tuned # a training from other weights, of an earlier version, must not be taken for this one
	$(RUN) tools/train.py $(DEMO_CONFIG) --work-dir $(DEMO_DIR)/tuned $(DEMO_OPTIONS)
	@echo "== 4/4 The fine-tuned weights on the same pairs"
	$(RUN) tools/test.py $(DEMO_CONFIG) $(DEMO_DIR)/tuned/best_Score_*.pth --work-dir $(DEMO_DIR)/after \
		--json $(DEMO_DIR)/after.json --show-dir $(DEMO_DIR)/pictures
	@echo "== Scores on the held-out pairs, in percent"
	@$(RUN) tools/analysis/compare_scores.py 'as they come=$(DEMO_DIR)/before.json' 'fine-tuned=$(DEMO_DIR)/after.json'
	@echo "== The map"
	@$(RUN) tools/draw_scene.py $(DEMO_DIR)/map/before --out $(DEMO_DIR)/map.jpg
	@echo "== Look at $(DEMO_DIR)/map/report.html in a browser, and at"
	@echo "   $(DEMO_DIR)/map/before/*.tif         cloud-optimised GeoTIFFs: change, land cover, transitions"
	@echo "   $(DEMO_DIR)/map/before/changes.gpkg  polygons of the changes"
	@echo "   $(DEMO_DIR)/map/before/areas.csv     hectares from class to class"
	@echo "   $(DEMO_DIR)/pictures                 the held-out pairs, their annotation and what was predicted"

demo-map: $(INSTALLED) ## The first half of the demo: the map alone, in seconds
	@echo "== 1/4 A generated scene: two GeoTIFFs in different CRS, in $(DEMO_DATA)/scene"
	$(RUN) tools/dataset/make_scene.py $(DEMO_DATA)/scene $(DEMO_SCENE)
	@echo "== 2/4 What changed, by the weights that come with the package, into $(DEMO_DIR)/map"
	$(RUN) tools/predict.py $(DEMO_DATA)/scene/before.tif $(DEMO_DATA)/scene/after.tif \
		--out $(DEMO_DIR)/map --min-area 25 --amp --report --overwrite
	$(RUN) tools/analysis/score_scene.py $(DEMO_DIR)/map/before $(DEMO_DATA)/scene/labels

demo-picture: demo-map ## The picture at the top of the README, from the map of the demo
	$(RUN) tools/draw_scene.py $(DEMO_DIR)/map/before --out docs/images/demo.jpg

train-demo: $(INSTALLED) ## Generate data, train from scratch, test: minutes, and no weights needed
	@echo "== 1/3 Embedded data set in $(TRAIN_DEMO_DATA)"
	$(RUN) tools/dataset/make_synthetic.py $(TRAIN_DEMO_DATA) --train 240 --val 40 --size 128 --seed 0 --workers 2
	@echo "== 2/3 Training $(TRAIN_DEMO_CONFIG) into $(TRAIN_DEMO_DIR)"
	$(RUN) tools/train.py $(TRAIN_DEMO_CONFIG) --work-dir $(TRAIN_DEMO_DIR) --resume
	@echo "== 3/3 Testing the best checkpoint on the held-out pairs"
	$(RUN) tools/test.py $(TRAIN_DEMO_CONFIG) $(TRAIN_DEMO_DIR)/best_Score_*.pth --work-dir $(TRAIN_DEMO_DIR)/test \
		--out $(TRAIN_DEMO_DIR)/maps --show-dir $(TRAIN_DEMO_DIR)/pictures --json $(TRAIN_DEMO_DIR)/scores.json
	@echo "== Pictures: $(TRAIN_DEMO_DIR)/pictures   maps: $(TRAIN_DEMO_DIR)/maps   scores: $(TRAIN_DEMO_DIR)/scores.json"

test: $(INSTALLED) $(TIMM) ## Run the tests, but for the slow ones
	$(PYTEST) $(PYTEST_ARGS)

test-slow: $(INSTALLED) $(TIMM) $(SPHINX) ## Run the slow tests: every config, several processes, the whole recipe
	$(PYTEST) -m slow $(PYTEST_ARGS)

test-export: $(INSTALLED) $(TIMM) ## Export one of every family of networks, and compare with torch
	$(PYTEST) -m families $(PYTEST_ARGS)

test-avx2: $(INSTALLED) $(TIMM) ## Run the tests of networks as if the processor had AVX2 only
	$(AVX2) $(PYTEST) $(addprefix tests/,$(OF_NETWORKS)) $(PYTEST_ARGS)

test-all: $(INSTALLED) $(TIMM) $(SPHINX) ## Run all tests
	$(PYTEST) -m '' $(PYTEST_ARGS)

coverage: $(INSTALLED) $(TIMM) ## Run the tests of `make test`, and say which lines they ran
	$(PYTEST) --cov --cov-report=term --cov-report=html:work_dirs/coverage $(PYTEST_ARGS)

docs: $(INSTALLED) $(SPHINX) ## Build the documentation's site in docs/_build; warnings are errors
	$(RUN) -m sphinx --fresh-env --fail-on-warning --keep-going --quiet --jobs auto docs docs/_build/html
	@echo "== Open docs/_build/html/index.html in a browser"

tutorial: $(INSTALLED) $(SPHINX) ## Run the tutorial and store what it prints in docs/tutorial.ipynb
	$(RUN) docs/_ext/run_tutorial.py

doc-pictures: $(INSTALLED) ## Map generated scenes and draw the pictures of the docs' pages, in a minute
	$(RUN) docs/_ext/scene_pictures.py --work $(DOC_PICTURES_DIR)

qgis-plugin: ## Write the QGIS plugin as dist/tfinet_qgis.zip
	$(PYTHON) integrations/qgis/make_zip.py dist/tfinet_qgis.zip

lint: $(INSTALLED) ## Check style, formatting and types
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(VENV)/bin/lint-imports --no-logo

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

clean: ## Remove environments, the site and what the demos made
	rm -rf $(VENV) $(VENV)-openmmlab docs/_build docs/api $(DOC_PICTURES_DIR) $(DEMO_DIR) $(DEMO_DATA) $(TRAIN_DEMO_DIR) $(TRAIN_DEMO_DATA)
