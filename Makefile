# Every target sets itself up: Python 3.11 to 3.13 and make are all it takes.
PYTHON ?= python3
VENV ?= .venv
BGE_VENV ?= .venv-bge
MILVUS_VENV ?= .venv-milvus
export PIP_DISABLE_PIP_VERSION_CHECK = 1

bin := $(VENV)/bin
bge_bin := $(BGE_VENV)/bin
milvus_bin := $(MILVUS_VENV)/bin

.PHONY: help demo test test-all test-bge test-milvus lint site audit format bench soak clean

help:  ## Shows this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/.runtime  ## The bundled day of headlines through the whole pipeline, then the stories and the map
	$(bin)/newstide demo

test: $(VENV)/.test  ## The tests, against a real local Kafka and real Milvus Lite servers; every promise has one in it
	$(bin)/python -m tests $(ARGS)

test-all: $(VENV)/.test  ## Those and the slow ones: kills, two reclusterers, long fuzz, all of axe, every model; counts the lines that run
	$(bin)/python -m tests --all --coverage $(ARGS)

test-bge: $(BGE_VENV)/.bge  ## BGE-M3 through FlagEmbedding, in an environment of its own (torch: 3 GB)
	$(bge_bin)/python -m pytest -m bge

# Milvus 2.3.5 listens on every interface, so it and its tests get a network that is nothing but loopback.
test-milvus: $(MILVUS_VENV)/.milvus  ## The store's contract against Milvus 2.3.5, end of life, in an environment of its own
	@unshare --map-root-user --net true || { echo "test-milvus needs a network of its own: unshare of util-linux, and a kernel that lets you." >&2; exit 1; }
	MILVUS_TEST_SERVER=$(abspath $(milvus_bin))/milvus-server unshare --map-root-user --net \
		sh -c 'ip link set lo up && exec "$$0" "$$@"' $(milvus_bin)/python -m pytest tests/store $(ARGS)

lint: $(VENV)/.dev site  ## ruff, mypy, the import contract, the pages' script, and the documentation's links
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy
	$(bin)/lint-imports
	$(bin)/oxlint clustering/pages/assets/script

site: $(VENV)/.dev  ## The documentation as a site, in build/site; a dead link is an error
	@NO_MKDOCS_2_WARNING=1 $(bin)/mkdocs build --strict

audit: $(VENV)/.dev  ## Known vulnerabilities of what constraints.txt names; asks PyPI, so apart from lint
	@$(bin)/pip-audit --strict --requirement constraints.txt --no-deps --disable-pip --progress-spinner off || { \
		echo "Above: what pip-audit found, or why it could not ask. Where it says that something was not found or could not be reached, the advisory service is not to be had from here, and nothing is known of what is safe." >&2; exit 1; }

format: $(VENV)/.dev  ## Lets ruff write the code's format
	$(bin)/ruff check --fix .
	$(bin)/ruff format .

bench: $(VENV)/.dev  ## The benchmarks; tables on screen, JSON in benchmarks/results
	$(bin)/python -m benchmarks

soak: $(VENV)/.dev  ## An hour of steady headlines: lag, memory, delays; MINUTES=5 for less
	$(bin)/python -m benchmarks.soak --minutes $(or $(MINUTES),60) --json benchmarks/results/soak.json

clean:  ## Removes the environments
	rm -rf $(VENV) $(BGE_VENV) $(MILVUS_VENV)

$(VENV)/.runtime: extras =
$(VENV)/.test: extras = [test]
$(VENV)/.dev: extras = [dev]
$(VENV)/.runtime $(VENV)/.test $(VENV)/.dev: pyproject.toml constraints.txt | $(bin)/python
	$(bin)/python -m pip install --quiet --constraint constraints.txt --editable '.$(extras)'
	@touch $@

$(BGE_VENV)/.bge: pyproject.toml constraints.txt | $(bge_bin)/python
	$(bge_bin)/python -m pip install --quiet --constraint constraints.txt --editable '.[bge,test]'
	@touch $@

$(MILVUS_VENV)/.milvus: pyproject.toml constraints.txt | $(milvus_bin)/python
	$(milvus_bin)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	$(milvus_bin)/python -m pip install --quiet milvus==2.3.5
	@touch $@

$(bin)/python $(bge_bin)/python $(milvus_bin)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v[:2] < (3, 14) else f"newstide needs Python 3.11 to 3.13, this is {v[0]}.{v[1]}: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(@D)/..
	$@ -m pip install --quiet --upgrade pip
