# How a kernel file is built, by rbench and by others who link librbench: once for each of ISAS, of
# which count1, count8 and count16 are the builds that count, with KERNEL_FLAGS and $(call AS_ISA,isa).
MACHINE := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine 2>/dev/null)))
ISAS_x86_64 := scalar avx2 avx512
ISAS_aarch64 := scalar neon
ISAS := $(ISAS_$(MACHINE)) count1 count8 count16
ISAFLAGS_avx2 := -mavx2 -mfma -mf16c
ISAFLAGS_avx512 := -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mfma -mf16c
AS_ISA = $(ISAFLAGS_$(1)) -DRB_BUILD=$(1) -DRB_BUILD_$(1)=1
# No contraction: scalar a*b+c stays two operations, so that ISAs round where their source says.
KERNEL_FLAGS := -std=gnu11 -ffp-contract=off -fno-math-errno
