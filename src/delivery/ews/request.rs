//! The request (Microsoft Learn, "CreateItem operation (email message)", "Impersonation and EWS").

use quick_xml::escape::escape;

use crate::delivery::EwsWay;

/// What stands before and behind the message in base64.
pub(super) struct Around {
    pub(super) before: String,
    pub(super) behind: String,
}

/// What begins each request of one way for one mailbox.
fn head(way: &EwsWay, mailbox: &str) -> String {
    let impersonation = if way.impersonate {
        format!(
            "<t:ExchangeImpersonation><t:ConnectingSID><t:SmtpAddress>{}</t:SmtpAddress></t:ConnectingSID>\
             </t:ExchangeImpersonation>",
            escape(mailbox)
        )
    } else {
        String::new()
    };
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\
         <soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         xmlns:t=\"http://schemas.microsoft.com/exchange/services/2006/types\" \
         xmlns:m=\"http://schemas.microsoft.com/exchange/services/2006/messages\">\
         <soap:Header><t:RequestServerVersion Version=\"Exchange2013_SP1\"/>{impersonation}</soap:Header>\
         <soap:Body>"
    )
}

/// A request that changes nothing: which folder holds the sent mail (Microsoft Learn, "GetFolder operation").
pub(super) fn folder(way: &EwsWay, mailbox: &str) -> String {
    format!(
        "{}<m:GetFolder><m:FolderShape><t:BaseShape>IdOnly</t:BaseShape></m:FolderShape><m:FolderIds>\
         <t:DistinguishedFolderId Id=\"sentitems\"/></m:FolderIds></m:GetFolder></soap:Body></soap:Envelope>",
        head(way, mailbox)
    )
}

/// The request with a message.
pub(super) fn around(way: &EwsWay, mailbox: &str) -> Around {
    let (disposition, folder) = if way.save_copy {
        ("SendAndSaveCopy", "<m:SavedItemFolderId><t:DistinguishedFolderId Id=\"sentitems\"/></m:SavedItemFolderId>")
    } else {
        ("SendOnly", "")
    };
    let before = format!(
        "{}<m:CreateItem MessageDisposition=\"{disposition}\">{folder}<m:Items><t:Message>\
         <t:MimeContent CharacterSet=\"UTF-8\">",
        head(way, mailbox)
    );
    let behind = "</t:MimeContent></t:Message></m:Items></m:CreateItem></soap:Body></soap:Envelope>".to_owned();
    Around { before, behind }
}
