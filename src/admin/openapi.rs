//! `GET /api/v1/openapi.json`: what the API takes and answers, as OpenAPI 3.1. It is written by hand
//! beside this file; a test holds every route to it.

use axum::http::header;
use axum::response::{IntoResponse, Response};

const DOCUMENT: &str = include_str!("openapi.json");

/// `GET /api/v1/openapi.json`
pub(super) async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

    /// The routes as the router is written, each with its methods; the page's own files aside.
    fn routes() -> BTreeSet<(String, &'static str)> {
        let source = include_str!("mod.rs");
        let calls = source.split(".route(").skip(1).filter_map(|call| {
            let (path, rest) = call.trim_start().strip_prefix('"')?.split_once('"')?;
            let handlers = rest.split(".route").next().unwrap_or(rest).to_owned();
            Some((path.to_owned(), handlers))
        });
        let of_api = calls.filter(|(path, _)| !["/", "/page.css", "/page.js"].contains(&path.as_str()));
        of_api
            .flat_map(|(path, handlers)| {
                let has = move |method: &&str| handlers.contains(&format!("{method}("));
                METHODS.into_iter().filter(has).map(move |method| (path.clone(), method)).collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let paths = document["paths"].as_object().unwrap().iter();
        let described: BTreeSet<(String, &str)> = paths
            .flat_map(|(path, item)| {
                let has = |method: &&str| item.get(*method).is_some();
                METHODS.into_iter().filter(has).map(|method| (path.clone(), method)).collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(described, routes());
        assert!(routes().contains(&("/api/v1/silences".to_owned(), "post")), "the search finds routes");
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_parameter_of_a_path_is_described() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        for reference in DOCUMENT.split("\"$ref\": \"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(document.pointer(reference).is_some(), "{reference} leads nowhere");
        }
        for (path, item) in document["paths"].as_object().unwrap() {
            let named: BTreeSet<&str> =
                path.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect();
            for (method, operation) in item.as_object().unwrap() {
                let parameters = operation["parameters"].as_array().into_iter().flatten();
                let described: BTreeSet<&str> =
                    parameters.filter(|it| it["in"] == "path").filter_map(|it| it["name"].as_str()).collect();
                assert_eq!(described, named, "{method} {path}");
                assert!(operation["summary"].is_string(), "{method} {path}");
            }
        }
    }
}
