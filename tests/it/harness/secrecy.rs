//! What must never be shown, looked for in everything that a daemon shows or keeps.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::SENDERS;
use super::provider::RECIPIENT;
use super::setting::SECRETS;

/// What an admin listener shows.
const PAGES: [&str; 6] =
    ["/", "/metrics", "/readyz", "/api/v1/health", "/api/v1/incidents", "/api/v1/ledger?scope=fleet"];
/// How long a page may take; what does not answer by then shows nothing.
const PAGE_WAIT_MAX: Duration = Duration::from_secs(3);
/// Larger files hold nothing but room for what is to come.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Every form in which a secret may come to light, and the secret.
static SECRET_FORMS: LazyLock<Vec<(String, &str)>> =
    LazyLock::new(|| SECRETS.iter().flat_map(|secret| forms(secret)).collect());
/// The same of the recipient's number, in clear but for runs of digits, which are looked for apart.
static RECIPIENT_FORMS: LazyLock<Vec<(String, &str)>> = LazyLock::new(|| {
    let clear = |(form, _): &(String, &str)| form.trim_start_matches('+') != RECIPIENT;
    forms(RECIPIENT).into_iter().filter(clear).collect()
});

/// What must never be shown, as far as it stands in a text: secrets, and recipients' numbers.
pub(crate) fn leaks(text: &str) -> Vec<String> {
    let known = SECRET_FORMS.iter().chain(&*RECIPIENT_FORMS);
    let shown =
        known.filter(|(form, _)| text.contains(form.as_str())).map(|(_, secret)| (*secret).to_owned());
    let shown: BTreeSet<_> = shown.collect();
    let digits = text.split(|c: char| !c.is_ascii_digit());
    let is_recipient = |run: &&str| {
        run.len() == 11 && &run[4..6] == "55" && !SENDERS.iter().any(|sender| sender.ends_with(*run))
    };
    shown.into_iter().chain(digits.filter(is_recipient).map(str::to_owned)).collect()
}

/// A text in clear and in the forms that programs give it: hex, base64 wherever it begins in what is
/// encoded, percent-encoded, escaped.
fn forms(text: &str) -> Vec<(String, &str)> {
    let mut forms = BTreeSet::new();
    for whole in [text.to_owned(), format!("+{text}")] {
        let bytes = whole.as_bytes();
        let spelt = |how: fn(&u8) -> String| bytes.iter().map(how).collect::<String>();
        forms.extend([hex::encode(bytes), hex::encode_upper(bytes)]);
        forms.extend([spelt(|b| format!("%{b:02x}")), spelt(|b| format!("%{b:02X}"))]);
        forms.extend([spelt(|b| format!("\\x{b:02x}")), spelt(|b| format!("\\u{b:04x}"))]);
        for before in 0..3 {
            // The characters at both ends depend on what stands beside it.
            let encoded = STANDARD_NO_PAD.encode([&vec![0; before], bytes].concat());
            let end = if (before + bytes.len()).is_multiple_of(3) { 0 } else { 1 };
            let own = &encoded[[0, 2, 3][before]..encoded.len() - end];
            forms.extend([own.to_owned(), own.replace('+', "-").replace('/', "_")]);
        }
        forms.insert(whole.replace('-', "%2D"));
        forms.insert(whole.replace('-', "%2d"));
        forms.insert(whole);
    }
    forms.into_iter().map(|form| (form, text)).collect()
}

/// What a daemon's admin listener at this URL shows, as far as it answers.
pub(super) fn pages(admin: &str) -> String {
    PAGES.iter().filter_map(|path| page(admin.strip_prefix("http://")?, path)).collect()
}

fn page(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address.parse().ok()?, PAGE_WAIT_MAX).ok()?;
    stream.set_read_timeout(Some(PAGE_WAIT_MAX)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut shown = Vec::new();
    // What came until it took too long was shown, too.
    stream.read_to_end(&mut shown).ok();
    Some(String::from_utf8_lossy(&shown).into_owned())
}

/// Secrets that stand in a directory's files: dead letters may hold recipients, but no secret.
pub(super) fn kept(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut kept = Vec::new();
    for entry in entries.flatten() {
        let is_small = entry.metadata().is_ok_and(|known| known.is_file() && known.len() <= FILE_BYTES_MAX);
        if entry.path().is_dir() {
            kept.extend(self::kept(&entry.path()));
        } else if is_small && let Ok(bytes) = fs::read(entry.path()) {
            let text = String::from_utf8_lossy(&bytes);
            let found = SECRET_FORMS.iter().filter(|(form, _)| text.contains(form.as_str()));
            kept.extend(found.map(|(_, secret)| format!("{secret} in {}", entry.path().display())));
        }
    }
    kept
}

#[test]
fn a_secret_is_found_in_every_form() {
    let secret = SECRETS[1];
    let basic = STANDARD_NO_PAD.encode(format!("user:{secret}:more"));
    let spelt: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
    for shown in [secret.to_owned(), hex::encode(secret), basic, spelt] {
        assert_eq!(leaks(&format!("a=\"{shown}\", b")), [secret], "{shown}");
    }
    let number = format!("+{RECIPIENT}");
    for shown in [number.clone(), number.replace('+', "%2B"), RECIPIENT.into(), hex::encode(&number)] {
        assert_eq!(leaks(&format!("to {shown}.")), [RECIPIENT], "{shown}");
    }
    assert_eq!(leaks(&STANDARD_NO_PAD.encode(format!("to={number}&from=1"))), [RECIPIENT]);
    assert_eq!(leaks("nothing of the kind"), Vec::<String>::new());
}
