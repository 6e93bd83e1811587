//! Whether the mailbox can be read, by each protocol it is to be read by.

use std::io::Write;

use http::Method;

use super::causes::{Scene, remedy};
use super::chart::Chart;
use crate::cli::reach::Reach;
use crate::front::admin::{ReadTest, ReadTested};
use crate::reading::Probed;

pub(super) async fn examine(reach: &Reach, scene: &Scene<'_>, chart: &mut Chart<impl Write>) {
    let path = format!("/api/v1/accounts/{}/read", scene.account);
    let request = ReadTest { mailbox: Some(scene.mailbox.to_owned()) };
    match reach.call::<ReadTested>(Method::POST, &path, Some(&request)).await {
        Ok(tested) => tested.ways.iter().for_each(|way| show(way, scene, chart)),
        Err(report) => chart.bad("reading", report.message(), report.next_step().unwrap_or("see the words above")),
    }
}

fn show(way: &Probed, scene: &Scene<'_>, chart: &mut Chart<impl Write>) {
    let Probed { protocol, server, mailbox, messages, why, hint } = way;
    let step = format!("{protocol} login");
    if let Some(count) = messages {
        return chart.fine(&step, &format!("{server} lets {mailbox} in; its inbox has {count} messages"));
    }
    let why = why.as_deref().unwrap_or("the server does not say why");
    let remedy = remedy(why, scene).or_else(|| hint.clone());
    chart.bad(&step, &format!("{server}: {why}"), remedy.as_deref().unwrap_or("see the words above"));
}
