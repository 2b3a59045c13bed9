//! Things that are counted apart: each has a name, and the label of a metric is that name.

use prometheus_client::metrics::counter::Counter;

/// One of a fixed set.
pub trait Kind: Copy + 'static {
    /// All of them.
    const ALL: &'static [Self];

    /// Its name.
    fn name(self) -> &'static str;

    /// Its place in [`Kind::ALL`].
    fn index(self) -> usize;
}

macro_rules! kinds {
    ($(#[$doc:meta])* $name:ident { $($(#[$of_one:meta])* $one:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$of_one])* $one),+ }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$one),+];
        }

        impl Kind for $name {
            const ALL: &'static [Self] = Self::ALL;

            fn name(self) -> &'static str {
                match self { $(Self::$one => $text),+ }
            }

            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

kinds! {
    /// Why a connection to the database was closed.
    Closing {
        /// Nobody needed it any more: a request of `direct` was over, or an edit of the configuration
        /// took its place.
        Unneeded = "unneeded",
        /// In mid-statement: its client had left, or the time of its request was over.
        Abandoned = "abandoned",
        /// It was as old as `database.max_lifetime` allows.
        Expired = "expired",
        /// The other side closed it, or it gave no sign of life.
        Broken = "broken",
    }
}

kinds! {
    /// Whether a circuit breaker lets requests through; the best first.
    BreakerState {
        /// It does.
        Closed = "closed",
        /// It does not, and is finding out whether it should.
        HalfOpen = "half-open",
        /// It does not.
        Open = "open",
    }
}

kinds! {
    /// What came of a write.
    WriteOutcome {
        /// It holds, or there was nothing to change.
        Done = "done",
        /// What it asked for cannot be.
        Refused = "refused",
        /// The database failed, and nothing was written.
        Failed = "failed",
        /// The connection was lost in mid-commit: nobody knows.
        Unknown = "unknown",
    }
}

kinds! {
    /// What is done about signing in.
    SignIn {
        /// A new user.
        Register = "register",
        /// Name and password for tokens.
        Login = "login",
        /// A refresh token for new tokens.
        Refresh = "refresh",
        /// The end of a sign-in.
        Logout = "logout",
    }
}

kinds! {
    /// What came of it.
    SignInOutcome {
        /// It was done.
        Done = "done",
        /// The name, the password or the token is none that holds, or the name is taken.
        Refused = "refused",
        /// There were too many failures, or too many at once.
        Limited = "limited",
        /// Where users or sign-ins are kept could not be asked.
        Failed = "failed",
    }
}

kinds! {
    /// The method of a request; those that are not in use here are one.
    Method {
        /// GET.
        Get = "GET",
        /// HEAD.
        Head = "HEAD",
        /// POST.
        Post = "POST",
        /// PUT.
        Put = "PUT",
        /// PATCH.
        Patch = "PATCH",
        /// DELETE.
        Delete = "DELETE",
        /// OPTIONS.
        Options = "OPTIONS",
        /// Any other.
        Other = "other",
    }
}

impl Method {
    /// The one of this name.
    pub fn of(name: &str) -> Self {
        let known = Self::ALL.iter().find(|method| method.name() == name);
        known.copied().unwrap_or(Self::Other)
    }
}

/// A counter for each kind.
#[derive(Debug)]
pub struct Counters<K> {
    each: Box<[Counter]>,
    kind: std::marker::PhantomData<fn(K)>,
}

impl<K: Kind> Default for Counters<K> {
    fn default() -> Self {
        let each = K::ALL.iter().map(|_| Counter::default()).collect();
        Self { each, kind: std::marker::PhantomData }
    }
}

impl<K: Kind> Counters<K> {
    /// Counts one.
    pub fn inc(&self, kind: K) {
        self.each[kind.index()].inc();
    }

    /// How many of all kinds there were.
    pub fn get(&self) -> u64 {
        self.each.iter().map(Counter::get).sum()
    }

    /// How many there were of each kind, by name.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
        K::ALL.iter().map(|kind| (kind.name(), self.each[kind.index()].get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_counted_by_itself() {
        let counters = Counters::<Closing>::default();
        [Closing::Broken, Closing::Broken, Closing::Expired]
            .iter()
            .for_each(|why| counters.inc(*why));
        let expected = [("unneeded", 0), ("abandoned", 0), ("expired", 1), ("broken", 2)];
        assert_eq!(counters.each().collect::<Vec<_>>(), expected);
        assert_eq!(counters.get(), 3);
    }

    #[test]
    fn a_method_that_nobody_knows_is_other() {
        assert_eq!(Method::of("PATCH"), Method::Patch);
        for unknown in ["", "get", "PROPFIND", "other "] {
            assert_eq!(Method::of(unknown), Method::Other, "{unknown:?}");
        }
    }
}
