//! The request (Microsoft Learn, "CreateItem operation (email message)", "Impersonation and EWS").

use quick_xml::escape::escape;

use crate::delivery::EwsWay;

/// What stands before and behind the message in base64.
pub(super) struct Around {
    pub(super) before: String,
    pub(super) behind: String,
}

/// The request of one way for one mailbox.
pub(super) fn around(way: &EwsWay, mailbox: &str) -> Around {
    let impersonation = if way.impersonate {
        format!(
            "<t:ExchangeImpersonation><t:ConnectingSID><t:SmtpAddress>{}</t:SmtpAddress></t:ConnectingSID>\
             </t:ExchangeImpersonation>",
            escape(mailbox)
        )
    } else {
        String::new()
    };
    let (disposition, folder) = if way.save_copy {
        ("SendAndSaveCopy", "<m:SavedItemFolderId><t:DistinguishedFolderId Id=\"sentitems\"/></m:SavedItemFolderId>")
    } else {
        ("SendOnly", "")
    };
    let before = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\
         <soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         xmlns:t=\"http://schemas.microsoft.com/exchange/services/2006/types\" \
         xmlns:m=\"http://schemas.microsoft.com/exchange/services/2006/messages\">\
         <soap:Header><t:RequestServerVersion Version=\"Exchange2013_SP1\"/>{impersonation}</soap:Header>\
         <soap:Body><m:CreateItem MessageDisposition=\"{disposition}\">{folder}<m:Items><t:Message>\
         <t:MimeContent CharacterSet=\"UTF-8\">"
    );
    let behind = "</t:MimeContent></t:Message></m:Items></m:CreateItem></soap:Body></soap:Envelope>".to_owned();
    Around { before, behind }
}
