//! The certificate of the self-made CA, for clients that check certificates.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};

use super::Page;
use super::view::{Refusal, Visitor};
use crate::front::admin::Setup;

/// The file's name in the folder of certificates.
const NAME: &str = "ca.pem";

/// Whether clients are shown a certificate of our own CA.
pub(super) fn is_ours(setup: &Setup) -> bool {
    let tls = &setup.submission.tls;
    tls.certificate.is_none() && tls.folder.join(NAME).exists()
}

pub(super) async fn download(State(page): State<Page>, _: Visitor) -> Response {
    let setup = page.setup();
    if setup.submission.tls.certificate.is_some() {
        return Refusal::new(StatusCode::NOT_FOUND, "the listeners show a certificate of yours, not a self-made one")
            .hint("import the CA that signed it into clients that do not know it")
            .into_response();
    }
    match tokio::fs::read(setup.submission.tls.folder.join(NAME)).await {
        Ok(pem) => {
            let headers = [
                (CONTENT_TYPE, "application/x-pem-file"),
                (CONTENT_DISPOSITION, "attachment; filename=\"oxpost-ca.pem\""),
            ];
            (headers, pem).into_response()
        }
        Err(error) => Refusal::new(StatusCode::NOT_FOUND, format!("there is no self-made CA: {error}"))
            .hint("it is made at the first start with a listener that speaks TLS")
            .into_response(),
    }
}
