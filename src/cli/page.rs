//! `oxpost page`: a link into the administrator's page.

use std::path::Path;

use http::Method;

use super::block_on;
use super::reach::{Reach, load};
use super::report::{Report, say};
use crate::front::admin::PageLink;

/// Prints a link that lets one browser in, once.
pub(super) fn run(config: &Path) -> Result<(), Report> {
    let config = load(config)?;
    block_on(async {
        let reach = Reach::open(&config).await?;
        let link: Result<PageLink, Report> = reach.call(Method::POST, "/api/v1/page-link", None::<&()>).await;
        reach.close().await;
        say(link?.url);
        Ok(())
    })
}
