//! The description of the API for programs (OpenAPI 3.1). A test holds it against the routes.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::CONTENT_TYPE;

use super::super::Control;

/// The document.
pub(super) const DOCUMENT: &str = include_str!("openapi.json");

/// It says nothing about this gateway, so everybody may read it.
pub(super) fn routes() -> Router<Control> {
    Router::new().route("/openapi.json", get(document))
}

async fn document() -> Response {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::super::Scope;
    use super::DOCUMENT;

    /// The sources of all operations; a new file is added here, or its operations would stay untold.
    const SOURCES: [&str; 8] = [
        include_str!("accounts.rs"),
        include_str!("gateway.rs"),
        include_str!("mail.rs"),
        include_str!("messages.rs"),
        include_str!("openapi.rs"),
        include_str!("sessions.rs"),
        include_str!("tokens.rs"),
        include_str!("users.rs"),
    ];

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).unwrap()
    }

    /// `METHOD /path` of every route in the sources.
    fn routed() -> BTreeSet<String> {
        let code = |source: &'static str| source.split("#[cfg(test)]").next().unwrap();
        SOURCES.into_iter().flat_map(|source| code(source).split(".route(").skip(1)).flat_map(methods).collect()
    }

    /// Those of one `.route(...)`, which begins behind its parenthesis.
    fn methods(route: &str) -> Vec<String> {
        let (path, rest) = route.trim_start().trim_start_matches('"').split_once('"').unwrap();
        let handlers = &rest[..closing(rest)];
        let has = |method: &&str| handlers.contains(&format!("{method}("));
        ["get", "post", "put", "delete", "patch"].iter().filter(|m| has(m)).map(|m| format!("{m} {path}")).collect()
    }

    /// Where the parenthesis that is open at the beginning closes.
    fn closing(text: &str) -> usize {
        let mut depth = 1;
        let closes = text.bytes().position(|octet| {
            depth += i32::from(octet == b'(') - i32::from(octet == b')');
            depth == 0
        });
        closes.unwrap_or(text.len())
    }

    #[test]
    fn the_document_has_every_route_and_no_other() {
        let document = document();
        let mut told = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            told.extend(methods.as_object().unwrap().keys().map(|method| format!("{method} {path}")));
        }
        assert!(told.len() > 10);
        assert_eq!(told, routed());
    }

    #[test]
    fn every_operation_names_a_scope_that_there_is_and_every_reference_leads_somewhere() {
        let document = document();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let scope = operation["x-scope"].as_str().unwrap();
                let known = scope.parse::<Scope>().is_ok() || matches!(scope, "owner" | "none");
                assert!(known, "{method} {path}: {scope}");
                let named = path.matches('{').count();
                let empty = Vec::new();
                let parameters = operation["parameters"].as_array().unwrap_or(&empty);
                let described = parameters.iter().filter(|parameter| parameter["in"] == "path").count();
                assert_eq!(named, described, "{method} {path}: every part of the path is described");
            }
        }
        let mut references = Vec::new();
        collect(&document, &mut references);
        for reference in references {
            let found = document.pointer(reference.trim_start_matches('#'));
            assert!(found.is_some(), "{reference} leads nowhere");
        }
    }

    fn collect(value: &Value, references: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                references.extend(object.get("$ref").and_then(Value::as_str).map(str::to_owned));
                object.values().for_each(|value| collect(value, references));
            }
            Value::Array(items) => items.iter().for_each(|value| collect(value, references)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}
