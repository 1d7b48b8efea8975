//! Whatever bytes a control connection brings: decoded, carried out and answered.
//! `make fuzz` runs it.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use slowfs::rpc::fuzzing::Control;

static CONTROL: LazyLock<Control> = LazyLock::new(|| Control::new().unwrap());

fuzz_target!(|bytes: &[u8]| CONTROL.serve(bytes));
