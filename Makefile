# rbench. `make` builds ./rbench, `make run` installs, builds and runs the main job, `make test` runs
# every test, `make check` the lints, `make asan` the tests under sanitizers, `make format` formats.
# Everything built lives in build/<config>/; CONFIG=release|asan|fuzz, WERROR=1 for CI.

MAKEFLAGS += -r -j$(shell nproc)
CC ?= gcc
ifeq ($(origin CC),default)
CC := gcc
endif
CONFIG ?= release
B := build/$(CONFIG)

MACHINE := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))
PKG := $(shell $(CC) -print-multiarch 2>/dev/null)

WARN := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wundef -Wstrict-prototypes -Wvla
WARN += $(if $(WERROR),-Werror)
CFLAGS_release := -O3
CFLAGS_asan := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CFLAGS_fuzz := -O1 -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all
# No contraction: scalar a*b+c stays two operations, so that ISAs round where their source says.
CFLAGS := -std=gnu11 -g -fopenmp -ffp-contract=off -fno-math-errno $(WARN) $(CFLAGS_$(CONFIG)) \
          $(EXTRA_CFLAGS)
LDFLAGS := -fopenmp $(filter -fsanitize=%,$(CFLAGS_$(CONFIG)))

comma := ,
# OpenBLAS in its OpenMP flavour, by its own directory: Debian's alternative prefers pthreads.
BLAS_DIR := $(firstword $(wildcard /usr/lib/$(PKG)/openblas-openmp /usr/lib*/openblas-openmp))
BLAS_INC := $(firstword $(wildcard /usr/include/$(PKG)/openblas-openmp /usr/include/openblas*))
LDLIBS := $(if $(BLAS_DIR),-L$(BLAS_DIR) -Wl$(comma)-rpath$(comma)$(BLAS_DIR)) -lopenblas \
          -ljansson -lm
CFLAGS += $(if $(BLAS_INC),-isystem $(BLAS_INC))

# Kernel files, each compiled once per ISA and three times as the counting ISA.
KERNEL := embed norm matmul matmul_i8 rope kv attend glu elt
ISAS_x86_64 := scalar avx2 avx512
ISAS_aarch64 := scalar neon
ISAS := $(ISAS_$(MACHINE)) count1 count8 count16
ISAFLAGS_avx2 := -mavx2 -mfma -mf16c
ISAFLAGS_avx512 := -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mfma -mf16c

LIB_SRC := $(filter-out $(KERNEL:%=kernels/%.c),$(wildcard kernels/*.c models/*.c engine/*.c bench/*.c))
TOOL_SRC := $(wildcard tools/*.c)
TEST_SRC := $(wildcard tests/test_*.c)
TEST_LIB := $(filter-out $(TEST_SRC) $(wildcard tests/fuzz_*.c),$(wildcard tests/*.c))

KERNEL_OBJ := $(foreach isa,$(ISAS),$(KERNEL:%=$(B)/kernels/%.$(isa).o))
LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o) $(KERNEL_OBJ)
TOOL_OBJ := $(TOOL_SRC:%.c=$(B)/%.o)
TESTS := $(TEST_SRC:tests/%.c=$(B)/tests/%)

.PHONY: all test check asan format clean run fuzz asm
.SUFFIXES:
.SECONDARY:

all: rbench

ifeq ($(CONFIG),release)
rbench: $(B)/rbench
	@cp -f $< $@
endif

$(B)/rbench: $(TOOL_OBJ) $(B)/librbench.a
	$(CC) $(LDFLAGS) -o $@ $(TOOL_OBJ) $(B)/librbench.a $(LDLIBS)

$(B)/librbench.a: $(LIB_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

define KERNEL_RULE
$(B)/kernels/%.$(1).o: kernels/%.c
	@mkdir -p $$(@D)
	$$(CC) $$(CFLAGS) $$(ISAFLAGS_$(1)) -DRB_BUILD=$(1) -DRB_BUILD_$(1)=1 -MMD -MP -c -o $$@ $$<
endef
$(foreach isa,$(ISAS),$(eval $(call KERNEL_RULE,$(isa))))

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/tests/%: $(B)/tests/%.o $(TEST_LIB:%.c=$(B)/%.o) $(B)/librbench.a
	$(CC) $(LDFLAGS) -o $@ $^ -lcriterion $(LDLIBS)

clean:
	rm -rf build rbench

-include $(shell find build/$(CONFIG) -name '*.d' 2>/dev/null)
