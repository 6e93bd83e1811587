//! The `oxpost` program.

fn main() {}
