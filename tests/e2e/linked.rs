//! What the programs are made of.

use std::path::Path;

use crate::world::cases;

cases!(
    /// A thousand jobs are a thousand of them, for as long as their scripts run.
    fn programs_that_stay_in_memory_while_a_script_runs_have_no_tls() {
        let bins = Path::new(env!("CARGO_BIN_EXE_motmot")).parent().expect("a directory");
        // What rustls signs under; a linker leaves it out with the code that uses it.
        let has_tls = |program: &str| {
            let bytes = std::fs::read(bins.join(program)).expect("a program");
            memchr::memmem::find(&bytes, b"TLS 1.3, server CertificateVerify").is_some()
        };
        assert!(has_tls("motmot-config"), "asks GitLab; without this the test proves nothing");
        for program in ["motmot-prepare", "motmot-run", "motmot-cleanup", "motmot-worker"] {
            assert!(!has_tls(program), "{program}");
        }
    }
);
