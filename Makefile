# Each target first installs what it lacks (scripts/setup), as root or through sudo.
PREFIX ?= /usr/local
PYTHON ?= /usr/bin/python3
SLOWFS := target/release/slowfs
# The tests mount, and act as other users: they run as root, whoever builds them.
AS_ROOT := $(if $(filter 0,$(shell id -u)),,--config 'target."cfg(unix)".runner = ["sudo", "-E"]')

.PHONY: demo demo-etcd check test bench install $(SLOWFS)

demo: setup-demo $(SLOWFS)
	$(SLOWFS) demo

demo-etcd: setup-etcd $(SLOWFS)
	$(PYTHON) examples/etcd/demo.py --slowfs $(SLOWFS)

check: setup-check
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps
	idl/generate.sh --check

test: setup-test
	cargo test --locked $(AS_ROOT)

bench: setup-bench $(SLOWFS)
	cargo bench --locked --bench gate --bench delay -- --quiet --noplot
	$(PYTHON) benches/fio.py --slowfs $(SLOWFS)

install: $(SLOWFS)
	install -D -m 755 $(SLOWFS) $(DESTDIR)$(PREFIX)/bin/slowfs

setup-%:
	@scripts/setup $*

$(SLOWFS):
	cargo build --locked --release
