//! CM: what it signs, what it says.

pub mod api;
pub mod codes;
mod fields;
pub mod payload;
mod reply;
mod report;
pub mod signature;

#[cfg(test)]
mod tests {
    use crate::event::Provider;
    use crate::provider::vector;

    #[test]
    fn every_vector_leads_to_its_verdict_and_events() {
        vector::run(Provider::Cm);
    }

    #[test]
    fn no_bit_of_what_a_vector_signs_can_be_flipped() {
        let signed = vector::flip(Provider::Cm);
        assert!(signed >= 1, "only {signed} vectors");
    }
}
