//! The identity of the machine itself: Azure's instance metadata service (IMDS), "How to use managed identities for
//! Azure resources on an Azure VM to acquire an access token".

use ::http::{HeaderName, HeaderValue};

use super::answer::Answer;
use super::endpoint::Minted;
use super::explain::{ErrorWords, Refusal};
use super::settings::ManagedIdentity;
use crate::http::{Http, Request, Response};

const VERSION: &str = "2018-02-01";

/// A token of the machine's identity for `resource`, such as `https://graph.microsoft.com`.
pub(super) async fn token(
    http: &Http,
    provider: &str,
    identity: &ManagedIdentity,
    resource: &str,
) -> Result<Minted, Refusal> {
    let mut url = identity.url.clone();
    url.query_pairs_mut().append_pair("api-version", VERSION).append_pair("resource", resource);
    if let Some(client_id) = &identity.client_id {
        url.query_pairs_mut().append_pair("client_id", client_id);
    }
    // The header keeps out whoever can only make this machine fetch a URL.
    let request =
        Request::get(url).direct().header(HeaderName::from_static("metadata"), HeaderValue::from_static("true"));
    let response = http.send(request).await.map_err(|error| {
        Refusal::later(format!(
            "`{provider}`: this machine's managed identity cannot be asked for: {error}; is this machine in Azure?"
        ))
    })?;
    read(provider, &response)
}

fn read(provider: &str, response: &Response) -> Result<Minted, Refusal> {
    let later = |why: &str| Refusal::later(format!("`{provider}`: the managed identity's endpoint {why}"));
    match response.status {
        200 => {
            let answer: Option<Answer> = response.whole_body().ok().and_then(|body| serde_json::from_slice(body).ok());
            answer.ok_or_else(|| later("gives an answer that is not understood"))?.minted(provider)
        }
        // 410: it is being updated, for up to 70 seconds.
        status @ (404 | 408 | 410 | 429 | 500..) => {
            Err(later(&format!("answers {status}")).after(response.retry_after))
        }
        status => {
            let words = response.whole_body().ok().and_then(ErrorWords::parse);
            let words = words.map(|words| format!(": {}", words.said())).unwrap_or_default();
            let why = format!("`{provider}`: this machine has no such managed identity (HTTP {status}){words}");
            let remedy = "switch the machine's managed identity on, or write the client id of a user-assigned one that \
                          the machine has into the provider's `identity_client_id`";
            Err(Refusal::setup(why, remedy))
        }
    }
}
