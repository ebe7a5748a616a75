# Every target brings along what it needs, from a bare machine on. All of it goes into .venv, apart
# from system packages, which are installed on Debian, by root, and only where they are missing.

PYTHON ?= python3
TORCH_VERSION ?= 2.13.0

VENV := .venv
PIP := $(VENV)/bin/python -m pip install --quiet

# What PyQt6 and OpenGL need to open a window. The libraries tell whether the packages are there:
# unlike the packages, they have the same names on every Linux.
WINDOW_PACKAGES := libdbus-1-3 libegl1 libfontconfig1 libgl1 libglib2.0-0 libxcb-cursor0 \
    libxcb-icccm4 libxcb-keysyms1 libxcb-shape0 libxkbcommon-x11-0
WINDOW_LIBRARIES := libdbus-1.so.3 libEGL.so.1 libfontconfig.so.1 libGL.so.1 libglib-2.0.so.0 \
    libxcb-cursor.so.0 libxcb-icccm.so.4 libxcb-keysyms.so.1 libxcb-shape.so.0 \
    libxkbcommon-x11.so.0
DEMO_NEEDS := window $(VENV)/.window
ifneq ($(shell uname),Linux)
WINDOW_PACKAGES :=
WINDOW_LIBRARIES :=
else ifeq ($(DISPLAY),)
WINDOW_PACKAGES += xauth xvfb
WINDOW_COMMANDS := xauth xvfb-run
XVFB := xvfb-run --auto-servernum
ifeq ($(WAYLAND_DISPLAY),)
DEMO_NEEDS := $(VENV)/.package
endif
endif

# $(call install,packages) installs Debian packages, or says what is $$missing and stops
install = \
    if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
        echo "Installing the system packages $(1)"; \
        export DEBIAN_FRONTEND=noninteractive; \
        apt-get -qq update && apt-get -qq install --no-install-recommends $(1) >/dev/null; \
    else \
        echo "Missing on this machine:$$missing"; \
        echo "On Debian or Ubuntu: sudo apt-get install $(1)"; \
        exit 1; \
    fi

.PHONY: help demo test lint clean window
.DELETE_ON_ERROR:
.NOTPARALLEL:

help:
	@echo "make demo   napari at work; without a display, train and reconstruct into demo-output/"
	@echo "make test   all checks: make lint, and the tests on a virtual display"
	@echo "make lint   style, types, and the directions of imports"
	@echo "make clean  remove all that these have made"

demo: $(DEMO_NEEDS)
	$(VENV)/bin/dl4smlm demo --out demo-output

test: window lint
	OMP_NUM_THREADS=1 $(XVFB) $(VENV)/bin/python -m pytest --numprocesses auto --dist loadfile

lint: $(VENV)/.development
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

clean:
	rm -rf $(VENV) build dist demo-output .hypothesis .import_linter_cache .mypy_cache \
	    .pytest_cache .ruff_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

window:
	@missing=; \
	for command in $(WINDOW_COMMANDS); do \
	    command -v $$command >/dev/null || missing="$$missing $$command"; \
	done; \
	known="$$(PATH="$$PATH:/sbin:/usr/sbin" ldconfig -p 2>/dev/null || true)"; \
	for library in $(WINDOW_LIBRARIES); do \
	    case "$$known" in *"$$library "*) ;; *) missing="$$missing $$library";; esac; \
	done; \
	if [ -n "$$missing" ]; then $(call install,$(WINDOW_PACKAGES)); fi

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
	    echo "$(PYTHON) is not Python 3.11, 3.12 or 3.13: name one, as in make PYTHON=python3.12"; \
	    exit 1; \
	}
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	    missing=" the module ensurepip of Python"; $(call install,python3-venv); \
	}
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade "pip>=25.1"

# First, since the build for CUDA that pip takes by default is large, and of use with a GPU only
$(VENV)/.torch: | $(VENV)/bin/python
	@echo "Installing PyTorch"
	@if command -v nvidia-smi >/dev/null; then \
	    $(PIP) torch; \
	else \
	    $(PIP) torch==$(TORCH_VERSION)+cpu 2>/dev/null || \
	    $(PIP) torch==$(TORCH_VERSION) --index-url https://download.pytorch.org/whl/cpu; \
	fi
	@touch $@

$(VENV)/.package: pyproject.toml $(VENV)/.torch
	$(PIP) --editable .
	@touch $@

$(VENV)/.window: pyproject.toml $(VENV)/.torch
	$(PIP) --editable ".[all]"
	@touch $(VENV)/.package $@

$(VENV)/.development: pyproject.toml $(VENV)/.torch
	$(PIP) --editable . --group dev
	@touch $(VENV)/.package $@
