//! Accounts with the providers: `check --online` asks each provider's API, and a test message is sent.

use std::net::SocketAddr;

use sounder::command::account;
use sounder::config::{Api, Credentials, Secret};
use sounder::provider::api::{Finding, TestMessage};

use crate::harness::{API_SECRET, PENNILESS, SENDING_KEY, SUSPENDED, Setting, free_port, provider_apis};

/// Four accounts; `secret` is what each is known by.
fn accounts(at: SocketAddr, secret: &str) -> String {
    let path = "path_secrets = [\"0123456789abcdef\"]";
    let api = format!("{path}\napi_url = \"http://{at}\"");
    format!(
        "[[connection]]\nid = \"t\"\nprovider = \"twilio\"\n{api}\naccount_sid = \"AC1\"\nauth_tokens = [\"{secret}\"]\n\
         [[connection]]\nid = \"i\"\nprovider = \"infobip\"\n{api}\napi_key = \"{secret}\"\n\
         [[connection]]\nid = \"c\"\nprovider = \"cm\"\n{api}\nproduct_token = \"{secret}\"\n\
         [[connection]]\nid = \"l\"\nprovider = \"lime\"\n{api}\nuser = \"acme\"\napi_id = \"{secret}\"\n"
    )
}

#[tokio::test]
async fn accounts_that_work_are_said_to_and_others_are_not() {
    let at = provider_apis().await;
    let setting = Setting::embedded().with(&accounts(at, API_SECRET));
    let fine = setting.spawn(&["check", "--online"]).ends().await.with(0);
    for told in
        ["t: the account works: active", "i: the account works: balance 47.79 EUR", "c: the", "l: the"]
    {
        assert!(fine.stderr.contains(told), "{told}: {}", fine.stderr);
    }
    let wrong = "wrong-secret-c0ffee0123456789abcdef";
    let setting = Setting::embedded().with(&accounts(at, wrong));
    let ended = setting.spawn(&["check", "--online"]).ends().await.with(69);
    assert_eq!(ended.stderr.matches("the credentials are wrong").count(), 4, "{}", ended.stderr);
    let nobody = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let setting = Setting::embedded().with(&accounts(nobody, API_SECRET));
    let ended = setting.spawn(&["check", "--online"]).ends().await.with(69);
    assert_eq!(ended.stderr.matches("does not answer").count(), 4, "{}", ended.stderr);
    for shown in [API_SECRET, wrong] {
        assert!(!format!("{}{}", ended.stderr, fine.stderr).contains(shown), "a secret is shown");
    }
}

#[tokio::test]
async fn what_an_api_says_of_an_account_is_understood() {
    let url = format!("http://{}", provider_apis().await);
    let secret = |text: &str| Secret::new(text.to_owned());
    let twilio = |sid: &str| Credentials::Twilio { account_sid: sid.into(), auth_token: secret(API_SECRET) };
    let infobip = |key| Credentials::Infobip { api_key: secret(key) };
    let cm_of = |token| Credentials::Cm { product_token: secret(token) };
    let cm = || cm_of(API_SECRET);
    let lime = || Credentials::Lime { user: "acme".into(), api_id: secret(API_SECRET) };
    let of = |credentials| Api { url: url.clone(), credentials };
    let suspended = account::probe(&of(twilio(SUSPENDED))).await.unwrap_err();
    assert!(suspended.contains("suspended"), "{suspended}");
    let sending = account::probe(&of(infobip(SENDING_KEY))).await.unwrap();
    assert!(sending.contains("credentials are right"), "{sending}");
    for credentials in [infobip(PENNILESS), cm_of(PENNILESS)] {
        let penniless = account::probe(&of(credentials)).await.unwrap_err();
        assert!(penniless.contains("balance"), "{penniless}");
    }
    let message = |to| TestMessage {
        from: "+18005550100",
        to,
        text: "A test.",
        callback: "https://hooks.example.com/hooks/a",
        reference: "r1",
    };
    let sent = async |credentials, to| account::send(&of(credentials), &message(to)).await;
    for (credentials, id) in
        [(twilio("AC1"), "SM1"), (infobip(API_SECRET), "im-1"), (cm(), "r1"), (lime(), "none")]
    {
        assert_eq!(sent(credentials, "+14155550101").await, Ok(Finding::Sent(id.into())));
    }
    let nobody = "+15005550001";
    for credentials in [twilio("AC1"), infobip(SENDING_KEY)] {
        let refused = sent(credentials, nobody).await.unwrap_err();
        assert!(refused.contains("may not send") && !refused.contains(nobody), "{refused}");
    }
}
