# Each target first installs what it lacks (scripts/setup), as root or through sudo.
PREFIX ?= /usr/local
SBINDIR ?= /sbin
PYTHON ?= /usr/bin/python3
SLOWFS := target/release/slowfs
# The tests mount, and act as other users: they run as root, whoever builds them.
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
RUNNER := ["sudo", "-E"]
AS_ROOT := $(if $(SUDO),--config 'target."cfg(unix)".runner = $(RUNNER)')

.DEFAULT_GOAL := help
.PHONY: help build demo demo-etcd demo-scenario sweep-etcd check test test-clients test-databases test-web test-long test-packages fuzz bench performance install install-charybdefs uninstall static deb rpm wheel crate packages $(SLOWFS)

# What a target does is told behind its name, after two hashes.
help: ## this list
	@echo 'make TARGET, one of:'
	@sed -n 's/^\([a-z-]*\):[^#]*## /  \1\t/p' Makefile | expand -t 22

build: $(SLOWFS) ## build slowfs, into target/release; 2 to 7 minutes the first time

demo: $(SLOWFS) setup-demo ## a delay, a torn write and a power cut at work; half a minute, once slowfs is built
	$(SLOWFS) demo

demo-etcd: $(SLOWFS) setup-etcd ## three etcd nodes, the log of the leader delayed; a minute
	$(PYTHON) examples/etcd/demo.py --slowfs $(SLOWFS)

demo-scenario: $(SLOWFS) setup-etcd ## the same, with a log on a disk that degrades; a minute and a half
	$(PYTHON) examples/etcd/demo_scenario.py --slowfs $(SLOWFS)

# SWEEP=paper, custom or microseconds with commas; examples/etcd/README.md has the rest.
SWEEP ?= paper
sweep-etcd: $(SLOWFS) setup-etcd ## etcd under a list of delays: SWEEP=paper, custom or 1000,5000; plots and a report
	examples/etcd/sweep.sh $(SWEEP)

check: setup-check ## format, lints, documentation, generated files
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps
	idl/generate.sh --check
	cargo run --locked --quiet -- kinds --markdown | diff docs/kinds.md -
	$(PYTHON) scripts/kinds.py --slowfs target/debug/slowfs --check

test: setup-test ## every test but the long ones
	cargo test --locked $(AS_ROOT)

test-clients: setup-clients ## clients in Python, C++, Node and Go; the packages for tests
	cargo build --locked
	$(SUDO) $(PYTHON) tests/clients/run --slowfs target/debug/slowfs
	$(SUDO) $(PYTHON) tests/clients/packages --slowfs target/debug/slowfs

# The page in Chromium, the metrics in promtool and the dashboard's queries in Prometheus. KEEP="--keep DIR"
# leaves screenshots.
test-web: setup-web ## the page in Chromium, the metrics in Prometheus; two minutes
	cargo build --locked
	$(SUDO) $(PYTHON) tests/web/run --slowfs target/debug/slowfs $(KEEP)

# Six databases under every fault of tests/databases/faults.py that has no result of their version yet,
# and the page made of the results; and a hundred power cuts under each setting of tests/databases/settings.py.
# AGAIN=--again runs all; ONLY="--only redis:full" some.
test-databases: $(SLOWFS) setup-databases ## six databases on files that tear, spoil and fail; an hour, goes on where it stopped
	$(PYTHON) tests/databases/run --slowfs $(SLOWFS) $(AGAIN) $(ONLY)
	$(PYTHON) tests/databases/three-members --slowfs $(SLOWFS)
	$(PYTHON) tests/databases/table.py > docs/what-databases-do.md
	$(PYTHON) tests/databases/pull --slowfs $(SLOWFS) $(AGAIN) --page docs/power-cut.md
	$(PYTHON) tests/databases/examples --slowfs $(SLOWFS)

# The same tests at full length: minutes of attack and of races, a hundred thousand reads, 300,000
# files, millions of operations of the suites, dozens of crashes of databases. Figures are printed.
# What callers cost has the bars of the optimised program.
test-long: setup-test ## the same tests at full length
	SLOWFS_TESTS=long cargo test --locked --test at_once --test attack --test atomic --test reads --test suites --test programs -- --nocapture --test-threads 1
	SLOWFS_TESTS=long cargo test --locked --test crash_test -- --nocapture --test-threads 1
	SLOWFS_TESTS=long cargo test --locked --lib unsynced:: -- --nocapture
	SLOWFS_TESTS=long cargo test --locked --test beneath --test escape --test held_data --test permissions --test places --test slow_backing --test width -- --nocapture --test-threads 1
	SLOWFS_TESTS=long cargo test --locked --test mirror -- links:: mapping:: --test-threads 1
	SLOWFS_TESTS=long cargo test --locked --release --test callers -- --nocapture --test-threads 1
	SLOWFS_TESTS=long cargo test --locked --test kinds -- throttle:: healing:: --nocapture --test-threads 1

# What a control connection may bring, for FUZZ_SECONDS.
FUZZ_SECONDS ?= 600
fuzz: ## a hostile client, for FUZZ_SECONDS (600)
	fuzz/run.sh $(FUZZ_SECONDS)

bench: $(SLOWFS) setup-bench ## the figures, on an idle machine
	cargo bench --locked --bench gate --bench delay -- --quiet --noplot
	@missed=; for bench in pauses crowd; do \
		cargo bench --locked --bench $$bench || missed="$$missed $$bench"; \
	done; for bench in delays names devices unsynced exact floor; do \
		echo "$(PYTHON) benches/$$bench.py --slowfs $(SLOWFS)"; \
		$(PYTHON) benches/$$bench.py --slowfs $(SLOWFS) || missed="$$missed $$bench"; \
	done; $(SLOWFS) selftest || missed="$$missed selftest"; \
	if [ -n "$$missed" ]; then echo "make bench: bars missed by$$missed" >&2; exit 1; fi

# What docs/performance.md says of speed, measured anew: on an idle machine.
performance: $(SLOWFS) setup-bench ## write the figures of docs/performance.md anew
	$(PYTHON) benches/floor.py --slowfs $(SLOWFS) --clients --rounds 11 --most 41 || [ $$? = 1 ]
	$(PYTHON) benches/performance.py
	$(PYTHON) benches/devices.py --slowfs $(SLOWFS) --write || [ $$? = 1 ]

SHARE = $(PREFIX)/share
MAN = $(SHARE)/man/man1
BASH = $(SHARE)/bash-completion/completions/slowfs
ZSH = $(SHARE)/zsh/site-functions/_slowfs
FISH = $(SHARE)/fish/vendor_completions.d/slowfs.fish
LINKS = $(PREFIX)/bin/charybdefs $(SBINDIR)/mount.fuse.slowfs $(SBINDIR)/mount.slowfs

# Through sudo nothing is built: cargo is the user's, and so is what it makes. What is installed has no
# symbols. mount(8) finds its helpers in /sbin only. What is no link of ours is left alone.
install: ## install into PREFIX (/usr/local): the program, completions, man pages, links for charybdefs's scripts and mount(8)
	@if [ -z "$$SUDO_USER" ] && command -v cargo >/dev/null; then $(MAKE) --no-print-directory build; fi
	@[ -x $(SLOWFS) ] || { echo "install: there is no $(SLOWFS): \`make build\` first, as the user who has cargo" >&2; exit 1; }
	install -D -s -m 755 $(SLOWFS) $(DESTDIR)$(PREFIX)/bin/slowfs
	install -d $(DESTDIR)$(SBINDIR)
	@for name in $(LINKS); do \
		if [ -e "$(DESTDIR)$$name" ] && [ ! -L "$(DESTDIR)$$name" ]; \
		then echo "$(DESTDIR)$$name is there already and no link: left alone"; \
		else echo "ln -sf $(PREFIX)/bin/slowfs $(DESTDIR)$$name"; \
			ln -sf $(PREFIX)/bin/slowfs "$(DESTDIR)$$name"; fi; done
	@set -e; umask 022; for one in bash:$(BASH) zsh:$(ZSH) fish:$(FISH); do \
		file="$(DESTDIR)$${one#*:}"; echo "slowfs completions $${one%%:*} >$$file"; \
		install -d "$${file%/*}"; $(SLOWFS) completions $${one%%:*} >"$$file"; done; \
		$(SLOWFS) man-pages "$(DESTDIR)$(MAN)"

uninstall: ## take away what install has put there
	@for name in $(LINKS); do \
		if [ "$$(readlink "$(DESTDIR)$$name")" = "$(PREFIX)/bin/slowfs" ]; \
		then echo "rm $(DESTDIR)$$name"; rm "$(DESTDIR)$$name"; fi; done
	rm -f $(DESTDIR)$(PREFIX)/bin/slowfs $(DESTDIR)$(BASH) $(DESTDIR)$(ZSH) $(DESTDIR)$(FISH)
	rm -f $(DESTDIR)$(MAN)/slowfs.1 $(DESTDIR)$(MAN)/slowfs-*.1

# What Jepsen's nemesis and charybdefs's scripts expect of a built checkout.
DIR ?= /opt/charybdefs
install-charybdefs: ## install into DIR (/opt/charybdefs) what scripts expect of a built charybdefs
	@scripts/install-charybdefs $(SLOWFS) $(DESTDIR)$(DIR)

# What is handed out, below target/packages. The time in it is the last commit's: the same sources, the same bytes.
PACKAGES := target/packages
deb rpm wheel: export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || date +%s)
packages: static deb rpm wheel crate ## all of the five below, into target/packages

static: setup-static ## one file that needs no other, for any Linux: target/packages/slowfs
	scripts/static $(PACKAGES)/slowfs

deb: $(SLOWFS) setup-packages ## a package for Debian and Ubuntu, as new as this one or newer
	packaging/deb $(SLOWFS) $(PACKAGES)

rpm: $(SLOWFS) setup-packages ## a package for Fedora and distributions like it
	packaging/rpm $(SLOWFS) $(PACKAGES)

wheel: static setup-packages ## the Python package with the program in it, for pip
	$(PACKAGES)/venv/bin/python packaging/wheel $(PACKAGES)/slowfs $(PACKAGES)

# That it is built from what is in it, with what is built already.
crate: ## the crate, as it would be published
	rm -f target/package/*.crate $(PACKAGES)/*.crate
	CARGO_TARGET_DIR=target cargo package --locked --allow-dirty --quiet
	install -D -m 644 -t $(PACKAGES) target/package/slowfs-*.crate

test-packages: packages setup-test-packages ## each package in a clean root: installed, used, removed
	$(SUDO) $(PYTHON) tests/packages/run --packages $(PACKAGES) --slowfs $(SLOWFS)

setup-%:
	@scripts/setup $*

$(SLOWFS): setup-build
	cargo build --locked --release
