"""The crate: cargo has built the program from it; it holds that, the licences, and not the tests of mounts."""

import tarfile

MOST = 2 << 20


def is_small_and_licensed(crate):
    with tarfile.open(crate) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    missing = {"Cargo.lock", "LICENSE-APACHE", "LICENSE-MIT", "README.md", "src/main.rs"} - names
    assert not missing, f"not in the crate: {missing}"
    beside = {name for name in names if name.startswith(("target/", "tests/databases/", "python/", "go/"))}
    assert not beside, f"in the crate: {sorted(beside)}"
    assert crate.stat().st_size < MOST, f"{crate.stat().st_size} bytes"
