//! What became of records: every one of them in exactly one line of the account. Pure.

/// Records that are not news of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Aside {
    /// Records nobody can read.
    pub dead: u64,
    /// Records that are not counted in cells (consent, replies, feedback).
    pub not_counted: u64,
}

/// What became of records: for one batch, or of a partition for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[expect(missing_docs, reason = "the lines of the account; interface.md names them")]
pub struct Account {
    pub applied: u64,
    pub duplicate: u64,
    pub late: u64,
    pub dead: u64,
    pub not_counted: u64,
    /// Of those applied, the ones that replaced a terminal state. Told of a batch, and not kept.
    #[serde(skip)]
    pub corrected: u64,
}

impl Account {
    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.applied += other.applied;
        self.duplicate += other.duplicate;
        self.late += other.late;
        self.dead += other.dead;
        self.not_counted += other.not_counted;
        self.corrected += other.corrected;
    }

    /// Every line with its name.
    pub const fn lines(&self) -> [(&'static str, u64); 5] {
        [
            ("applied", self.applied),
            ("duplicate", self.duplicate),
            ("late", self.late),
            ("dead", self.dead),
            ("not_counted", self.not_counted),
        ]
    }

    /// All lines together: every record there was.
    pub fn total(&self) -> u64 {
        self.lines().iter().map(|(_, count)| count).sum()
    }
}

impl From<Aside> for Account {
    fn from(aside: Aside) -> Self {
        Self { dead: aside.dead, not_counted: aside.not_counted, ..Self::default() }
    }
}
