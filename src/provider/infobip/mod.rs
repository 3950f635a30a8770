//! Infobip: what it signs, what it says.

pub mod api;
pub mod codes;
mod flat;
mod item;
mod notice;
pub mod payload;
mod report;
pub mod signature;

#[cfg(test)]
mod tests {
    use crate::event::Provider;
    use crate::provider::vector;

    #[test]
    fn every_vector_leads_to_its_verdict_and_events() {
        vector::run(Provider::Infobip);
    }
}
