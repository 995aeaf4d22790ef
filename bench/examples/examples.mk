# Part of the Makefile: the examples, built against the headers that are installed and no others, and
# mutants of them: an example with one line made wrong (tests/mutants/EXAMPLE.WHAT.sed).
E := $(B)/bench/examples
EXAMPLES := $(E)/beside
EXAMPLE_KERNEL := gelu_exp
MUTANTS := $(patsubst tests/mutants/%.sed,$(E)/%,$(wildcard tests/mutants/*.sed))
MUTANT_SRC := $(MUTANTS:=.c)
KERNEL_MUTANTS := $(filter $(E)/gelu_exp.%,$(MUTANTS))
OTHER_MUTANTS := $(filter $(E)/tied_kv.%,$(MUTANTS))

$(E)/%.o: CFLAGS += -I$(B)/include -Ibench/examples
GELU_EXP := $(ISAS:%=$(E)/gelu_exp.%.o)
EXAMPLE_OBJ := $(E)/beside.o $(E)/tied_kv.o $(GELU_EXP) $(OTHER_MUTANTS:=.o) \
               $(foreach isa,$(ISAS),$(KERNEL_MUTANTS:=.$(isa).o))
$(EXAMPLE_OBJ): | $(B)/include/rbench.h

$(MUTANT_SRC): $(E)/%.c: tests/mutants/%.sed bench/examples/gelu_exp.c bench/examples/tied_kv.c
	@mkdir -p $(@D)
	$(Q)sed -f $< bench/examples/$(basename $*).c > $@
	@! cmp -s $@ bench/examples/$(basename $*).c || { echo "$<: it changes nothing"; exit 1; }

$(E)/beside: $(E)/beside.o $(E)/tied_kv.o $(GELU_EXP)
$(KERNEL_MUTANTS): $(E)/%: $(foreach isa,$(ISAS),$(E)/%.$(isa).o) $(E)/beside.o $(E)/tied_kv.o
$(OTHER_MUTANTS): $(E)/%: $(E)/%.o $(E)/beside.o $(GELU_EXP)
$(EXAMPLES) $(MUTANTS): $(B)/librbench.a
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(B)/librbench.a $(LDLIBS)

tests: $(EXAMPLES) $(MUTANTS)
