//! What differs between the versions of GitLab Runner that sites run.

/// A version of GitLab Runner whose behaviour can be played.
///
/// Only versions are listed at which a driver could notice a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum RunnerVersion {
    /// Has no `BUILD_EXIT_CODE_FILE`: a job can only fail with exit code 1.
    V17_8,
    /// First with `BUILD_EXIT_CODE_FILE`; its `JOB_RESPONSE_FILE` does not say who the user is.
    V17_9,
    /// First with `user_id` and `project_full_path` in `JOB_RESPONSE_FILE`.
    V18_5,
    /// First with `pipeline_id` in `JOB_RESPONSE_FILE`.
    V19_0,
    /// First whose scripts trap SIGTERM instead of piping into `eval`.
    V19_1,
    /// The newest.
    #[default]
    V19_3,
}

impl RunnerVersion {
    /// The version as `CI_RUNNER_VERSION` shows it.
    pub(crate) fn number(self) -> &'static str {
        match self {
            Self::V17_8 => "17.8.3",
            Self::V17_9 => "17.9.1",
            Self::V18_5 => "18.5.0",
            Self::V19_0 => "19.0.1",
            Self::V19_1 => "19.1.0",
            Self::V19_3 => "19.3.0",
        }
    }

    /// The source revision as `CI_RUNNER_REVISION` shows it (made up).
    pub(crate) const REVISION: &str = "5eedc0de";

    /// `BUILD_EXIT_CODE_FILE` is set and read (17.9).
    pub(crate) fn has_exit_code_file(self) -> bool {
        self >= Self::V17_9
    }

    /// Sub-stage retries wait longer each time (18.0).
    pub(crate) fn backs_off(self) -> bool {
        self >= Self::V18_5
    }

    /// `policy_options`, `queue_size`, `queue_depth` (18.1).
    pub(crate) fn has_policy_options(self) -> bool {
        self >= Self::V18_5
    }

    /// `git_info.protected` (18.4).
    pub(crate) fn has_protected(self) -> bool {
        self >= Self::V18_5
    }

    /// `user_id`, `project_full_path`, namespaces, instance (18.5).
    pub(crate) fn has_identity_fields(self) -> bool {
        self >= Self::V18_5
    }

    /// The log has time stamps before each line (18.7), unless the runner is told otherwise.
    pub fn has_timestamps(self) -> bool {
        self >= Self::V19_0
    }

    /// `inputs` in the file (18.7).
    pub(crate) fn has_inputs(self) -> bool {
        self >= Self::V19_0
    }

    /// Git credentials in `.gitlab-runner.ext.conf` (18.6).
    pub(crate) fn has_ext_git_config(self) -> bool {
        self >= Self::V19_0
    }

    /// `pipeline_id`, `suspend_options`, variables of services (19.0).
    pub(crate) fn has_pipeline_id(self) -> bool {
        self >= Self::V19_0
    }

    /// Scripts trap SIGTERM (19.1).
    pub(crate) fn traps_term(self) -> bool {
        self >= Self::V19_1
    }

    /// `runner_info.uuid` (19.2).
    pub(crate) fn has_runner_uuid(self) -> bool {
        self >= Self::V19_3
    }

    /// Git credentials are forgotten again, file variables not rewritten before they are deleted (19.3).
    pub(crate) fn tidies_credentials(self) -> bool {
        self >= Self::V19_3
    }

    /// The feature flags and their defaults, every one of which becomes a job variable.
    pub(crate) fn feature_flags(self) -> Vec<(&'static str, bool)> {
        FEATURE_FLAGS
            .iter()
            .filter(|(name, ..)| self.traps_term() || *name != "FF_USE_LEGACY_BASH_EVAL")
            .map(|&(name, default)| match name {
                "FF_TIMESTAMPS" => (name, self.has_timestamps()),
                "FF_USE_EXPONENTIAL_BACKOFF_STAGE_RETRY" => (name, self.backs_off()),
                _ => (name, default),
            })
            .collect()
    }
}

/// Recorded from a runner of 19.3.
const FEATURE_FLAGS: &[(&str, bool)] = &[
    ("FF_CLEAN_UP_FAILED_CACHE_EXTRACT", false),
    ("FF_CONCRETE", false),
    ("FF_DISABLE_AUTOMATIC_TOKEN_ROTATION", false),
    ("FF_DISABLE_POWERSHELL_STDIN", false),
    ("FF_DISABLE_UMASK_FOR_DOCKER_EXECUTOR", false),
    ("FF_DISABLE_UMASK_FOR_KUBERNETES_EXECUTOR", false),
    ("FF_ENABLE_BASH_EXIT_CODE_CHECK", false),
    ("FF_ENABLE_JOB_CLEANUP", false),
    ("FF_ENABLE_JOB_INPUTS_INTERPOLATION", true),
    ("FF_EXPORT_HIGH_CARDINALITY_METRICS", false),
    ("FF_GIT_URLS_WITHOUT_TOKENS", false),
    ("FF_HASH_CACHE_KEYS", false),
    ("FF_KUBERNETES_HONOR_ENTRYPOINT", false),
    ("FF_LOG_IMAGES_CONFIGURED_FOR_JOB", false),
    ("FF_MASK_ALL_DEFAULT_TOKENS", true),
    ("FF_NETWORK_PER_BUILD", false),
    ("FF_POSIXLY_CORRECT_ESCAPES", false),
    ("FF_PRINT_POD_EVENTS", false),
    ("FF_RESOLVE_FULL_TLS_CHAIN", false),
    ("FF_SCRIPT_SECTIONS", false),
    ("FF_SCRIPT_TO_STEP_MIGRATION", false),
    ("FF_SECRET_RESOLVING_FAILS_IF_MISSING", true),
    ("FF_SUSPENDABLE_ENVIRONMENTS", false),
    ("FF_TIMESTAMPS", true),
    ("FF_USE_ADAPTIVE_REQUEST_CONCURRENCY", true),
    ("FF_USE_ADVANCED_POD_SPEC_CONFIGURATION", false),
    ("FF_USE_DIRECT_DOWNLOAD", true),
    ("FF_USE_DOCKER_AUTOSCALER_DIAL_STDIO", true),
    ("FF_USE_DUMB_INIT_WITH_KUBERNETES_EXECUTOR", false),
    ("FF_USE_DYNAMIC_TRACE_FORCE_SEND_INTERVAL", false),
    ("FF_USE_EXPONENTIAL_BACKOFF_STAGE_RETRY", true),
    ("FF_USE_FASTZIP", true),
    ("FF_USE_FLEETING_ACQUIRE_HEARTBEATS", false),
    ("FF_USE_GITALY_CORRELATION_ID", true),
    ("FF_USE_GIT_BUNDLE_URIS", true),
    ("FF_USE_GIT_NATIVE_CLONE", false),
    ("FF_USE_GIT_PROACTIVE_AUTH", false),
    ("FF_USE_INIT_WITH_DOCKER_EXECUTOR", false),
    ("FF_USE_JOB_ROUTER", false),
    ("FF_USE_LEGACY_BASH_EVAL", false),
    ("FF_USE_LEGACY_GCS_CACHE_ADAPTER", false),
    ("FF_USE_LEGACY_KUBERNETES_EXECUTION_STRATEGY", false),
    ("FF_USE_LEGACY_S3_CACHE_ADAPTER", false),
    ("FF_USE_NATIVE_CONTAINER_STOP", false),
    ("FF_USE_PARALLEL_ARTIFACT_TRANSFER", false),
    ("FF_USE_PARALLEL_CACHE_TRANSFER", false),
    ("FF_USE_POD_ACTIVE_DEADLINE_SECONDS", true),
    ("FF_USE_POWERSHELL_PATH_RESOLVER", false),
    ("FF_USE_WINDOWS_JOB_OBJECT", false),
    ("FF_USE_WINDOWS_LEGACY_PROCESS_STRATEGY", false),
    ("FF_WAIT_FOR_POD_TO_BE_REACHABLE", false),
];
