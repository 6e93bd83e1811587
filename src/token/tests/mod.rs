//! The token manager against a token endpoint on loopback that answers as told.

mod consent;
mod device;
mod lies;
mod life;
mod proofs;
mod refresh;
mod reload;
mod renewal;
mod secrets;
mod sign_in;
mod storage;
pub(super) mod support;
