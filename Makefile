# mockforge. `make help` lists the targets.
#
# `make run` and `make test` install what is missing (tools/install-deps) and then call make again, because what
# pkg-config says is read when a Makefile is parsed, and on a new machine there is no pkg-config yet.

BUILD     ?= build
CFLAGS    ?= -O2 -g
HARDENING ?= -fstack-protector-strong -D_FORTIFY_SOURCE=2
WERROR    ?= -Werror
PREFIX    ?= /usr/local
PYTHON    ?= /usr/bin/python3
JOBS      ?= $(shell nproc 2>/dev/null || echo 2)

# wslay comes without a .pc file.
PACKAGES := libevent libevent_openssl jansson yaml-0.1 openssl lua5.4 libzstd zlib hiredis libpcre2-8
PKG_READY := $(shell pkg-config --exists $(PACKAGES) 2>/dev/null && echo yes)
PKG_CFLAGS := $(if $(PKG_READY),$(shell pkg-config --cflags $(PACKAGES)))
PKG_LIBS := $(if $(PKG_READY),$(shell pkg-config --libs $(PACKAGES)))
CHECK_LIBS = $(shell pkg-config --libs check)

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Wno-format-nonliteral -Wundef \
	-Wpointer-arith $(WERROR)
ALL_CFLAGS = -std=gnu17 -D_GNU_SOURCE -Iinclude -Isrc $(PKG_CFLAGS) $(WARNINGS) -fno-strict-aliasing -pthread \
	$(HARDENING) $(CFLAGS) $(SANITIZE)
ALL_LIBS = -Wl,--as-needed $(PKG_LIBS) -lwslay -lm -pthread $(SANITIZE)

LIB_SOURCES   := $(filter-out src/cli/main.c,$(sort $(wildcard src/*/*.c)))
LUA_LIBRARY   := $(sort $(wildcard lua/lib/*.lua))
LIB_OBJECTS   := $(LIB_SOURCES:%.c=$(BUILD)/%.o) $(BUILD)/generated/library.o
UNIT_TESTS    := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/unit/test_*.c)))
FUZZ_SOURCES  := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_REPLAYS  := $(patsubst tests/fuzz/fuzz_%.c,$(BUILD)/tests/replay_%,$(FUZZ_SOURCES))
FUZZ_TARGETS  := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/%,$(FUZZ_SOURCES))
# Small programs over our library, and those that know nothing of it (load generator, echo server, stalling disk).
BENCH_PIECES  := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(sort $(wildcard tests/bench/bench_*.c)))
BENCH_TOOLS   := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/load.c tests/bench/*echo.c)) \
	$(patsubst tests/bench/%.c,$(BUILD)/bench/%.so,$(wildcard tests/bench/stall.c))

# V=1 shows the commands themselves.
ifeq ($(V),)
CC_QUIET = @echo "  CC $<";
LD_QUIET = @echo "  LD $@";
AR_QUIET = @echo "  AR $@";
endif

# -j for the makes that we start, unless the caller gave one.
AGAIN = $(MAKE) --no-print-directory $$(case "$$MAKEFLAGS" in *jobserver*) ;; *) echo -j$(JOBS) ;; esac)

.PHONY: all run test unit e2e replay install uninstall lint asan ubsan tsan asan-ubsan fuzz bench bench-pieces \
	bench-tools clean help format FORCE do-run do-test do-fuzz test-programs objects \
	lint-gcc lint-clang lint-tidy lint-cppcheck lint-layers lint-headers lint-shell
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
# Objects are kept: they make the next build short.
.SECONDARY:

## all: build the program (build/mockforge); `make` alone does this
all: $(BUILD)/mockforge

## run: the gateway on conf/mockforge.yaml, set-up included; UPSTREAM=wss://host/path records that API
run:
	@tools/install-deps build
	@$(AGAIN) all
	@$(MAKE) --no-print-directory do-run

RUN_ARGS = --config conf/mockforge.yaml $(if $(UPSTREAM),--set 'websocket.handlers[/proxy].upstream=$(UPSTREAM)') $(ARGS)
do-run:
	@exec $(BUILD)/mockforge serve $(RUN_ARGS)

## test: unit tests, replay of the fuzz corpora, end-to-end tests, set-up included
test:
	@tools/install-deps build tests
	@$(AGAIN) test-programs
	@$(MAKE) --no-print-directory do-test

# One suite after the other: they print, and they measure time.
test-programs: $(BUILD)/mockforge $(UNIT_TESTS) $(FUZZ_REPLAYS)
do-test:
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory replay
	@$(MAKE) --no-print-directory e2e

## unit: unit tests only (ONLY=name: one of them)
unit: $(if $(ONLY),$(filter %/test_$(ONLY:test_%=%),$(UNIT_TESTS)),$(UNIT_TESTS))
	@tools/run-units $^

## replay: feeds each fuzz target its corpus, without libFuzzer
replay: $(FUZZ_REPLAYS)
	@for program in $^; do \
		$$program tests/fuzz/corpus/$${program##*/replay_} || exit 1; \
	done

## e2e: end-to-end tests only (PYTEST_ARGS="-k name")
e2e: $(BUILD)/mockforge
	@MOCKFORGE_BIN="$(BUILD)/mockforge" NODE_PATH="$(CURDIR)/node_modules:/usr/share/nodejs" \
		PYTHONDONTWRITEBYTECODE=1 \
		tools/run-e2e $(PYTHON) "$(abspath $(BUILD))/pytest-cache" $(PYTEST_ARGS)

## install: PREFIX (/usr/local) and DESTDIR are honoured
BINDIR  = $(DESTDIR)$(PREFIX)/bin
MANDIR  = $(DESTDIR)$(PREFIX)/share/man/man1
DATADIR = $(DESTDIR)$(PREFIX)/share/mockforge
DOCDIR  = $(DESTDIR)$(PREFIX)/share/doc/mockforge
install: $(BUILD)/mockforge
	install -d "$(BINDIR)" "$(DOCDIR)" "$(DATADIR)" "$(MANDIR)"
	install -m 755 $(BUILD)/mockforge "$(BINDIR)/mockforge"
	$(BUILD)/mockforge man --output "$(MANDIR)"
	@find conf lua recordings/sample* -type f -exec install -D -m 644 {} "$(DATADIR)/{}" \;
	install -m 644 docs/*.md README.md "$(DOCDIR)"

## uninstall: removes what install put there
uninstall:
	rm -f "$(BINDIR)/mockforge" "$(MANDIR)/mockforge.1" "$(MANDIR)"/mockforge-*.1
	rm -rf "$(DATADIR)" "$(DOCDIR)"

# --- compiling ------------------------------------------------------------------------------------------------------

# Two stamps, touched only when what they hold changes: other flags rebuild everything, and a source file that came or
# went rebuilds the library.
FLAGS_NOW = $(CC) $(ALL_CFLAGS) $(LDFLAGS) $(ALL_LIBS)
$(BUILD)/flags: FORCE
	@$(if $(PKG_READY),true,echo "mockforge: libraries are missing; tools/install-deps installs them" >&2; exit 1)
	@mkdir -p $(@D)
	@printf '%s\n' '$(FLAGS_NOW)' | cmp -s - $@ || printf '%s\n' '$(FLAGS_NOW)' > $@

$(BUILD)/sources: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(LIB_SOURCES) $(LUA_LIBRARY)' | cmp -s - $@ || printf '%s\n' '$(LIB_SOURCES) $(LUA_LIBRARY)' > $@

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC_QUIET) $(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# The modules that scripts can require, as text in the program.
$(BUILD)/generated/library.c: $(LUA_LIBRARY) tools/embed-lua $(BUILD)/sources
	@mkdir -p $(@D)
	@tools/embed-lua $(LUA_LIBRARY) > $@
$(BUILD)/generated/library.o: $(BUILD)/generated/library.c $(BUILD)/flags
	$(CC_QUIET) $(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/libmockforge.a: $(LIB_OBJECTS) $(BUILD)/sources
	@rm -f $@
	$(AR_QUIET) $(AR) rcs $@ $(LIB_OBJECTS)

# The whole library, so that two functions of one name are an error and not a matter of luck.
$(BUILD)/mockforge: $(BUILD)/src/cli/main.o $(BUILD)/libmockforge.a
	$(LD_QUIET) $(CC) -o $@ -Wl,--whole-archive $^ -Wl,--no-whole-archive $(LDFLAGS) $(ALL_LIBS)

# One Check program for each file of unit tests.
$(BUILD)/tests/unit/%.o: private ALL_CFLAGS += -Itests/unit
$(BUILD)/tests/test_%: $(BUILD)/tests/unit/test_%.o $(BUILD)/libmockforge.a
	$(LD_QUIET) $(CC) -o $@ $^ $(LDFLAGS) $(CHECK_LIBS) $(ALL_LIBS)

# A fuzz target becomes two programs: one that replays files (any compiler) and one that fuzzes (clang).
$(BUILD)/tests/replay_%: $(BUILD)/tests/fuzz/fuzz_%.o $(BUILD)/tests/fuzz/replay.o $(BUILD)/libmockforge.a
	$(LD_QUIET) $(CC) -o $@ $^ $(LDFLAGS) $(ALL_LIBS)
$(BUILD)/tests/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(BUILD)/libmockforge.a
	$(LD_QUIET) $(CC) -o $@ $^ $(LDFLAGS) -fsanitize=fuzzer $(ALL_LIBS)

$(BUILD)/bench/bench_%: $(BUILD)/tests/bench/bench_%.o $(BUILD)/libmockforge.a
	@mkdir -p $(@D)
	$(LD_QUIET) $(CC) -o $@ $^ $(LDFLAGS) $(ALL_LIBS)
$(BUILD)/bench/load: $(BUILD)/tests/bench/corpus.o
$(BUILD)/bench/%: $(BUILD)/tests/bench/%.o
	@mkdir -p $(@D)
	$(LD_QUIET) $(CC) -o $@ $^ $(LDFLAGS) $(ALL_LIBS)
$(BUILD)/bench/%.so: tests/bench/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(LD_QUIET) $(CC) $(ALL_CFLAGS) -fPIC -shared -o $@ $< -ldl

# Every object there is, linked or not: for lint.
objects: $(LIB_OBJECTS) $(BUILD)/src/cli/main.o \
	$(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/unit/*.c tests/fuzz/*.c tests/bench/*.c))

# --- sanitizers: the program and all suites, built again beside the ordinary build ----------------------------------

# Warnings are lint's business: gcc invents some when it instruments.
# $(call sanitized,BUILD,SANITIZE,COMMAND): COMMAND starts the tests.
comma := ,
SANITIZED_FLAGS = BUILD=$(1) SANITIZE="$(2) -fno-omit-frame-pointer" CFLAGS="-O1 -g" HARDENING= WERROR=
define sanitized
	@tools/install-deps build tests
	@$(AGAIN) $(SANITIZED_FLAGS) test-programs
	@MOCKFORGE_TEST_SLOW=4 CK_TIMEOUT_MULTIPLIER=4 $(3) $(MAKE) --no-print-directory $(SANITIZED_FLAGS) do-test
endef
export ASAN_OPTIONS  ?= halt_on_error=1:detect_leaks=1:detect_stack_use_after_return=1
export UBSAN_OPTIONS ?= halt_on_error=1:print_stacktrace=1
export TSAN_OPTIONS  ?= halt_on_error=1:second_deadlock_stack=1

## asan: all tests with AddressSanitizer and LeakSanitizer
asan:
	$(call sanitized,build-asan,-fsanitize=address)

## ubsan: all tests with UndefinedBehaviorSanitizer
ubsan:
	$(call sanitized,build-ubsan,-fsanitize=undefined -fno-sanitize-recover=all)

## tsan: all tests with ThreadSanitizer
# Without address randomisation, which newer kernels spread wider than gcc 12's ThreadSanitizer can map.
tsan:
	$(call sanitized,build-tsan,-fsanitize=thread,setarch -R)

## asan-ubsan: the first two in one build, which is what .ci/run does
asan-ubsan:
	$(call sanitized,build-asan-ubsan,-fsanitize=address$(comma)undefined -fno-sanitize-recover=all)

# --- fuzzing --------------------------------------------------------------------------------------------------------

CLANG ?= $(firstword $(shell command -v clang-14 clang 2>/dev/null) clang)
FUZZ_SECONDS ?= 30

## fuzz: each fuzz target for FUZZ_SECONDS (30) with clang's libFuzzer (FUZZ=name: one of them)
fuzz:
	@tools/install-deps build fuzz
	@$(AGAIN) BUILD=build-fuzz CC=$(CLANG) CFLAGS="-O1 -g" HARDENING= WERROR= \
		SANITIZE="-fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all" do-fuzz
do-fuzz: $(if $(FUZZ),$(BUILD)/tests/fuzz_$(FUZZ),$(FUZZ_TARGETS))
	@tools/run-fuzz $(BUILD) $(FUZZ_SECONDS) $^

# --- benchmarks -----------------------------------------------------------------------------------------------------

## bench: CPU, latency and memory against haproxy and nginx (BENCH=quick: two minutes; see tests/bench)
bench:
	@tools/install-deps build bench
	@$(AGAIN) all bench-tools
	@$(PYTHON) tests/bench/run.py --build $(BUILD) $(if $(filter quick,$(BENCH)),--quick) $(BENCH_ARGS)
bench-tools: $(BENCH_TOOLS)

## bench-pieces: the programs in tests/bench/bench_*.c: single parts of ours, timed alone
bench-pieces: $(BENCH_PIECES)
	@for program in $^; do echo "== $${program##*/}"; $$program || exit 1; done

# --- lint -----------------------------------------------------------------------------------------------------------

## lint: gcc and clang warnings, clang-tidy, cppcheck, floors of includes, each header alone, shellcheck
lint:
	@tools/install-deps build tests lint
	@for step in layers headers shell gcc clang cppcheck tidy; do \
		echo "lint: $$step"; \
		$(AGAIN) --silent lint-$$step || exit 1; \
	done
	@echo "lint: clean"

# Beyond WARNINGS, those that only one of the two compilers knows. Not among them: a string as a condition, which is how
# MUST(!"text") names a case that cannot be, and literals of several lines in a table.
GCC_WARNINGS   := -Wduplicated-cond -Wtrampolines
CLANG_WARNINGS := -Wunreachable-code-return -Wassign-enum -Wno-string-conversion -Wno-string-concatenation

lint-gcc:
	@$(MAKE) --silent CC_QUIET=@ BUILD=build-lint/gcc CC=gcc CFLAGS="-O2 $(GCC_WARNINGS)" objects
lint-clang:
	@$(MAKE) --silent CC_QUIET=@ BUILD=build-lint/clang CC=$(CLANG) CFLAGS="-O1 $(CLANG_WARNINGS)" objects
lint-layers:
	@tools/check-layers
lint-headers:
	@tools/check-headers $(JOBS) $(CC) $(ALL_CFLAGS)
lint-shell:
	@if command -v shellcheck >/dev/null; then \
		shellcheck .ci/run $$(grep -slE "^#!.*/(ba)?sh" tools/* $(wildcard tests/bench/*)); \
	else \
		echo "shellcheck is not installed: skipped"; \
	fi

TIDY ?= $(firstword $(shell command -v clang-tidy-14 clang-tidy 2>/dev/null) clang-tidy)
# One file at a time: clang-tidy 14 takes every va_list for uninitialised from the second file on. tests/unit is left
# out: Check's macros are not ours to judge.
lint-tidy:
	@printf '%s\n' src/*/*.c $(wildcard tests/fuzz/*.c tests/bench/*.c) | xargs -P $(JOBS) -n 1 tools/run-tidy $(TIDY) $(ALL_CFLAGS) --
# memleak, uninitvar: clang's analyzer, which follows paths, decides these; cppcheck loses sight of a pointer that goes
# into a compound literal, and of `&x` in a conditional. invalidFunctionArg: posix.cfg knows no mmap(…, -1, 0).
lint-cppcheck:
	@mkdir -p build-lint/cppcheck
	@cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 -j $(JOBS) \
		--library=posix --cppcheck-build-dir=build-lint/cppcheck -D_GNU_SOURCE -Iinclude -Isrc \
		--suppress=missingInclude --suppress=memleak --suppress=uninitvar --suppress=invalidFunctionArg \
		--suppress=ctuPointerArith src $(wildcard tests/fuzz tests/bench)

## format: clang-format on all C files, in place
format:
	clang-format-14 -i $$(git ls-files '*.c' '*.h')

## clean: removes everything that was built
clean:
	rm -rf build build-* $(BUILD)

## help: this list
help:
	@sed -n 's/^## \([a-z0-9-]*\): \(.*\)/  \1\t\2/p' Makefile | expand -t 16

FORCE:

-include $(wildcard $(BUILD)/src/*/*.d $(BUILD)/tests/*/*.d $(BUILD)/generated/*.d)
