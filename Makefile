# rbench. `make` builds ./rbench, `make run` installs, builds and runs the main job, `make test` runs
# every test, `make isa` runs them at each ISA cap, `make asan` under sanitizers, `make fuzz` feeds
# the readers, `make check` runs the lints, `make asm` disassembles the kernels.
# Everything built lives in build/<config>/; CONFIG=release|nocount|asan|fuzz, WERROR=1 for CI.

ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -r -j$(shell nproc)
endif
ifeq ($(origin CC),default)
CC := gcc
endif
CONFIG ?= release
B := build/$(CONFIG)
FUZZ_SECONDS ?= 30
Q := $(if $(V),,@)# make V=1 shows the commands
SAY := @$(if $(V),:,echo)

MACHINE := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine 2>/dev/null)))

WARN := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wundef -Wstrict-prototypes -Wvla
WARN += $(if $(WERROR),-Werror)
CFLAGS_release := -O3
# Can run without booking: only to measure what booking costs.
CFLAGS_nocount := -O3 -DRB_NOCOUNT=1
CFLAGS_asan := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CFLAGS_fuzz := -O1 -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all
# No contraction: scalar a*b+c stays two operations, so that ISAs round where their source says.
CFLAGS := -std=gnu11 -g -fopenmp -ffp-contract=off -fno-math-errno $(WARN) $(CFLAGS_$(CONFIG)) \
          $(EXTRA_CFLAGS)
LDFLAGS := -fopenmp $(filter -fsanitize=%,$(CFLAGS_$(CONFIG)))

comma := ,
# OpenBLAS in its OpenMP flavour, by its own directory: Debian's alternative prefers pthreads.
find = $(firstword $(wildcard $(1)/$(MACHINE)-linux-gnu/$(2) $(1)/$(2) $(1)64/$(2)))
BLAS_DIR := $(call find,/usr/lib,openblas-openmp)
BLAS_INC := $(firstword $(call find,/usr/include,openblas-openmp) $(wildcard /usr/include/openblas))
LDLIBS := $(if $(BLAS_DIR),-L$(BLAS_DIR) -Wl$(comma)-rpath$(comma)$(BLAS_DIR)) -lopenblas \
          -ljansson -lhwloc -lutf8proc -lm
CFLAGS += $(if $(BLAS_INC),-isystem $(BLAS_INC))

# The font of figures becomes a part of the program, by Debian's, Fedora's or Arch's path.
FONT := $(firstword $(wildcard $(addsuffix /DejaVuSans.ttf,/usr/share/fonts/truetype/dejavu \
          /usr/share/fonts/dejavu-sans-fonts /usr/share/fonts/TTF)) package/fonts-dejavu-core/missing)

# Kernel files, each compiled once per ISA and three times as the counting ISA.
KERNEL := embed norm matmul matmul_i8 matmul_packed matmul_packed_i8 matmul_heads layernorm act route experts rope kv attend glu elt roof
ISAS_x86_64 := scalar avx2 avx512
ISAS_aarch64 := scalar neon
ISAS := $(ISAS_$(MACHINE)) count1 count8 count16
ISAFLAGS_avx2 := -mavx2 -mfma -mf16c
ISAFLAGS_avx512 := -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mfma -mf16c

# Kernels for instructions that only some CPUs of an ISA have.
KERNEL_BF16 := roof_bf16 matmul_packed_bf16
ISAS_BF16 := $(filter avx512 count%,$(ISAS))
ISAFLAGS_bf16 := -mavx512bf16

LIB_SRC := $(filter-out $(KERNEL:%=kernels/%.c) $(KERNEL_BF16:%=kernels/%.c),$(wildcard kernels/*.c models/*.c models/*/*.c engine/*.c bench/*.c))
TOOL_SRC := $(wildcard tools/*.c)
TEST_SRC := $(wildcard tests/test_*.c)
FUZZ_SRC := $(wildcard tests/fuzz_*.c)
TEST_LIB := $(filter-out $(TEST_SRC) $(FUZZ_SRC),$(wildcard tests/*.c))

KERNEL_OBJ := $(foreach isa,$(ISAS),$(KERNEL:%=$(B)/kernels/%.$(isa).o)) \
              $(foreach isa,$(ISAS_BF16),$(KERNEL_BF16:%=$(B)/kernels/%.$(isa).o))
$(KERNEL_BF16:%=$(B)/kernels/%.avx512.o): ISAFLAGS_avx512 += $(ISAFLAGS_bf16)
LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o) $(KERNEL_OBJ)
TOOL_OBJ := $(TOOL_SRC:%.c=$(B)/%.o)
TESTS := $(TEST_SRC:tests/%.c=$(B)/tests/%)
FUZZERS := $(FUZZ_SRC:tests/%.c=$(B)/tests/%)

.PHONY: all run test tests isa isa-tests asan asan-tests fuzz fuzzers check instrument validate cross format asm clean FORCE
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

# Fuzzing is for the readers: there kernels are only linked, and quickly built.
KERNEL_CFLAGS = $(if $(filter fuzz,$(CONFIG)),$(filter-out -fsanitize% -fno-sanitize%,$(CFLAGS)),$(CFLAGS))
define KERNEL_RULE
$(B)/kernels/%.$(1).o: kernels/%.c
	@mkdir -p $$(@D)
	$$(SAY) CC $$@
	$$(Q)$$(CC) $$(KERNEL_CFLAGS) $$(ISAFLAGS_$(1)) -DRB_BUILD=$(1) -DRB_BUILD_$(1)=1 -MMD -MP -c -o $$@ $$<
endef
$(foreach isa,$(ISAS),$(eval $(call KERNEL_RULE,$(isa))))

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(SAY) CC $@
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

# stb shifts bytes into the sign of an int, on our own font only.
$(B)/bench/draw_stb.o: $(FONT)
$(B)/bench/draw_stb.o: CFLAGS += -Wa$(comma)-I$(dir $(FONT)) \
                                 $(if $(findstring -fsanitize,$(CFLAGS_$(CONFIG))),-fno-sanitize=undefined)

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
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lcriterion $(LDLIBS)

$(FUZZERS): $(B)/tests/%: $(B)/tests/%.o $(B)/librbench.a
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)

# Builds every test; `test` runs them, once what they need is installed.
tests: $(TESTS) $(B)/rbench
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
	@sh tests/run.sh $(TESTS) $(wildcard tests/*.py)

# At every cap that this machine has; without what no cap changes: there each row of the registry is
# tested by itself, or no kernel runs.
UNCAPPED := kernels proof shaped again alloc dtype gguf gguf_families gguf_hostile hf_config \
            hf_hostile llama2c mix convert cli_convert cli_hf cli_verify oracle peer place plot \
            plot_files pmu report schedule stats store trace ranks compare_runs law extremes reuse \
            waste chat sampler tokenizer tokenizer_hostile cli_tokenize attn_convert attn_loss \
            attn_files
isa:
	@sh .ci/deps test
	@$(MAKE) --no-print-directory isa-tests
isa-tests: all tests
	@ISA_CAPS="$(ISAS_$(MACHINE))" sh tests/run.sh \
	    $(filter-out $(UNCAPPED:%=$(B)/tests/test_%),$(TESTS))

asan:
	@sh .ci/deps test
	@$(MAKE) --no-print-directory CONFIG=asan asan-tests
asan-tests: tests
	@sh tests/run.sh $(TESTS)
	@sh tests/leaks.sh $(B)/rbench

fuzz:
	@sh .ci/deps fuzz
	@$(MAKE) --no-print-directory CC=clang CONFIG=fuzz fuzzers
	@FUZZ_SECONDS=$(FUZZ_SECONDS) sh tests/fuzz.sh $(FUZZ_SRC:%.c=build/fuzz/%)

check: all
	@KERNEL="$(KERNEL)" KERNEL_BF16="$(KERNEL_BF16)" \
	 FLAGS_BF16="$(if $(filter avx512,$(ISAS_BF16)),$(ISAFLAGS_avx512) $(ISAFLAGS_bf16))" \
	 CC="$(CC)" FLAGS="$(filter-out -g,$(CFLAGS))" \
	 LIB="$(B)/librbench.a" sh tests/check.sh

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

# NEON through a cross compiler and an emulator, where they are installed.
cross:
	@sh tests/cross/run.sh

format:
	clang-format-14 -i $(wildcard */*.[ch] models/*/*.[ch] tests/*/*.[ch])

asm: $(KERNEL_OBJ)
	@mkdir -p build/asm
	@for o in $(KERNEL_OBJ); do \
	    objdump -d --no-show-raw-insn $$o > build/asm/$$(basename $$o .o).s; done
	@echo "build/asm: $(words $(KERNEL_OBJ)) kernel files disassembled"

clean:
	rm -rf build rbench

-include $(shell find $(B) -name '*.d' 2>/dev/null)
