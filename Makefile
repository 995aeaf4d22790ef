# rbench. `make` builds ./rbench, `make run` installs, builds and runs the main job, `make test` runs
# every test, `make isa` runs them at each ISA cap, `make asan` under sanitizers, `make faults` lets
# calls fail, `make fuzz` feeds the readers, `make check` runs the lints, `make asm` disassembles the
# kernels; install, uninstall and deb are in tools/install.mk.
# Everything built lives in build/<config>/; CONFIG=release|nocount|asan|fuzz|edges|coverage,
# WERROR=1 for CI.

ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -r -j$(shell nproc)
endif
ifeq ($(origin CC),default)
CC := gcc
endif
CONFIG ?= release
B := build/$(CONFIG)
FUZZ_SECONDS ?= 30
CRITERION ?= -lcriterion
Q := $(if $(V),,@)# make V=1 shows the commands
SAY := @$(if $(V),:,echo)

include kernels/isa.mk

WARN := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wundef -Wstrict-prototypes -Wvla
WARN += $(if $(WERROR),-Werror)
CFLAGS_release := -O3
# Can run without booking: only to measure what booking costs.
CFLAGS_nocount := -O3 -DRB_NOCOUNT=1
CFLAGS_asan := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
# Of the readers: kernels are those of one ISA.
CFLAGS_fuzz := -O1 -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all \
               -DRB_SCALAR_ONLY=1
# The fuzzers without checks, which are edges too: what inputs do not reach shows, and soon.
CFLAGS_edges := -O1 -fsanitize=fuzzer-no-link -DRB_SCALAR_ONLY=1
CFLAGS_coverage := -O0 --coverage -DRB_SCALAR_ONLY=1
# Line numbers are what perf and backtraces need; all of -g doubles the time to compile.
CFLAGS := $(KERNEL_FLAGS) -g1 -fopenmp $(WARN) $(CFLAGS_$(CONFIG)) \
          $(EXTRA_CFLAGS)
LDFLAGS := -fopenmp $(filter -fsanitize=% --coverage,$(CFLAGS_$(CONFIG)))

comma := ,
# OpenBLAS in its OpenMP flavour, by its own directory: Debian's alternative prefers pthreads.
# ROOT: where headers and libraries of another machine lie, as below /.
find = $(firstword $(wildcard $(addprefix $(ROOT),$(1)/$(MACHINE)-linux-gnu/$(2) $(1)/$(2) $(1)64/$(2))))
BLAS_DIR := $(call find,/usr/lib,openblas-openmp)
BLAS_INC := $(firstword $(call find,/usr/include,openblas-openmp) $(wildcard $(ROOT)/usr/include/openblas))
LDLIBS := $(if $(BLAS_DIR),-L$(BLAS_DIR) -Wl$(comma)-rpath$(comma)$(BLAS_DIR)) -lopenblas \
          -ljansson -lhwloc -lutf8proc -lm
CFLAGS += $(if $(BLAS_INC),-isystem $(BLAS_INC))

# The font of figures becomes a part of the program, by Debian's, Fedora's or Arch's path.
FONT := $(firstword $(wildcard $(addsuffix /DejaVuSans.ttf,/usr/share/fonts/truetype/dejavu \
          /usr/share/fonts/dejavu-sans-fonts /usr/share/fonts/TTF)) package/fonts-dejavu-core/missing)

# Kernel files, each compiled once per ISA and three times as the counting ISA (isa.mk).
KERNEL := embed norm matmul matmul_i8 matmul_packed matmul_packed_i8 matmul_heads layernorm act route experts rope kv attend glu elt roof
ISAS := $(if $(findstring RB_SCALAR_ONLY,$(CFLAGS_$(CONFIG))),scalar,$(ISAS))

# Kernels for instructions that only some CPUs of an ISA have.
KERNEL_BF16 := roof_bf16 matmul_packed_bf16
ISAS_BF16 := $(filter avx512 count%,$(ISAS))
ISAFLAGS_bf16 := -mavx512bf16
# AArch64's dot products of bytes are an ISA of their own, for what is made of them.
KERNEL_DOTPROD := $(if $(filter neon,$(ISAS)),matmul_i8 matmul_packed_i8 roof)
ISAFLAGS_dotprod := -march=armv8.2-a+dotprod

LIB_SRC := $(filter-out $(KERNEL:%=kernels/%.c) $(KERNEL_BF16:%=kernels/%.c),$(filter-out bench/examples/%,$(wildcard kernels/*.c models/*.c models/*/*.c engine/*.c bench/*.c bench/*/*.c)))
TOOL_SRC := $(wildcard tools/*.c)
TEST_SRC := $(wildcard tests/test_*.c)
FUZZ_SRC := $(wildcard tests/fuzz_*.c)
FAULT_SRC := $(wildcard tests/faults/*.c)
FAULTS := $(B)/tests/faults/faults
TEST_LIB := $(filter-out $(TEST_SRC) $(FUZZ_SRC),$(wildcard tests/*.c))

KERNEL_OBJ := $(foreach isa,$(ISAS),$(KERNEL:%=$(B)/kernels/%.$(isa).o)) \
              $(foreach isa,$(ISAS_BF16),$(KERNEL_BF16:%=$(B)/kernels/%.$(isa).o)) \
              $(KERNEL_DOTPROD:%=$(B)/kernels/%.dotprod.o)
$(KERNEL_BF16:%=$(B)/kernels/%.avx512.o): ISAFLAGS_avx512 += $(ISAFLAGS_bf16)
LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o) $(KERNEL_OBJ)
TOOL_OBJ := $(TOOL_SRC:%.c=$(B)/%.o)
TESTS := $(TEST_SRC:tests/%.c=$(B)/tests/%)
FUZZERS := $(FUZZ_SRC:tests/%.c=$(B)/tests/%)

.PHONY: all run test tests isa isa-tests asan asan-tests fuzz fuzzers corpora coverage check analyze instrument validate faults ledger cross format asm clean FORCE
.SUFFIXES:
.SECONDARY:

all: rbench

ifeq ($(CONFIG),release)
rbench: $(B)/rbench
	@cp -f $< $@
endif

$(B)/rbench: $(TOOL_OBJ) $(B)/librbench.a
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $(TOOL_OBJ) $(B)/librbench.a $(LDLIBS)

$(B)/librbench.a: $(LIB_OBJ)
	@rm -f $@
	$(SAY) AR $@
	$(Q)$(AR) qcs $@ $^

# Where it is readers that are tested kernels are not instrumented, and under sanitizers builds that
# count are not: they touch what the others touch, and take the longest.
PLAIN = $(filter-out -fsanitize% -fno-sanitize% -O0 --coverage,$(CFLAGS)) -O1
KERNEL_CFLAGS = $(if $(findstring RB_SCALAR_ONLY,$(CFLAGS))$(and $(findstring -fsanitize,$(CFLAGS)),$(findstring count,$(1))),$(PLAIN),$(CFLAGS))
define KERNEL_RULE
$(B)/%.$(1).o: $(2)%.c
	@mkdir -p $$(@D)
	$$(SAY) CC $$@
	$$(Q)$$(CC) $$(call KERNEL_CFLAGS,$(1)) $$(call AS_ISA,$(1)) -MMD -MP -c -o $$@ $$<
endef
define OBJECT_RULE
$(B)/%.o: $(1)%.c
	@mkdir -p $$(@D)
	$$(SAY) CC $$@
	$$(Q)$$(CC) $$(CFLAGS) -MMD -MP -c -o $$@ $$<
endef
# From sources, and from what is made of sources.
$(foreach from,./ $(B)/,$(foreach isa,$(ISAS) dotprod,$(eval $(call KERNEL_RULE,$(isa),$(from)))) \
                        $(eval $(call OBJECT_RULE,$(from))))

# stb shifts bytes into the sign of an int, on our own font only.
$(B)/bench/draw_stb.o: $(FONT)
$(B)/bench/draw_stb.o: CFLAGS += -Wa$(comma)-I$(dir $(FONT)) \
                                 $(if $(findstring -fsanitize,$(CFLAGS_$(CONFIG))),-fno-sanitize=undefined)

# What the paper printed becomes a part of the program too.
$(B)/bench/paper/data.o: $(wildcard bench/paper/*.json)

# So do the scripts for shells.
$(B)/tools/complete.o: $(wildcard tools/completion/*)

# The revision goes to the files that print it, and only a new one rebuilds them.
COMMIT_OBJ := $(patsubst %.c,$(B)/%.o,$(shell grep -lw RB_COMMIT $(TOOL_SRC)))
COMMIT := $(shell git describe --always --dirty 2>/dev/null || echo unknown)
$(COMMIT_OBJ): CFLAGS += -DRB_COMMIT='"$(COMMIT)"'
$(COMMIT_OBJ): $(B)/commit
$(B)/commit: FORCE
	@mkdir -p $(@D)
	@echo '$(COMMIT)' | cmp -s - $@ || echo '$(COMMIT)' > $@

# Records tell the flags; other flags rebuild the file that says them.
BUILD_FLAGS := $(strip $(subst ",,$(subst ',,$(CFLAGS))))
$(B)/bench/env.o: CFLAGS += -DRB_CFLAGS='"$(BUILD_FLAGS)"'
$(B)/bench/env.o: $(B)/flags
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(BUILD_FLAGS)' | cmp -s - $@ || echo '$(BUILD_FLAGS)' > $@

$(TESTS): $(B)/tests/%: $(B)/tests/%.o $(TEST_LIB:%.c=$(B)/%.o) $(B)/librbench.a
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(CRITERION) $(LDLIBS)

# Of the program a fuzzer links all but main.
ifneq ($(filter fuzz edges,$(CONFIG)),)
$(B)/tools/rbench.o: CFLAGS += -Dmain=rb_main -Wno-missing-prototypes
$(B)/tests/fuzz_command: $(TOOL_OBJ)
endif
$(FUZZERS): $(B)/tests/%: $(B)/tests/%.o $(B)/librbench.a
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LDLIBS)

# Builds every test; `test` runs them, once what they need is installed.
tests: $(TESTS) $(B)/rbench $(FAULTS)
	@:
fuzzers: $(FUZZERS)
	@:

run:
	@sh .ci/deps run
	@$(MAKE) --no-print-directory all
	@test -f build/model.bin || ./rbench synth smollm2-135m --type f16 -o build/model.bin
	@rm -f build/sweep.jsonl
	./rbench build/model.bin --depth-sweep --budget 100 --out build/sweep.jsonl \
	    --plot build/roofline.png

test:
	@sh .ci/deps test
	@$(MAKE) --no-print-directory all tests
	@sh tests/run.sh $(TESTS) $(FAULTS) $(wildcard tests/*.py)

# At every cap below what this machine has; without what no cap changes: there each row of the
# registry is tested by itself, or no kernel runs.
UNCAPPED := kernels proof shaped again alloc dtype gguf gguf_families gguf_hostile hf_config \
            hf_hostile llama2c mix convert cli_convert cli_hf cli_verify oracle peer place plot \
            plot_files pmu report schedule stats store trace ranks compare_runs law extremes reuse \
            waste chat sampler tokenizer tokenizer_hostile cli_tokenize attn_convert attn_loss \
            attn_files rivals cli_forms paper paper_claims paper_layers paper_report integrate calibrate \
            crossing grid cli_paper cli_help ledger determinism text
isa:
	@sh .ci/deps test
	@$(MAKE) --no-print-directory isa-tests
isa-tests: all tests
	@ISA_CAPS="$(ISAS_$(MACHINE)) $(if $(KERNEL_DOTPROD),dotprod)" sh tests/run.sh \
	    $(filter-out $(UNCAPPED:%=$(B)/tests/test_%),$(TESTS))

# What takes longest under sanitizers, of code that they see in others too: rows on random values,
# costs and counts of whole models, statistics, proofs (counting builds of kernels are plain, and
# verify proves too), and the program, which leaks.sh drives.
UNSANITIZED := again extremes cost oracle law ranks crossing proof cli_outputs cli_paper cli_place
asan:
	@sh .ci/deps test
	@$(MAKE) --no-print-directory CONFIG=asan asan-tests
asan-tests: tests
	@sh tests/run.sh $(filter-out $(UNSANITIZED:%=$(B)/tests/test_%),$(TESTS))
	@sh tests/leaks.sh $(B)/rbench $(FAULTS)

fuzz:
	@sh .ci/deps fuzz
	@$(MAKE) --no-print-directory CC=clang CONFIG=fuzz fuzzers
	@FUZZ_SECONDS=$(FUZZ_SECONDS) sh tests/fuzz.sh $(FUZZ_SRC:%.c=build/fuzz/%)
# What the runs of fuzzers here found becomes what they start from everywhere.
corpora:
	@$(MAKE) --no-print-directory CC=clang CONFIG=fuzz fuzzers
	@sh tests/fuzz.sh --keep $(FUZZ_SRC:%.c=build/fuzz/%)

# The lines of readers that the suites of readers run.
READER_SUITES := gguf gguf_families gguf_hostile llama2c hf_config hf_hostile hf chat tokenizer \
                 tokenizer_hostile attn_files plot plot_files store compare_runs peer paper \
                 paper_claims paper_report report cli cli_text cli_tokenize synth \
                 text
READERS := $(wildcard models/gguf*.c models/llama2c.c models/metadata.c models/refuse.c \
             models/source.c models/json.c models/text.c models/open.c models/tensors.c \
             models/config.c models/hf/*.c models/tokenizer/*.c models/chat/*.c \
             bench/plot_read.c bench/plot_data.c bench/store.c bench/compare.c bench/peer.c \
             bench/paper/data.c bench/paper/evidence.c bench/paper/runs.c tools/options*.c)
coverage:
	@sh .ci/deps test
	@$(MAKE) --no-print-directory CONFIG=coverage $(READER_SUITES:%=build/coverage/tests/test_%) \
	    build/coverage/rbench
	@find build/coverage -name '*.gcda' -delete
	@sh tests/run.sh $(READER_SUITES:%=build/coverage/tests/test_%)
	@sh tests/coverage.sh build/coverage $(READERS)

# Lints, and the analyser of gcc.
LINT_ENV = KERNEL="$(KERNEL)" KERNEL_BF16="$(KERNEL_BF16)" EXAMPLE_KERNEL="$(EXAMPLE_KERNEL)" \
           FLAGS_BF16="$(if $(filter avx512,$(ISAS_BF16)),$(ISAFLAGS_avx512) $(ISAFLAGS_bf16))" \
           CC="$(CC)" FLAGS="$(filter-out -g1 -Werror,$(CFLAGS)) -isystem $(B)/include" LIB="$(B)/librbench.a"
check: all $(B)/include/rbench.h
	@$(LINT_ENV) sh tests/check.sh
analyze: $(B)/include/rbench.h
	@$(LINT_ENV) sh tests/analyze.sh

# What others build on, as it is installed: rbench.h and all that it or a kernel file reaches.
PUBLIC := bench/rbench.h kernels/chunks.h kernels/dots.h
$(B)/include/rbench.h: $(wildcard kernels/*.h models/*.h engine/*.h bench/*.h)
	$(SAY) HEADERS $(@D)
	$(Q)rm -rf $(@D)
	$(Q)for h in $$({ $(foreach isa,$(ISAS),$(CC) $(CFLAGS) $(call AS_ISA,$(isa)) -MM $(PUBLIC);) } | \
	    tr -s ' \\' '\n' | grep '\.h$$' | xargs realpath --relative-to=. | sort -u); do \
	    mkdir -p $(@D)/rbench/$$(dirname $$h) && cp $$h $(@D)/rbench/$$h || exit; done
	@echo '#include "rbench/bench/rbench.h"' > $@

include bench/examples/examples.mk

# What counting and timing cost, in the build that can leave them out.
instrument:
	@sh .ci/deps run
	@$(MAKE) --no-print-directory CONFIG=nocount build/nocount/tests/instrument/instrument
	build/nocount/tests/instrument/instrument
$(B)/tests/instrument/instrument: $(B)/tests/instrument/instrument.o $(B)/librbench.a
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# Modelled DRAM traffic against a simulator of caches.
validate:
	@sh .ci/deps validate
	@$(MAKE) --no-print-directory $(B)/tests/validate/validate
	python3 tests/validate/validate.py $(B)/tests/validate/validate
$(B)/tests/validate/validate: $(B)/tests/validate/validate.o $(B)/librbench.a
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# Every fault at every moment of small runs, by a linker that hands our objects' calls to the harness.
FAULT_CALLS := main malloc calloc realloc aligned_alloc mmap strdup strndup open_memstream realpath \
               fopen opendir open openat fstat flock read pread fread fgets write fclose fflush \
               fsync fdatasync ftruncate rename mkdir clock_gettime GOMP_parallel sigaction \
               json_set_alloc_funcs
faults:
	@sh .ci/deps run
	@$(MAKE) --no-print-directory $(FAULTS)
	$(FAULTS)
$(FAULTS): $(FAULT_SRC:%.c=$(B)/%.o) $(TOOL_OBJ) $(B)/librbench.a
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) $(FAULT_CALLS:%=-Wl$(comma)--wrap=%) -o $@ $^ $(LDLIBS)
# The counts that every build is held against, anew.
ledger: $(B)/tests/ledger/ledger
	$< >$(B)/ledger.txt && mv $(B)/ledger.txt tests/vectors/ledger.txt
$(B)/tests/ledger/ledger: $(B)/tests/ledger/ledger.o $(B)/tests/small_runs.o $(B)/tests/files.o $(B)/librbench.a
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(B)/tests/cross/check: $(B)/tests/cross/check.o $(B)/tests/guard.o $(B)/tests/ref.o $(B)/tests/ref_moe.o $(B)/librbench.a
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# Old CPUs, and AArch64 through a cross compiler: under emulators, where those are installed.
cross: all
	@sh tests/cross/run.sh

format:
	clang-format-14 -i $(wildcard */*.[ch] models/*/*.[ch] bench/*/*.[ch] tests/*/*.[ch])

include tools/install.mk

asm: $(KERNEL_OBJ)
	@mkdir -p build/asm
	@for o in $(KERNEL_OBJ); do \
	    objdump -d --no-show-raw-insn $$o > build/asm/$$(basename $$o .o).s; done
	@echo "build/asm: $(words $(KERNEL_OBJ)) kernel files disassembled"

clean:
	rm -rf build rbench

-include $(shell find $(B) -name '*.d' 2>/dev/null)
