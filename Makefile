# SPDX-License-Identifier: MIT
# A thin front: Meson builds. BUILD=DIR names another build directory.
BUILD ?= build
NINJA  = ninja -C $(BUILD)

.PHONY: all build check demo bench install clean deps

all: build

deps:
	@scripts/deps.sh

$(BUILD)/build.ninja: | deps
	meson setup $(BUILD) $(MESON_ARGS)

build: $(BUILD)/build.ninja
	@$(NINJA)
	@ln -sf cli/moat $(BUILD)/moat

check: build
	@scripts/check.py $(BUILD)

demo: build
	@scripts/demo.sh $(BUILD)

bench: build
	@scripts/bench.sh $(BUILD)

install: build
	@meson install -C $(BUILD)

clean:
	rm -rf $(BUILD)
