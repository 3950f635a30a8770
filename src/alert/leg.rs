//! A number's legs → a line each on its card, and whether shifting traffic helps. Pure.

use super::incident::{Incident, LegLine};
use super::text::grouped;
use crate::health::{Band, percent};

/// Messages a day that say how a leg is.
const LEG_MIN: u64 = 20;

/// A leg, its band and its rate.
pub(super) fn line(leg: &LegLine) -> String {
    match leg.rate {
        Some(rate) => {
            let share = percent(rate);
            format!("{}: {} · {share} % of {}", name(leg), leg.band.name(), grouped(leg.judged))
        }
        None => format!("{}: no traffic", name(leg)),
    }
}

/// A leg as people call it.
pub(super) fn name(leg: &LegLine) -> String {
    leg.provider.map_or_else(|| leg.connection.to_string(), |provider| provider.title().to_owned())
}

/// Whether another leg helps: only a leg that was tried of late can be said to be well.
pub(super) fn advice(incident: &Incident) -> Option<String> {
    let healthy = |leg: &&LegLine| leg.band == Band::Healthy && leg.day >= LEG_MIN;
    let bad = incident.legs.iter().filter(|leg| leg.band > Band::Healthy);
    if bad.clone().count() > 1 {
        return Some("More than one leg is bad: number or content, do not fail over.".into());
    }
    let sick = incident.sick_leg().or_else(|| bad.clone().next()).filter(|_| incident.legs.len() > 1)?;
    if let Some(well) = incident.legs.iter().find(healthy) {
        let (well, sick) = (name(well), name(sick));
        return Some(format!("The {well} leg is healthy: consider shifting traffic from {sick} to it."));
    }
    let standby = incident.legs.iter().find(|leg| leg.connection != sick.connection)?;
    let since =
        if standby.week == 0 { "for 7 days: test it first" } else { "enough within 24 h to say how it is" };
    Some(format!("The {} leg has not been used {since}.", name(standby)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::incident::sample;
    use crate::event::Provider;

    #[test]
    fn another_leg_is_advised_only_where_it_was_tried_of_late_and_is_well() {
        use Band::{Critical, Healthy, Unknown, Watch};
        let shift = "The Twilio leg is healthy: consider shifting traffic from Infobip to it.";
        let both = "More than one leg is bad: number or content, do not fail over.";
        let unused = "The Twilio leg has not been used for 7 days: test it first.";
        let little = "The Twilio leg has not been used enough within 24 h to say how it is.";
        for (infobip, twilio, day, week, said) in [
            (Critical, Healthy, 20, 500, Some(shift)),
            (Critical, Healthy, 19, 500, Some(little)),
            (Critical, Unknown, 0, 1, Some(little)),
            (Critical, Unknown, 0, 0, Some(unused)),
            (Critical, Watch, 100, 500, Some(both)),
            (Healthy, Healthy, 100, 500, None),
        ] {
            let mut incident = sample::incident();
            incident.cause.leg = None;
            for leg in &mut incident.legs {
                let is_twilio = leg.provider == Some(Provider::Twilio);
                (leg.band, leg.day, leg.week) =
                    if is_twilio { (twilio, day, week) } else { (infobip, 500, 500) };
            }
            assert_eq!(advice(&incident).as_deref(), said, "{infobip:?} {twilio:?} {day} {week}");
            incident.legs.retain(|leg| leg.provider == Some(Provider::Infobip));
            assert_eq!(advice(&incident), None, "there is no other leg");
        }
    }
}
