# The map: `make` prints this menu. Every command sets up what it needs, on Debian 12 or 13 with git, make, python3 and sudo.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= /usr/bin/python3
VENV := .venv
BIN := $(VENV)/bin
T ?= tests
B ?=
# These kill services and hold the whole box to its pace. They run alone; all others two at a time.
PACED := tests/crash tests/flow

export NUMBA_CACHE_DIR ?= $(CURDIR)/build/numba-cache

# What Debian provides. The first list builds and runs the gateway; the second adds the peers, the browser and the media the tests play
# against; the third the virtual bench.
APT_RUNTIME := gcc libc6-dev pkg-config libsystemd-dev python3-dev python3-venv dcmtk fonts-dejavu-core fonts-noto-cjk fonts-noto-core
APT_TEST := orthanc orthanc-dicomweb chromium ffmpeg v4l-utils edid-decode socat gettext poppler-utils udev systemd biosig-tools lrzsz
APT_RIG := qemu-system-x86 qemu-utils mmdebstrap erofs-utils zstd kmod cpio busybox-static debian-archive-keyring e2fsprogs mount

.PHONY: help
help: ## this menu
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

.PHONY: setup
setup: $(VENV)/.runtime $(VENV)/.warm ## all that running needs, into .venv/, with the pixel kernels compiled

.PHONY: setup-test
setup-test: setup $(VENV)/.dev ## setup, and all that testing needs

.PHONY: demo
demo: setup ## the whole box on simulators, panel on loopback; prints where to look
	@$(BIN)/gateway demo

.PHONY: test
test: setup-test ## every test that needs no special kernel (T=tests/spool for a part)
ifeq ($(T),tests)
	@status=0; \
	$(BIN)/python -m pytest -n 2 --dist loadfile $(T) $(PACED:%=--ignore=%) || status=$$?; \
	$(BIN)/python -m pytest $(PACED) || status=$$?; \
	exit $$status
else
	@$(BIN)/python -m pytest $(T)
endif

.PHONY: rig
rig: setup-test apt-rig ## the tests that need real kernel drivers, in the QEMU bench (T=video for one group)
	@$(BIN)/python -m pytest -m rig --timeout=0 $(patsubst %,tests/rig/%,$(filter-out tests,$(T))) $(if $(filter tests,$(T)),tests/rig)

.PHONY: check
check: setup-test ## lint, types, floors, doors, docs: clean before a commit
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest tests/test_house.py tests/test_docs.py

.PHONY: bench
bench: setup-test ## the benchmarks, as ratios against peers measured in the same run (B=name for one)
	@$(BIN)/python -m tests.benchmarks $(B)

.PHONY: campaign
campaign: setup-test ## crash, fuzz, soak and sustain at full size
	@GATEWAY_CAMPAIGN=full $(BIN)/python -m pytest --timeout=0 tests/crash tests/flow tests/objects tests/pixels tests/service tests/spool tests/wire
	@GATEWAY_SUSTAIN_S=3600 $(BIN)/python -m tests.benchmarks sustain

.PHONY: lock
lock: ## choose versions anew and write the three locks
	@python3 -m venv build/uv && build/uv/bin/pip install --quiet uv
	@uv() { build/uv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --fork-strategy fewest \
	        --generate-hashes --no-header --no-annotate "$$@"; }; \
	uv requirements-build.in -o requirements-build.lock; \
	uv pyproject.toml -o requirements.lock; \
	uv --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock

.PHONY: clean
clean: ## forget everything made here
	rm -rf $(VENV) $(VENV).lock build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage
	find gateway tests -name __pycache__ -prune -exec rm -rf {} +

# Set-up. A stamp in .venv/ is older than its lock when there is work to do; the Debian packages are asked for each time, which costs a few milliseconds.
# A lock file keeps two commands in one tree from installing at once.

PIP := flock $(VENV).lock $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --use-pep517 --no-build-isolation

define apt
	@missing=$$(for p in $(1); do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then \
	    echo "Debian packages to install:" $$missing; \
	    command -v apt-get >/dev/null || { echo "This is not Debian: install their counterparts by hand."; exit 1; }; \
	    root=; [ "$$(id -u)" = 0 ] || root=sudo; \
	    apt() { $$root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -qq -o Dpkg::Use-Pty=0 "$$@" >>build/apt.log 2>&1; }; \
	    if [ -d /run/systemd/system ]; then case " $$missing " in *[[:space:]]orthanc[[:space:]]*) $$root systemctl --quiet mask orthanc;; esac; fi; \
	    mkdir -p build; compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null || apt update || true; \
	    apt install -y --no-install-recommends $$missing || { apt update; apt install -y --no-install-recommends $$missing; } || { tail -n 20 build/apt.log; exit 1; }; \
	fi
endef

.PHONY: apt-runtime apt-test apt-rig
apt-runtime:
	$(call apt,$(APT_RUNTIME))
apt-test: apt-runtime
	$(call apt,$(APT_TEST))
apt-rig: apt-runtime
	$(call apt,$(APT_RIG))

$(BIN)/python: | apt-runtime
	@$(PYTHON) -m venv --clear $(VENV)

$(VENV)/.runtime: requirements-build.lock requirements.lock pyproject.toml | apt-runtime $(BIN)/python
	@echo "Installing what the gateway runs on into $(VENV)/"
	@$(PIP) -r requirements-build.lock
	@$(PIP) -r requirements.lock
	@flock $(VENV).lock $(BIN)/python -m pip install --quiet --disable-pip-version-check --use-pep517 --no-build-isolation --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime | apt-test
	@echo "Installing what the tests need into $(VENV)/"
	@$(PIP) -r requirements-dev.lock
	@touch $@

# Numba compiles each kernel once; after an update only those that changed.
$(VENV)/.warm: $(VENV)/.runtime $(wildcard gateway/pixels/*.py)
	@$(BIN)/gateway warm
	@touch $@
