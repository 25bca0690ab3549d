# Each target sets up what it needs in .venv; a second call installs nothing.
CHECK := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c '$(CHECK)' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
OPENCV4 := .venv-opencv4
AUDIT := .venv-audit
NEEDS := pyproject.toml constraints.txt
WEAKNESSES = $(AUDIT)/bin/pip-audit --no-deps --disable-pip --progress-spinner off -r
RUNTIME := train export openvino litert ncnn demo parquet notebook supervision tune cluster serve
LOCK = $(AUDIT)/bin/uv pip compile -q pyproject.toml -c constraints.txt --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-emit-index-url --custom-compile-command 'make locks'

.PHONY: help setup demo test soak fuzz long quick caffe lint audit locks bench parity docs site hour experiments clean

help:           ## list the targets
	@grep -hE '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(VENV)/dev.stamp  ## install everything for development into .venv

demo: $(VENV)/demo.stamp  ## merge two small detectors of handwritten digits into one, export and run it
	$(BIN)/centerx demo --out demo

test: $(VENV)/dev.stamp   ## run the tests (ten minutes)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal --durations 10 -m "not soak"

soak: $(VENV)/dev.stamp   ## run the longest tests, which `make test` leaves out (a quarter of an hour)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal --durations 10 -m soak

quick: $(VENV)/dev.stamp  ## run the tests that train, export and install nothing (two minutes)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not soak"

fuzz: $(VENV)/dev.stamp   ## feed readers made-up inputs, guided by coverage and by hypothesis (half an hour)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt 'atheris==3.0.0'
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.dirty.fuzz --seconds 120 --out runs/fuzz
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/dirty/test_made_up.py --hypothesis-profile soak

long: $(VENV)/dev.stamp   ## train, predict and serve in a loop and watch what is held (two hours)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/long_run.py --minutes 120

caffe: $(OPENCV4)/stamp   ## run the tests of Caffe networks, which need OpenCV 4
	$(OPENCV4)/bin/python -m pytest tests/interop/test_caffe.py tests/runtime/test_opencv.py

lint: $(VENV)/dev.stamp   ## check style, types and spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell src tests docs experiments benchmarks *.md

audit: $(VENV)/dev.stamp $(AUDIT)/stamp  ## list what is installed in build/sbom.json, look for known weaknesses of what is pinned
	@mkdir -p build
	$(AUDIT)/bin/cyclonedx-py environment --pyproject pyproject.toml --of JSON -o build/sbom.json $(BIN)/python
	@echo 'pillow==9.0.0' > build/known.txt; $(WEAKNESSES) build/known.txt 2>/dev/null | grep -qE '(PYSEC|GHSA|CVE)-' || \
		{ echo "error: nothing was audited: of pillow 9.0.0 no weakness is told, so the service of advisories is not reached" >&2; \
		exit 1; }
	$(WEAKNESSES) constraints.txt --strict

locks: $(AUDIT)/stamp     ## write locks/ anew, with hashes, by constraints.txt
	$(LOCK) --extra serve -o locks/serve.txt
	$(LOCK) $(RUNTIME:%=--extra %) -o locks/all.txt

bench: $(VENV)/dev.stamp  ## measure speed, rows into benchmarks/results/
	$(BIN)/python benchmarks/run.py

parity: $(OPENCV4)/stamp  ## compare every export format with torch, for every task (an hour)
	$(OPENCV4)/bin/python benchmarks/parity.py

docs: $(VENV)/dev.stamp   ## write docs/config.md and all generated tables anew, check the links of all pages
	$(BIN)/python docs/generate.py

site: $(VENV)/dev.stamp   ## build the pages with search and the Python reference into site/; a broken link is an error
	$(BIN)/sphinx-build -W --keep-going -q -b html -c docs . site
	@echo "open site/index.html"

hour:                     ## type the README and two tutorials in a fresh clone, into docs/first-hour.md (an hour)
	rm -rf build/clone && git clone -q . build/clone
	$(BIN)/python docs/first_hour.py build/clone

experiments: $(VENV)/dev.stamp  ## train for the tables of docs/results (days)
	$(BIN)/python experiments/repeat.py bccd_r18
	$(BIN)/python experiments/repeat.py bccd_nano
	$(BIN)/python experiments/repeat.py bccd_nano train.epochs=60 --out runs/longer
	$(BIN)/python experiments/repeat.py facemask_nano
	$(BIN)/python experiments/partial_labels.py
	$(BIN)/python experiments/distillation.py
	$(BIN)/python experiments/distillation.py --rows "alone, N" "alone, 2 N" "taught with labels, N + N" "taught with labels, 2 N" \
		--set train.optimizer.lr=0.008 --out runs/twice_the_rate
	$(BIN)/python experiments/distill_losses.py
	$(BIN)/python experiments/merging.py bccd
	$(BIN)/python experiments/merging.py facemask
	$(BIN)/python experiments/merging.py bccd --seeds 0 --teacher-epochs 60 --out runs/shorter
	$(BIN)/python experiments/merging.py bccd --seeds 0 --epochs 60 --teacher-epochs 80 --rows merged masked full --out runs/long
	$(BIN)/python experiments/merging.py facemask --epochs 10 --teacher-epochs 20 --out runs/short
	$(BIN)/python experiments/merging.py bccd --rows merged --set distill.size=1.0 distill.offset=3 --out runs/boxes
	$(BIN)/python experiments/merging.py facemask --seeds 1 2 --epochs 10 --teacher-epochs 20 --rows merged \
		--set distill.size=1.0 distill.offset=3 --out runs/boxes
	$(BIN)/python experiments/architectures.py --rows n
	$(BIN)/python experiments/ablation.py --seeds 0
	$(BIN)/python experiments/ablation.py --rows "all three" --out runs/three_seeds
	$(BIN)/python experiments/ablation.py --rows distributions --out runs/lengths
	$(BIN)/python experiments/adding.py --data bccd
	$(BIN)/python experiments/adding.py --data facemask --epochs 10 --old-epochs 10
	$(BIN)/python experiments/adding.py --data digits
	$(BIN)/python experiments/merging.py bccd --rows merged --epochs 30 --teacher-epochs 60 --out runs/teachers_60
	$(BIN)/python experiments/any_teacher.py --teachers runs/teachers_60/bccd
	$(BIN)/python experiments/street.py
	$(BIN)/python experiments/carried.py
	$(BIN)/python experiments/joints_and_boxes.py --rows mice
	$(BIN)/python experiments/three_teachers.py --scenes 800 --epochs 12
	$(BIN)/python experiments/learning_rates.py --epochs 12
	$(BIN)/python experiments/learning_rates.py --epochs 12 --optimizer adamw --rates 0.004 0.064 --out runs/adamw
	$(BIN)/python experiments/recipes.py
	$(BIN)/python experiments/deformable.py
	$(BIN)/python experiments/dirty.py

clean:          ## remove .venv, the demo, the practice and the site, not runs
	rm -rf $(VENV) $(OPENCV4) $(AUDIT) demo practice site build

$(VENV)/bin/python:
	@test -n "$(PYTHON)" && $(PYTHON) -c '$(CHECK)' || \
		{ echo "error: Python 3.11 to 3.13 is needed, name one such as PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "error: $(PYTHON) cannot make .venv, see above" >&2; exit 2; }

$(VENV)/dev.stamp: $(NEEDS) | $(VENV)/bin/python
	@echo "installing for development into $(VENV), some minutes"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/demo.stamp

$(VENV)/demo.stamp: $(NEEDS) | $(VENV)/bin/python
	@echo "installing into $(VENV), some minutes"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[demo]'
	@touch $@

# OpenCV 5 dropped the importer of Caffe networks: the same packages with OpenCV 4 before them.
$(OPENCV4)/stamp: $(VENV)/dev.stamp
	@$(BIN)/python -m venv $(OPENCV4)
	@$(BIN)/python -c "import site; print(f'import site; site.addsitedir({site.getsitepackages()[0]!r})')" > \
		$$(echo $(OPENCV4)/lib/python3*/site-packages)/beside.pth
	@$(OPENCV4)/bin/python -m pip install -q --disable-pip-version-check --no-deps 'opencv-python-headless==4.14.0.94'
	@touch $@

# Tools that are no part of what they look at.
$(AUDIT)/stamp: constraints.txt | $(VENV)/bin/python
	@$(BIN)/python -m venv $(AUDIT)
	@$(AUDIT)/bin/pip install -q --disable-pip-version-check -c constraints.txt \
		'cyclonedx-bom==7.5.0' 'pip-audit==2.10.1' 'uv==0.13.9'
	@touch $@
