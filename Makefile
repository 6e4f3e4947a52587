# make demo    everything from nothing: environment, model, evaluate -> train -> evaluate, report
#              (ARGS="--steps=20 --eval_every=20" changes keys of the config)
# make coder   the same with a 0.5B coder model: 30 steps of a minute each, 16 GiB of memory
# make test    lint and tests (no network beyond the packages)
#
# Without a GPU, torch is the +cpu wheel: from wherever pip already finds one (a wheel folder, a
# mirror), else from TORCH_INDEX. To take it from elsewhere: make demo TORCH_INDEX=https://...

PYTHON ?= python3
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
CONFIG ?= configs/demo.py
NAME ?= demo
SEED ?= 0
ARGS ?=

BIN := .venv/bin
GPU := $(shell command -v nvidia-smi 2>/dev/null)
REQUIREMENTS := $(if $(GPU),requirements.txt,requirements-cpu.txt)
INSTALLED := .venv/.installed-$(REQUIREMENTS)
MODEL := models/smollm2-135m
# The longest first, so that one of the two workers is not left with them at the end.
LONG := $(patsubst %,tests/test_%.py,train attacks runs eval families)
TESTS := $(LONG) $(filter-out $(LONG),$(wildcard tests/test_*.py))

.PHONY: demo coder test install clean

demo: $(INSTALLED) $(MODEL)/config.json
	@echo "== 2/2 evaluate, train, evaluate: $(CONFIG)"
	@if [ -e out/$(NAME)/ckpt/latest ]; then resume=--resume; fi; \
	$(BIN)/python train.py $(CONFIG) --name=$(NAME) --seed=$(SEED) $(ARGS) $$resume

coder:
	@$(MAKE) demo CONFIG=configs/coder.py NAME=coder MODEL=models/qwen2.5-coder-0.5b

test: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(TESTS)

install: $(INSTALLED)

models/%/config.json: | $(INSTALLED)
	@echo "== 1/2 preparing models/$* (once)"
	$(BIN)/python tools/prepare.py models/$*

$(INSTALLED): $(REQUIREMENTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: Python 3.11 or newer is needed; give make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "== 0/2 installing $(REQUIREMENTS) into .venv (once; about 2 GB, some minutes)"
	$(PYTHON) -m venv $(if $(filter-out $(INSTALLED),$(wildcard .venv/.installed-*)),--clear) .venv
ifeq ($(GPU),)
	@$(BIN)/pip install --no-deps --quiet "torch==2.13.0+cpu" 2>/dev/null \
	  || $(BIN)/pip install --no-deps "torch==2.13.0+cpu" --index-url $(TORCH_INDEX)
	$(BIN)/pip install --no-deps --progress-bar off -r $(REQUIREMENTS)
else
	$(BIN)/pip install --progress-bar off -r $(REQUIREMENTS)
endif
	@touch $@

clean:
	rm -rf .venv models
