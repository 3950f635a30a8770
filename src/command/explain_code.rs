//! `explain-code`: a provider and a code in, what the code means out, as a card on Discord says it.

use super::{Failure, Global, output};
use crate::event::Provider;
use crate::provider::{self, Explained};

/// Arguments of `explain-code`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Whose code it is: twilio, infobip, cm or lime
    #[arg(value_parser = provider_named)]
    pub provider: Provider,
    /// The error code, or a status: a word, or status:14 where statuses are numbers
    pub code: String,
}

fn provider_named(name: &str) -> Result<Provider, String> {
    let known = Provider::ALL.into_iter().find(|provider| provider.name() == name);
    known.ok_or_else(|| format!("choose one of {}", Provider::ALL.map(Provider::name).join(", ")))
}

/// Prints what a code means.
///
/// # Errors
/// When the code is in none of the provider's tables.
pub fn run(args: &Args, global: &Global) -> Result<(), Failure> {
    let Some(explained) = provider::explain(args.provider, &args.code) else {
        return Err(Failure::Usage(unknown(args)));
    };
    if !global.json {
        return output::line(&describe(args, &explained));
    }
    output::json(&serde_json::json!({
        "provider": args.provider.name(),
        "code": args.code,
        "state": explained.state.name(),
        "failure": explained.failure,
    }))
}

fn unknown(args: &Args) -> String {
    format!(
        "{} {:?} is not a known code: its messages count as failed with class unknown; \
         see unknown_codes_total for those your provider has sent",
        args.provider, args.code
    )
}

fn describe(args: &Args, explained: &Explained) -> String {
    let head = format!("{} {}: {}", args.provider, args.code, explained.state.name());
    match &explained.failure {
        None => head,
        Some(failure) => format!(
            "{head}\n  {}\n  class {}, on the side of the {}",
            failure.text,
            failure.class.name(),
            failure.blames.name()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_explained_in_a_sentence() {
        let told = |provider, code: &str| {
            let args = Args { provider, code: code.to_owned() };
            provider::explain(provider, code).map(|explained| describe(&args, &explained))
        };
        insta::assert_snapshot!(told(Provider::Twilio, "30007").unwrap(), @r"
        twilio 30007: failed
          An operator or Twilio filtered the message as unwanted.
          class carrier_filtered, on the side of the number
        ");
        assert_eq!(told(Provider::Infobip, "status:5").unwrap(), "infobip status:5: delivered");
        assert_eq!(told(Provider::Cm, "4711"), None);
    }
}
