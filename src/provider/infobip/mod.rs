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

    #[test]
    fn no_bit_of_what_a_vector_signs_can_be_flipped() {
        let signed = vector::flip(Provider::Infobip);
        assert!(signed >= 8, "only {signed} vectors");
    }
}
