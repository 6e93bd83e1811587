//! The token manager against a token endpoint on loopback that answers as told.

pub(super) mod support;
