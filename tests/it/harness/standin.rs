//! The providers' APIs as their documentation has them: credentials, balance, a message. One server
//! plays all four.

use std::net::SocketAddr;

use axum::Json;
use axum::Router;
use axum::extract::{Path, Query, Request};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// What the APIs know their accounts by.
pub(crate) const API_SECRET: &str = "api-secret-c0ffee0123456789abcdef";
/// A key of Infobip's that may send and nothing else.
pub(crate) const SENDING_KEY: &str = "sending-key-c0ffee0123456789abcdef";
/// A key and a product token of accounts that have no money left.
pub(crate) const PENNILESS: &str = "penniless-c0ffee0123456789abcdef";
/// A Twilio account that is suspended.
pub(crate) const SUSPENDED: &str = "ACsuspended0000000000000000000000";

/// Starts the server; it ends with the test's runtime.
pub(crate) async fn provider_apis() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new()
        .route("/2010-04-01/Accounts/{file}", get(twilio_account))
        .route("/2010-04-01/Accounts/{sid}/Messages.json", post(twilio_message))
        .route("/account/1/balance", get(infobip_balance))
        .route("/sms/3/messages", post(infobip_message))
        .route("/v1.0/message", post(cm))
        .route("/limeApi", get(lime_lists))
        .route("/sendsmsapi", post(lime_message));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn authorization(headers: &HeaderMap) -> &str {
    headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn is_twilio(headers: &HeaderMap, sid: &str) -> bool {
    authorization(headers) == format!("Basic {}", STANDARD.encode(format!("{sid}:{API_SECRET}")))
}

async fn twilio_account(Path(file): Path<String>, headers: HeaderMap) -> Response {
    let sid = file.trim_end_matches(".json");
    if !is_twilio(&headers, sid) {
        let body = json!({ "code": 20003, "message": "Authenticate", "status": 401 });
        return (StatusCode::UNAUTHORIZED, Json(body)).into_response();
    }
    let status = if sid == SUSPENDED { "suspended" } else { "active" };
    // The real answer holds the auth token.
    Json(json!({ "sid": sid, "status": status, "type": "Full", "auth_token": API_SECRET })).into_response()
}

async fn twilio_message(Path(sid): Path<String>, request: Request) -> Response {
    if !is_twilio(request.headers(), &sid) {
        return (StatusCode::UNAUTHORIZED, Json(json!({ "code": 20003, "status": 401 }))).into_response();
    }
    let body = axum::body::to_bytes(request.into_body(), 65_536).await.unwrap();
    let to = form_urlencoded::parse(&body).find(|(name, _)| name == "To").map(|(_, to)| to.into_owned());
    match to.as_deref() {
        Some("+15005550001") => {
            (StatusCode::BAD_REQUEST, Json(json!({ "code": 21211, "status": 400 }))).into_response()
        }
        _ => (StatusCode::CREATED, Json(json!({ "sid": "SM1", "status": "queued" }))).into_response(),
    }
}

async fn infobip_balance(headers: HeaderMap) -> Response {
    match authorization(&headers).strip_prefix("App ") {
        Some(API_SECRET) => Json(json!({ "balance": 47.79, "currency": "EUR" })).into_response(),
        Some(PENNILESS) => Json(json!({ "balance": 0, "currency": "EUR" })).into_response(),
        Some(SENDING_KEY) => StatusCode::FORBIDDEN.into_response(),
        _ => StatusCode::UNAUTHORIZED.into_response(),
    }
}

async fn infobip_message(headers: HeaderMap, Json(body): Json<Value>) -> Response {
    if authorization(&headers)
        .strip_prefix("App ")
        .is_none_or(|key| ![API_SECRET, SENDING_KEY].contains(&key))
    {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let rejected = body["messages"][0]["destinations"][0]["to"] == "15005550001";
    let status = if rejected { json!({ "groupId": 5, "id": 52 }) } else { json!({ "groupId": 1, "id": 26 }) };
    Json(json!({ "messages": [{ "messageId": "im-1", "status": status }] })).into_response()
}

async fn cm(Json(body): Json<Value>) -> Response {
    let messages = &body["messages"];
    let token = messages["authentication"]["productToken"].as_str();
    let known = [Some(API_SECRET), Some(PENNILESS)].contains(&token);
    let (status, code) = match (known, messages["msg"].as_array().map_or(0, Vec::len)) {
        (false, _) => (StatusCode::BAD_REQUEST, 103),
        (true, _) if token == Some(PENNILESS) => (StatusCode::BAD_REQUEST, 102),
        (true, 0) => (StatusCode::BAD_REQUEST, 203),
        (true, _) => (StatusCode::OK, 0),
    };
    (status, Json(json!({ "details": "", "errorCode": code }))).into_response()
}

async fn lime_lists(Query(query): Query<Vec<(String, String)>>) -> Response {
    let has = |name: &str, value: &str| query.iter().any(|(n, v)| n == name && v == value);
    match has("user", "acme") && has("api_id", API_SECRET) && has("ev", "optInLists") {
        true => "<lists type=\"optin\"></lists>".into_response(),
        false => (StatusCode::FORBIDDEN, "wrong user or api_id").into_response(),
    }
}

async fn lime_message(Json(body): Json<Value>) -> Response {
    match (body["apiId"] == API_SECRET, body["message"] == "") {
        (false, _) => StatusCode::FORBIDDEN.into_response(),
        (true, true) => {
            Json(json!({ "Status": "Error", "ErrorId": "105", "ErrorMessgae": "empty" })).into_response()
        }
        (true, false) => Json(json!({ "Status": "OK" })).into_response(),
    }
}
