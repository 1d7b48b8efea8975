//! The control interface over Thrift.

mod wire;
