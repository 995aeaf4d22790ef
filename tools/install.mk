# Part of the Makefile: `make install`, `make uninstall` and `make deb`. PREFIX is where things will be
# looked for, DESTDIR a folder that stands for / meanwhile. What install puts anywhere, uninstall takes.
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DATADIR ?= $(PREFIX)/share
DOCDIR ?= $(DATADIR)/doc/rbench
MAN1DIR := $(DATADIR)/man/man1
VERSION := $(shell sed -n 's/^.define RB_VERSION "\(.*\)"/\1/p' tools/cmd.h)
# Pages are dated by the commit, so that they are the same wherever they are made.
EPOCH = $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null),0)
PAGES := rbench.1 $(patsubst tools/cmd_%.c,rbench-%.1,$(filter-out tools/cmd_bench.c,$(wildcard tools/cmd_*.c)))
DOCS := README.md $(wildcard bench/figures/*.png)
BASH_DIR := $(DATADIR)/bash-completion/completions
FISH_DIR := $(DATADIR)/fish/vendor_completions.d
ZSH_DIR := $(DATADIR)/zsh/site-functions
INSTALL ?= install

$(PAGES:%=$(B)/man/%): $(B)/rbench
	@mkdir -p $(@D)
	$(Q)SOURCE_DATE_EPOCH=$(EPOCH) $< help --man $(patsubst rbench-%,%,$(basename $(@F:rbench.1=rbench-bench.1))) > $@

# The library is static: who links it links what it needs.
$(B)/rbench.pc: tools/install.mk Makefile FORCE
	@printf '%s\n' 'Name: rbench' 'Description: transformer inference with exact counts of FLOPs and bytes' \
	    'Version: $(VERSION)' 'isa_mk=$(DATADIR)/rbench/isa.mk' 'Cflags: -I$(INCLUDEDIR)' \
	    'Libs: -L$(LIBDIR) -lrbench $(LDFLAGS) $(LDLIBS)' > $@

.PHONY: install install-program install-library uninstall deb
install: install-program install-library

install-program: $(B)/rbench $(PAGES:%=$(B)/man/%)
	$(INSTALL) -D -m 755 $(B)/rbench $(DESTDIR)$(BINDIR)/rbench
	$(INSTALL) -d $(DESTDIR)$(MAN1DIR) $(DESTDIR)$(DOCDIR)/bench/figures
	$(INSTALL) -m 644 $(PAGES:%=$(B)/man/%) $(DESTDIR)$(MAN1DIR)
	$(INSTALL) -D -m 644 tools/completion/rbench.bash $(DESTDIR)$(BASH_DIR)/rbench
	$(INSTALL) -D -m 644 tools/completion/rbench.fish $(DESTDIR)$(FISH_DIR)/rbench.fish
	$(INSTALL) -D -m 644 tools/completion/rbench.zsh $(DESTDIR)$(ZSH_DIR)/_rbench
	@for f in $(DOCS); do $(INSTALL) -m 644 $$f $(DESTDIR)$(DOCDIR)/$$f || exit; done

install-library: $(B)/librbench.a $(B)/include/rbench.h $(B)/rbench.pc
	$(INSTALL) -D -m 644 $(B)/librbench.a $(DESTDIR)$(LIBDIR)/librbench.a
	$(INSTALL) -D -m 644 $(B)/rbench.pc $(DESTDIR)$(LIBDIR)/pkgconfig/rbench.pc
	$(INSTALL) -d $(DESTDIR)$(INCLUDEDIR)
	cp -R $(B)/include/. $(DESTDIR)$(INCLUDEDIR)
	$(INSTALL) -D -m 644 kernels/isa.mk $(DESTDIR)$(DATADIR)/rbench/isa.mk

uninstall:
	rm -f $(DESTDIR)$(BINDIR)/rbench $(PAGES:%=$(DESTDIR)$(MAN1DIR)/%)
	rm -f $(DESTDIR)$(BASH_DIR)/rbench $(DESTDIR)$(FISH_DIR)/rbench.fish $(DESTDIR)$(ZSH_DIR)/_rbench
	rm -f $(DESTDIR)$(LIBDIR)/librbench.a $(DESTDIR)$(LIBDIR)/pkgconfig/rbench.pc
	rm -f $(DESTDIR)$(INCLUDEDIR)/rbench.h
	rm -rf $(DESTDIR)$(INCLUDEDIR)/rbench $(DESTDIR)$(DATADIR)/rbench $(DESTDIR)$(DOCDIR)

# Two packages for Debian, in build/.
deb: all
	+@MAKE="$(MAKE)" VERSION=$(VERSION) SOURCE_DATE_EPOCH=$(EPOCH) sh tools/deb/build build
