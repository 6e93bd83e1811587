//! A look-alike of Exchange Web Services' `CreateItem` (Microsoft Learn, "CreateItem operation (email message)"), and of
//! as much of `GetFolder` as shows that a mailbox is open.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quick_xml::Reader;
use quick_xml::events::Event;

use super::directory::{User, same};
use super::faults::{Fault, GraphFault, WebStep};
use super::ledger::{Access, Holder};
use super::letter::Addresses;
use super::post_office::{Incoming, Place, Via};
use super::scope::Resource;
use super::shared::Shared;
use super::wire::Line;

/// The largest message, and the largest request.
const MAX_MESSAGE: usize = 35 << 20;
const MAX_REQUEST: usize = 64 << 20;

/// The route.
pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/EWS/Exchange.asmx", post(serve)).layer(DefaultBodyLimit::max(MAX_REQUEST))
}

/// What a request says.
#[derive(Default)]
struct Asked {
    disposition: String,
    folder: String,
    version: String,
    impersonated: String,
    mime: String,
    /// It asks for a folder and hands nothing in.
    looks: bool,
}

/// Why not: HTTP status and, where EWS itself answers, a response code.
enum Refusal {
    Status(StatusCode),
    Code(&'static str),
}

async fn serve(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Line>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fault = shared.switches.take(None, |fault: &Fault| fault.of_graph(WebStep::Ews));
    if let Some(answer) = fail_before(&shared, fault, &line).await {
        return answer;
    }
    if !shared.switches.knobs().ews {
        shared.note(Place::Ews, "EWS is switched off");
        return StatusCode::FORBIDDEN.into_response();
    }
    match (take(&shared, &headers, &body), fault) {
        (Err(Refusal::Status(status)), _) => {
            shared.note(Place::Ews, status.to_string());
            status.into_response()
        }
        (Err(Refusal::Code(code)), _) => {
            shared.note(Place::Ews, code);
            answer("Error", code)
        }
        (Ok(()), Some(GraphFault::TakenThenTimeout)) => StatusCode::GATEWAY_TIMEOUT.into_response(),
        (Ok(()), fault) => {
            if fault == Some(GraphFault::TakenThenReset) {
                line.cut();
            }
            answer("Success", "NoError")
        }
    }
}

fn take(shared: &Shared, headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
    let access = bearer(shared, headers)?;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("text/xml") {
        return Err(Refusal::Status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    let asked = Asked::read(&String::from_utf8_lossy(body)).ok_or(Refusal::Code("ErrorSchemaValidation"))?;
    if asked.looks && !asked.version.is_empty() && asked.folder == "sentitems" {
        return mailbox(shared, &access, &asked, headers).map(|_| ());
    }
    if asked.version.is_empty() || !matches!(asked.disposition.as_str(), "SendOnly" | "SendAndSaveCopy") {
        return Err(Refusal::Code("ErrorMessageDispositionRequired"));
    }
    if (asked.disposition == "SendAndSaveCopy") != (asked.folder == "sentitems") {
        return Err(Refusal::Code("ErrorInvalidOperation"));
    }
    let mailbox = mailbox(shared, &access, &asked, headers)?;
    let invalid = |_| Refusal::Code("ErrorMimeContentInvalidBase64String");
    let raw = STANDARD.decode(asked.mime.as_bytes()).map_err(invalid)?;
    if raw.len() > MAX_MESSAGE {
        return Err(Refusal::Code("ErrorMessageSizeExceeded"));
    }
    let addresses = Addresses::read(&raw);
    if addresses.recipients().is_empty() {
        return Err(Refusal::Code("ErrorInvalidRecipients"));
    }
    if addresses.from.iter().any(|from| !mailbox.may_send_as(from)) {
        return Err(Refusal::Code("ErrorSendAsDenied"));
    }
    let incoming = Incoming {
        via: Via::Ews,
        signed_in: access.who().to_owned(),
        mailbox: mailbox.address.clone(),
        reverse_path: None,
        recipients: addresses.recipients(),
        raw,
        object: None,
    };
    let now = shared.clock.now();
    if asked.disposition == "SendAndSaveCopy" {
        shared.items().sent(&mailbox.address, None, &incoming.raw, now);
    }
    shared.take(incoming);
    Ok(())
}

/// Whose mailbox it is: one's own, or that of whom an app impersonates, which the anchor must name too.
fn mailbox<'a>(shared: &'a Shared, access: &Access, asked: &Asked, headers: &HeaderMap) -> Result<&'a User, Refusal> {
    let anchor = headers.get("x-anchormailbox").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let address = match &access.holder {
        Holder::User(address) if asked.impersonated.is_empty() => address,
        Holder::User(_) => return Err(Refusal::Code("ErrorImpersonateUserDenied")),
        Holder::App if asked.impersonated.is_empty() => return Err(Refusal::Code("ErrorAccessDenied")),
        Holder::App if !same(anchor, &asked.impersonated) => return Err(Refusal::Code("ErrorImpersonationFailed")),
        Holder::App => &asked.impersonated,
    };
    shared.directory.user(address).ok_or(Refusal::Code("ErrorNonExistentMailbox"))
}

fn bearer(shared: &Shared, headers: &HeaderMap) -> Result<Access, Refusal> {
    let unauthorized = || Refusal::Status(StatusCode::UNAUTHORIZED);
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = value.and_then(|value| value.strip_prefix("Bearer ")).ok_or_else(unauthorized)?;
    let access = shared.access(token).map_err(|_| unauthorized())?;
    if access.audience != Resource::Exchange {
        return Err(unauthorized());
    }
    let allowed = access.may(&["EWS.AccessAsUser.All", "full_access_as_app"]);
    if allowed { Ok(access) } else { Err(Refusal::Code("ErrorAccessDenied")) }
}

impl Asked {
    fn read(text: &str) -> Option<Self> {
        let mut asked = Self::default();
        let mut reader = Reader::from_str(text);
        let mut place = String::new();
        loop {
            match reader.read_event().ok()? {
                Event::Start(element) | Event::Empty(element) => {
                    let value = |name: &str| {
                        let found = element.try_get_attribute(name).ok().flatten();
                        found.map(|found| found.value.into_owned()).unwrap_or_default()
                    };
                    place = element.local_name().as_ref().to_owned();
                    match place.as_str() {
                        "GetFolder" => asked.looks = true,
                        "CreateItem" => asked.disposition = value("MessageDisposition"),
                        "DistinguishedFolderId" => asked.folder = value("Id"),
                        "RequestServerVersion" => asked.version = value("Version"),
                        _ => {}
                    }
                }
                Event::Text(text) => match place.as_str() {
                    "SmtpAddress" => asked.impersonated.push_str(&text),
                    "MimeContent" => asked.mime.push_str(&text),
                    _ => {}
                },
                Event::End(_) => place.clear(),
                Event::Eof => return Some(asked),
                Event::CData(_)
                | Event::Comment(_)
                | Event::Decl(_)
                | Event::PI(_)
                | Event::DocType(_)
                | Event::GeneralRef(_) => {}
            }
        }
    }
}

fn answer(class: &str, code: &str) -> Response {
    let text =
        if code == "NoError" { String::new() } else { format!("<m:MessageText>{code}, in words.</m:MessageText>") };
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\">\
         <s:Body><m:CreateItemResponse xmlns:m=\"http://schemas.microsoft.com/exchange/services/2006/messages\">\
         <m:ResponseMessages><m:CreateItemResponseMessage ResponseClass=\"{class}\">{text}\
         <m:ResponseCode>{code}</m:ResponseCode></m:CreateItemResponseMessage></m:ResponseMessages>\
         </m:CreateItemResponse></s:Body></s:Envelope>"
    );
    (StatusCode::OK, [(header::CONTENT_TYPE, "text/xml; charset=utf-8")], body).into_response()
}

async fn fail_before(shared: &Shared, fault: Option<GraphFault>, line: &Line) -> Option<Response> {
    let code = match fault? {
        GraphFault::TakenThenTimeout | GraphFault::TakenThenReset => return None,
        GraphFault::Unauthorized => return Some(StatusCode::UNAUTHORIZED.into_response()),
        GraphFault::AccessDenied => "ErrorAccessDenied",
        GraphFault::TooLarge => "ErrorMessageSizeExceeded",
        GraphFault::Throttled(seconds) => {
            let fault = format!(
                "<s:Envelope xmlns:s=\"x\"><s:Body><s:Fault><faultstring>busy</faultstring><detail>\
                 <e:ResponseCode xmlns:e=\"y\">ErrorServerBusy</e:ResponseCode><t:MessageXml xmlns:t=\"z\">\
                 <t:Value Name=\"BackOffMilliseconds\">{}</t:Value></t:MessageXml></detail></s:Fault></s:Body></s:Envelope>",
                u64::from(seconds) * 1_000
            );
            return Some((StatusCode::INTERNAL_SERVER_ERROR, fault).into_response());
        }
        GraphFault::Unavailable => return Some(StatusCode::SERVICE_UNAVAILABLE.into_response()),
        GraphFault::NoRest => "ErrorNonExistentMailbox",
        GraphFault::Html => return Some(axum::response::Html("<!DOCTYPE html>").into_response()),
        GraphFault::Empty => return Some(StatusCode::OK.into_response()),
        GraphFault::Reset | GraphFault::Hang => {
            if fault == Some(GraphFault::Hang) {
                shared.stopping.cancelled().await;
            }
            line.cut();
            return Some(StatusCode::SERVICE_UNAVAILABLE.into_response());
        }
    };
    Some(answer("Error", code))
}
