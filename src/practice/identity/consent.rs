//! Whether everything may be consented to at once.

use super::super::scope::{self, Scope};
use super::super::switches::Knobs;
use super::problem::Problem;

/// Refuses scopes of several resources where the switch says so, as some tenants' policies and personal accounts do.
pub(super) fn check(knobs: &Knobs, scopes: &[Scope]) -> Result<(), Problem> {
    if knobs.combined_consent {
        return Ok(());
    }
    scope::single_resource(scopes).map(drop).map_err(Problem::from)
}
