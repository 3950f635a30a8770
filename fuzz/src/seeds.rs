//! Writes the corpora to begin with: a directory in, and in it a folder a target, with a file a seed.

use std::path::Path;
use std::{env, fs, io};

use sounder::event::Provider;
use sounder_fuzz::{VECTORS, admin, stream, webhook};
// Its runtime holds the counters that Sounder is compiled with here.
use libfuzzer_sys as _;

fn main() -> io::Result<()> {
    let dir = env::args().nth(1).expect("usage: seeds DIRECTORY");
    let dir = Path::new(&dir);
    for provider in Provider::ALL {
        let requests = webhook::requests(provider).into_iter().enumerate();
        let seeds = requests.map(|(index, (_, request))| {
            let which = u8::try_from(index).expect("a byte picks the vector");
            [&[which], request.as_bytes()].concat()
        });
        write(&dir.join(provider.name()), seeds)?;
    }
    write(&dir.join("stream"), stream::seeds())?;
    write(&dir.join("admin"), admin::seeds())?;
    write(&dir.join("keywords"), replies()?)?;
    write(&dir.join("config"), configurations()?)
}

/// The labelled replies.
fn replies() -> io::Result<Vec<Vec<u8>>> {
    let mut seeds = Vec::new();
    for name in ["messages", "corpus", "held_out"] {
        let text = fs::read_to_string(format!("{VECTORS}/optout/{name}.tsv"))?;
        let said =
            text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('\t'));
        seeds.extend(said.map(|(_, message)| message.as_bytes().to_vec()));
    }
    Ok(seeds)
}

/// The configurations there are, whole, and each table of them by itself.
fn configurations() -> io::Result<Vec<Vec<u8>>> {
    let mut seeds = Vec::new();
    for name in ["sounder.example.toml", "compose.toml"] {
        let text = fs::read_to_string(format!("{VECTORS}/../../config/{name}"))?;
        // What is commented out is an example too.
        let said = text.replace("\n# ", "\n");
        seeds.extend(said.split("\n\n").map(|table| table.as_bytes().to_vec()));
        seeds.push(text.into_bytes());
    }
    Ok(seeds)
}

fn write(dir: &Path, seeds: impl IntoIterator<Item = Vec<u8>>) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    seeds
        .into_iter()
        .enumerate()
        .try_for_each(|(index, seed)| fs::write(dir.join(format!("{index:04}")), seed))
}
