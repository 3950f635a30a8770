//! One value as written in, the same as meant out, or what is wrong with it and the remedy.
//! Reads no file but a `file:` secret's, and never repeats a secret.

use std::io::Read as _;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::IpNet;

use super::Secret;
use super::document::Value;
use super::mistake::{Wrong, nearest};
use super::section::Field;
use crate::event::{ConnectionId, ListId, Number, Provider};

/// The least a secret in a URL or a bearer token may hold, in characters: guessing must be hopeless.
const SECRET_LENGTH_MIN: usize = 16;
/// The largest file a secret is read from, in bytes.
const SECRET_FILE_BYTES_MAX: u64 = 65_536;
/// The longest duration: ten years, in milliseconds. Sums of durations then never overflow.
const DURATION_MILLIS_MAX: u64 = 10 * 366 * 86_400_000;

type Read<T> = Result<T, Wrong>;

pub(super) fn text(field: &Field<'_>) -> Read<String> {
    field.text().map(str::to_owned)
}

/// A whole number within bounds.
pub(super) fn whole<T: TryFrom<i64>>(range: RangeInclusive<i64>) -> impl Fn(&Field<'_>) -> Read<T> {
    move |field| {
        let remedy = || format!("write a number from {} to {}", range.start(), range.end());
        let Value::Integer(number) = *field.plain() else {
            return Err(Wrong::new(
                format!("must be a whole number, not {}", field.plain().name()),
                remedy(),
            ));
        };
        let fits = range.contains(&number).then(|| T::try_from(number).ok()).flatten();
        fits.ok_or_else(|| Wrong::new(format!("is out of range: {number}"), remedy()))
    }
}

/// A percentage within bounds, as a share of one.
pub(super) fn percent(range: RangeInclusive<f64>) -> impl Fn(&Field<'_>) -> Read<f64> {
    move |field| {
        let remedy = format!("write a per cent figure from {} to {}, as in 95.0", range.start(), range.end());
        let number = match field.plain() {
            Value::Float(number) => *number,
            // i32 is every integer that could be in range, and f64 holds each exactly.
            Value::Integer(number) => i32::try_from(*number).map_or(f64::NAN, f64::from),
            other => return Err(Wrong::new(format!("must be a number, not {}", other.name()), remedy)),
        };
        let fits = range.contains(&number).then_some(number / 100.0);
        fits.ok_or_else(|| Wrong::new(format!("is out of range: {number}"), remedy))
    }
}

/// One of a few words.
pub(super) fn choice<T: Copy>(words: &[(&'static str, T)]) -> impl Fn(&Field<'_>) -> Read<T> {
    move |field| {
        let written = field.text()?;
        let known = || words.iter().map(|(word, _)| *word);
        words.iter().find(|(word, _)| *word == written).map(|(_, meant)| *meant).ok_or_else(|| {
            let all = known().collect::<Vec<_>>().join(", ");
            Wrong::new(
                format!("is not one of {all}: {written:?}"),
                nearest(written, known())
                    .map_or_else(|| format!("choose one of {all}"), |near| format!("did you mean {near:?}?")),
            )
        })
    }
}

pub(super) fn provider(field: &Field<'_>) -> Read<Provider> {
    choice(&Provider::ALL.map(|provider| (provider.name(), provider)))(field)
}

/// A duration longer than nothing.
pub(super) fn duration(field: &Field<'_>) -> Read<Duration> {
    span(field).and_then(|span| match span.is_zero() {
        true => Err(Wrong::new("must be longer than nothing", "write a duration such as \"10s\"")),
        false => Ok(span),
    })
}

/// A duration, possibly none.
pub(super) fn span(field: &Field<'_>) -> Read<Duration> {
    let remedy = "write a number and its unit, ms, s, m, h or d, as in \"500ms\", \"10m\" or \"35d\"";
    let written = match field.plain() {
        Value::Integer(_) | Value::Float(_) => return Err(Wrong::new("has no unit", remedy)),
        _ => field.text()?,
    };
    let millis =
        millis(written).ok_or_else(|| Wrong::new(format!("is not a duration: {written:?}"), remedy))?;
    if millis > DURATION_MILLIS_MAX {
        return Err(Wrong::new(format!("is too long: {written:?}"), "write at most \"3660d\""));
    }
    Ok(Duration::from_millis(millis))
}

/// Reads a duration as the configuration writes it, for the command line.
///
/// # Errors
/// A sentence when it is none.
pub fn parse_duration(written: &str) -> Result<Duration, String> {
    let fits = millis(written).filter(|millis| (1..=DURATION_MILLIS_MAX).contains(millis));
    fits.map(Duration::from_millis).ok_or_else(|| "write a number and its unit, as in 10m".to_owned())
}

/// `1h30m` in milliseconds.
fn millis(written: &str) -> Option<u64> {
    let mut rest = written.trim();
    let mut total = 0_u64;
    while !rest.is_empty() {
        let (count, after) = split_number(rest)?;
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let unit = match after[..end].trim() {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(count.checked_mul(unit)?)?;
        rest = &after[end..];
    }
    (!written.trim().is_empty()).then_some(total)
}

/// A number of bytes, at least one.
pub(super) fn byte_size(field: &Field<'_>) -> Read<u64> {
    let remedy = "write whole bytes, or a number and KiB, MiB, GiB or TiB, as in \"50GiB\"";
    let bytes = match field.plain() {
        Value::Integer(bytes) => u64::try_from(*bytes).ok(),
        Value::String(written) => bytes(written),
        other => return Err(Wrong::new(format!("must be a size, not {}", other.name()), remedy)),
    };
    bytes.filter(|bytes| *bytes > 0).ok_or_else(|| Wrong::new("is not a size in bytes", remedy))
}

fn bytes(written: &str) -> Option<u64> {
    let (count, unit) = split_number(written.trim())?;
    let unit = match unit.trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    count.checked_mul(unit)
}

fn split_number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

pub(super) fn address(field: &Field<'_>) -> Read<SocketAddr> {
    let written = field.text()?;
    let written =
        written.strip_prefix("localhost:").map_or(written.to_owned(), |port| format!("127.0.0.1:{port}"));
    written.parse().map_err(|_| {
        Wrong::new(
            format!("is not an address and a port: {written:?}"),
            "write IP:PORT, as in \"127.0.0.1:8080\", \"0.0.0.0:8080\" or \"[::]:8080\"",
        )
    })
}

/// Addresses in CIDR form; a single address is a network of one.
pub(super) fn network(field: &Field<'_>) -> Read<IpNet> {
    let written = field.text()?;
    let single = || written.parse::<std::net::IpAddr>().map(IpNet::from);
    written.parse::<IpNet>().or_else(|_| single()).map(|network| network.trunc()).map_err(|_| {
        Wrong::new(
            format!("is not a network: {written:?}"),
            "write addresses in CIDR form, as in \"35.90.102.128/25\"",
        )
    })
}

/// An `http://` or `https://` URL with a host and no query, without its trailing slash.
pub(super) fn url(field: &Field<'_>) -> Read<String> {
    let written = field.text()?.trim_end_matches('/');
    let remedy = "write scheme, host and perhaps a path, as in \"https://hooks.example.com\"";
    let wrong = |what: &str| Err(Wrong::new(what, remedy));
    if written.contains(['?', '#']) {
        return wrong("must have no query and no fragment");
    }
    match written.parse::<http::Uri>() {
        Ok(uri) => match (uri.scheme_str(), uri.authority()) {
            (Some("http" | "https"), Some(authority)) if authority.as_str().contains('@') => {
                wrong("must have no user and no password")
            }
            (Some("http" | "https"), Some(_)) => Ok(written.to_owned()),
            _ => wrong("is not an http or https URL"),
        },
        Err(_) => wrong("is not a URL"),
    }
}

/// A header's name, lower case.
pub(super) fn header(field: &Field<'_>) -> Read<String> {
    let written = field.text()?;
    http::HeaderName::try_from(written).map(|name| name.as_str().to_owned()).map_err(|_| {
        Wrong::new(format!("is not a header's name: {written:?}"), "write a name such as \"X-Hub-Signature\"")
    })
}

/// A word or a few that are a whole reply.
pub(super) fn keyword(field: &Field<'_>) -> Read<String> {
    let written = field.text()?.trim();
    let fits = written.chars().count() <= 40 && written.chars().any(char::is_alphanumeric);
    fits.then(|| written.to_owned()).ok_or_else(|| {
        Wrong::new(
            format!("is no keyword: {written:?}"),
            "write a whole reply of at most 40 characters, as in \"STOP\"",
        )
    })
}

/// The SHA-256 of a certificate, as `openssl x509 -noout -fingerprint -sha256` prints it.
pub(super) fn fingerprint(field: &Field<'_>) -> Read<[u8; 32]> {
    let written = field.text()?;
    let digits: String = written.trim().trim_start_matches("sha256:").chars().filter(|c| *c != ':').collect();
    let digest = hex::decode(digits).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    digest.ok_or_else(|| {
        Wrong::new(
            format!("is not the SHA-256 of a certificate: {written:?}"),
            "write the 64 hex digits of `openssl x509 -in client.pem -noout -fingerprint -sha256`",
        )
    })
}

/// The id of a key that Twilio shares.
pub(super) fn shared_key(field: &Field<'_>) -> Read<String> {
    let written = field.text()?;
    let fits = !written.is_empty() && written.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    fits.then(|| written.to_owned()).ok_or_else(|| {
        Wrong::new(
            format!("is not the id of a shared key: {written:?}"),
            "write the id that Twilio shows, as in \"webhooks_sharedkey_…\"; the secret goes into secret",
        )
    })
}

/// The name of a field of a body, lower case.
pub(super) fn body_field(field: &Field<'_>) -> Read<String> {
    let written = field.text()?;
    let fits =
        !written.is_empty() && written.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    fits.then(|| written.to_ascii_lowercase()).ok_or_else(|| {
        Wrong::new(
            format!("is not the name of a field: {written:?}"),
            "write the name alone, as in \"token\", wherever in the template it stands",
        )
    })
}

pub(super) fn timezone(field: &Field<'_>) -> Read<String> {
    let written = field.text()?;
    jiff::tz::TimeZone::get(written).map(|_| written.to_owned()).map_err(|_| {
        Wrong::new(
            format!("is not a known time zone: {written:?}"),
            "write an IANA name, as in \"Europe/Amsterdam\" or \"UTC\"",
        )
    })
}

pub(super) fn connection_id(field: &Field<'_>) -> Read<ConnectionId> {
    id(field, ConnectionId::parse)
}

pub(super) fn list_id(field: &Field<'_>) -> Read<ListId> {
    id(field, ListId::parse)
}

fn id<T>(field: &Field<'_>, parse: impl Fn(&str) -> Option<T>) -> Read<T> {
    let written = field.text()?;
    parse(written).ok_or_else(|| {
        Wrong::new(
            format!("is not an id: {written:?}"),
            "use 1 to 64 lower-case letters, digits, hyphens and underscores",
        )
    })
}

/// A sending number.
pub(super) fn sender(field: &Field<'_>) -> Read<Number> {
    let written = field.text()?;
    Number::parse(written).ok_or_else(|| {
        Wrong::new(
            format!("is not a sending number: {written:?}"),
            "write E.164 as in \"+18005550100\", a short code of 3 to 8 digits, or an alphanumeric sender",
        )
    })
}

/// A secret: `env:NAME`, `file:PATH`, or written out, which is warned about.
pub(super) fn secret(field: &Field<'_>) -> Read<Secret> {
    let written = field.text()?;
    if !is_reference(written) {
        field.report.warn(format!(
            "{} is written out in the configuration: keep it in env:NAME or file:PATH instead",
            field.path
        ));
    }
    resolve(field, written).and_then(|text| match text.is_empty() {
        true => Err(Wrong::new("is an empty secret", "give it a value, or remove the key")),
        false => Ok(Secret::new(text)),
    })
}

/// A secret long enough not to be guessed.
pub(super) fn long_secret(field: &Field<'_>) -> Read<Secret> {
    let secret = secret(field)?;
    if secret.expose().chars().count() < SECRET_LENGTH_MIN {
        return Err(Wrong::new(
            format!("is shorter than {SECRET_LENGTH_MIN} characters"),
            "make one with `sounder secret new`",
        ));
    }
    Ok(secret)
}

/// A secret that is one segment of a URL's path.
pub(super) fn path_secret(field: &Field<'_>) -> Read<Secret> {
    let secret = long_secret(field)?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    if !secret.expose().bytes().all(fits) {
        return Err(Wrong::new(
            "holds characters that a URL would have to escape",
            "use letters, digits and - _ . ~ only; make one with `sounder secret new`",
        ));
    }
    Ok(secret)
}

/// A client property passed through: any plain value, secrets by reference.
pub(super) fn property(name: &str, field: &Field<'_>) -> Read<Secret> {
    let written = match field.plain() {
        Value::Integer(number) => return Ok(Secret::new(number.to_string())),
        Value::Float(number) => return Ok(Secret::new(number.to_string())),
        Value::Boolean(value) => return Ok(Secret::new(value.to_string())),
        _ => field.text()?,
    };
    if name.ends_with("password") || name.ends_with("secret") {
        return secret(field);
    }
    resolve(field, written).map(Secret::new)
}

fn is_reference(written: &str) -> bool {
    written.starts_with("env:") || written.starts_with("file:")
}

fn resolve(field: &Field<'_>, written: &str) -> Read<String> {
    if let Some(name) = written.strip_prefix("env:") {
        return field.report.variable(name).cloned().ok_or_else(|| {
            Wrong::unreadable(
                format!("names the environment variable {name}, which is not set"),
                format!("set {name}, or use file:PATH"),
            )
        });
    }
    match written.strip_prefix("file:") {
        Some(path) => secret_file(path),
        None => Ok(written.to_owned()),
    }
}

/// A file's text without the line end that editors add.
fn secret_file(path: &str) -> Read<String> {
    let cannot = |what: &str| {
        Wrong::unreadable(
            format!("names the file {path}, which {what}"),
            "give the path of a readable text file that holds the secret and nothing else",
        )
    };
    let failed = |error: std::io::Error| cannot(&format!("cannot be read ({})", error.kind()));
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut text = String::new();
    // What is read is bounded, not what the file says of its length: a device says nothing.
    file.take(SECRET_FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > SECRET_FILE_BYTES_MAX {
        return Err(cannot("is too large for a secret"));
    }
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_units_only() {
        for (written, read) in [
            ("500ms", Some(500)),
            ("10m", Some(600_000)),
            ("35d", Some(3_024_000_000)),
            ("1h30m", Some(5_400_000)),
            (" 5s ", Some(5000)),
            ("0s", Some(0)),
            ("10", None),
            ("m", None),
            ("", None),
            ("-5s", None),
            ("5 weeks", None),
            ("99999999999999999999s", None),
        ] {
            assert_eq!(millis(written), read, "{written}");
        }
    }

    #[test]
    fn sizes_are_read_in_bytes_and_in_both_kinds_of_units() {
        for (written, read) in [
            ("50GiB", Some(50 << 30)),
            ("2 MiB", Some(2 << 20)),
            ("10MB", Some(10_000_000)),
            ("17", Some(17)),
            ("50gib", None),
            ("GiB", None),
            ("99999999999TiB", None),
        ] {
            assert_eq!(bytes(written), read, "{written}");
        }
    }
}
