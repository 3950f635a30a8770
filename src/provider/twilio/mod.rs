//! Twilio: what it signs, what it says, and what its codes mean.

pub mod api;
pub mod codes;
pub mod payload;
pub mod signature;

mod form;
mod stream;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Secret;
    use crate::event::Provider;
    use crate::provider::vector::{self, Request};
    use crate::provider::{Context, verify};

    #[test]
    fn every_vector_leads_to_its_verdict_and_events() {
        vector::run(Provider::Twilio);
    }

    #[test]
    fn no_bit_of_what_a_vector_signs_can_be_flipped() {
        let signed = vector::flip(Provider::Twilio);
        assert!(signed >= 40, "only {signed} vectors");
    }

    fn events(body: &str) -> usize {
        let mut connection = vector::connection(Provider::Twilio);
        connection.auth.path_secrets.push(Secret::new("s".into()));
        let registry = vector::registry(&connection, vector::privacy());
        let request =
            Request { method: "POST", target: "/hooks/a/s", segment: Some("s"), headers: Vec::new(), body };
        let proved = verify(vector::webhook(Some(connection), &request)).unwrap();
        payload::normalize(&Context::new(&proved.webhook, &registry)).events.len()
    }

    proptest! {
        #[test]
        fn whatever_is_proved_leaves_an_event(
            body in ".{0,80}",
            field in "(MessageStatus|SmsStatus|Body|Payload|OptOutType|From)",
            kind in "com\\.twilio\\.(messaging\\.(message|compliance|inbound-message)|error-logs)\\.[a-z.]{0,9}",
            name in "(messageSid|timestamp|errorCode|error_code|status)",
        ) {
            prop_assert!(events(&body) >= 1);
            let form = format!("MessageSid=SM1&{field}={body}");
            prop_assert!(events(&form) >= 1);
            let text = serde_json::to_string(&body).unwrap();
            let item = format!(r#"{{"type":"{kind}","id":"1","data":{{"{name}":{text}}}}}"#);
            let batch = format!("[{item},1]");
            prop_assert_eq!(events(&batch), 2);
        }
    }
}
