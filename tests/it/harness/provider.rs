//! The four providers, signing as their documentation says, with nothing of Sounder's own code.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::digest::KeyInit as _;
use hmac::{Hmac, Mac as _};
use serde_json::json;

use super::setting::{
    CM_PATH, INFOBIP_HMAC, INFOBIP_NUMBER, LIME_PASSWORD, LIME_PATH, PUBLIC_URL, TWILIO_NUMBER, TWILIO_TOKEN,
};

/// Who the messages are for; nobody may ever see it.
pub(super) const RECIPIENT: &str = "12025559876";

/// What a receipt says of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Delivered,
    Filtered,
}

/// A webhook as a provider sends it.
#[derive(Clone, Debug)]
pub(crate) struct Webhook {
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

/// What it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Without the date.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// A webhook on its way to a receiver at this URL.
pub(crate) fn post(client: &reqwest::Client, url: &str, webhook: &Webhook) -> reqwest::RequestBuilder {
    webhook.request(client, url)
}

impl Webhook {
    pub(crate) fn request(&self, client: &reqwest::Client, url: &str) -> reqwest::RequestBuilder {
        let request = client.post(format!("{url}{}", self.path)).body(self.body.clone());
        self.headers.iter().fold(request, |request, (name, value)| request.header(*name, value))
    }

    /// The same to another path.
    pub(crate) fn at(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// The same without one of its headers.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(header, _)| *header != name);
        self
    }

    /// The same with one of its headers saying something else.
    pub(crate) fn with(self, name: &'static str, value: &str) -> Self {
        let mut other = self.without(name);
        other.headers.push((name, value.to_owned()));
        other
    }
}

impl Answer {
    pub(super) async fn of(response: reqwest::Response) -> Self {
        let status = response.status().as_u16();
        let shown = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
            (name.to_string(), value.to_str().unwrap_or_default().to_owned())
        };
        let headers = response.headers().iter().map(shown).filter(|(name, _)| name != "date").collect();
        Self { status, headers, body: response.text().await.unwrap() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }
}

/// Twilio's status callback for a message.
pub(crate) fn twilio(message: &str, fate: Fate) -> Webhook {
    let (status, code) = match fate {
        Fate::Delivered => ("delivered", None),
        Fate::Filtered => ("undelivered", Some(("ErrorCode", "30007"))),
    };
    let (sid, to) = (format!("SM{message:0>32}"), format!("+{RECIPIENT}"));
    let mut form = vec![("AccountSid", "AC0123456789abcdef0123456789abcdef"), ("ApiVersion", "2010-04-01")];
    form.extend(code);
    form.extend([("From", TWILIO_NUMBER), ("MessageSid", &sid), ("MessageStatus", status), ("To", &to)]);
    twilio_form(&form)
}

/// Any form as Twilio would post it.
pub(crate) fn twilio_form(form: &[(&str, &str)]) -> Webhook {
    let path = "/hooks/acme-twilio";
    let mut sorted = form.to_vec();
    sorted.sort_unstable();
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(TWILIO_TOKEN.as_bytes()).unwrap();
    mac.update(format!("{PUBLIC_URL}{path}").as_bytes());
    for (name, value) in sorted {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    Webhook {
        path: path.into(),
        headers: vec![
            ("content-type", "application/x-www-form-urlencoded".into()),
            ("x-twilio-signature", STANDARD.encode(mac.finalize().into_bytes())),
        ],
        body: encoded(form),
    }
}

/// Infobip's delivery report for a message.
pub(crate) fn infobip(message: &str, fate: Fate) -> Webhook {
    let (status, error) = match fate {
        Fate::Delivered => ((3, "DELIVERED", 5, "DELIVERED_TO_HANDSET"), (0, "OK", 0, "NO_ERROR")),
        Fate::Filtered => (
            (2, "UNDELIVERABLE", 9, "UNDELIVERABLE_NOT_DELIVERED"),
            (2, "USER_ERRORS", 607, "EC_REJECTED_SPAM_BY_OPERATOR"),
        ),
    };
    let word = |(group, name, id, word): (u8, &str, u16, &str)| json!({ "groupId": group, "groupName": name, "id": id, "name": word, "description": word });
    let body = json!({ "results": [{
        "messageId": message, "to": RECIPIENT, "sender": INFOBIP_NUMBER.trim_start_matches('+'),
        "status": word(status), "error": word(error), "messageCount": 1,
    }] })
    .to_string();
    infobip_body(body)
}

/// Any body as Infobip would post it.
pub(crate) fn infobip_body(body: String) -> Webhook {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(INFOBIP_HMAC.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let signature = format!("SHA256={}", hex::encode(mac.finalize().into_bytes()));
    Webhook {
        path: "/hooks/acme-infobip".into(),
        headers: vec![("content-type", "application/json".into()), ("x-hub-signature", signature)],
        body,
    }
}

/// CM's status report for a message.
pub(crate) fn cm(reference: &str, fate: Fate) -> Webhook {
    let (code, error) = match fate {
        Fate::Delivered => ("2", ""),
        Fate::Filtered => ("3", "28"),
    };
    let body = json!({ "messages": { "msg": {
        "received": "2026-11-23T12:00:00", "to": format!("00{RECIPIENT}"), "reference": reference,
        "status": { "code": code, "errorCode": error, "errorDescription": "" }, "operator": "310260",
    } } });
    Webhook {
        path: format!("/hooks/acme-cm/{CM_PATH}"),
        headers: vec![("content-type", "application/json".into())],
        body: body.to_string(),
    }
}

/// Lime's delivery receipt for a message.
pub(crate) fn lime(message: &str, fate: Fate) -> Webhook {
    let (status, error) = match fate {
        Fate::Delivered => ("DELIVRD", "000"),
        Fate::Filtered => ("REJECTD", "045"),
    };
    let form = [("message_id", message), ("mobile", RECIPIENT), ("status", status), ("error", error)];
    Webhook {
        path: format!("/hooks/acme-lime/{LIME_PATH}"),
        headers: vec![
            ("content-type", "application/x-www-form-urlencoded".into()),
            ("authorization", format!("Basic {}", STANDARD.encode(format!("lime:{LIME_PASSWORD}")))),
        ],
        body: encoded(&form),
    }
}

fn encoded(form: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish()
}
