//! Which tests the command line asks for. libtest-mimic knows one filter; here there can be several, as in cargo's own
//! harness, and a test runs that matches any of them.

use libtest_mimic::Arguments;

/// Options whose value is a word of its own.
const WITH_VALUE: [&str; 6] = ["--test-threads", "--logfile", "--skip", "--color", "--format", "-Z"];

/// What was asked for.
pub struct Selection {
    /// All but the filters, unless there is one only.
    pub arguments: Arguments,
    filters: Vec<String>,
}

impl Selection {
    /// Reads a command line, the program's name included.
    pub fn from_args(args: impl IntoIterator<Item = String>) -> Self {
        let mut args = args.into_iter();
        let mut options: Vec<String> = args.next().into_iter().collect();
        let mut filters = Vec::new();
        while let Some(arg) = args.next() {
            if arg == "--" {
                filters.extend(args.by_ref());
            } else if !arg.starts_with('-') {
                filters.push(arg);
            } else {
                let value = WITH_VALUE.contains(&arg.as_str());
                options.push(arg);
                options.extend(value.then(|| args.next()).flatten());
            }
        }
        let mut arguments = Arguments::from_iter(options);
        // One alone is in good hands there, and what it leaves out is counted.
        if filters.len() == 1 {
            arguments.filter = filters.pop();
        }
        Self { arguments, filters }
    }

    /// Whether one of several filters matches a test.
    pub fn has(&self, name: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| self.matches(filter, name))
    }

    /// Whether a test would run if there were all that it needs: libtest-mimic's own filter counts, too, and what it is to skip.
    pub fn would_run(&self, name: &str) -> bool {
        let Arguments { filter, skip, .. } = &self.arguments;
        self.has(name)
            && filter.iter().all(|filter| self.matches(filter, name))
            && !skip.iter().any(|filter| self.matches(filter, name))
    }

    fn matches(&self, filter: &str, name: &str) -> bool {
        if self.arguments.exact { name == filter } else { name.contains(filter) }
    }
}
