//! The sub-stages of `run_exec` and their names. In which order they come is told in `life::sub_stages`.

/// One script that the driver is asked to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BuildStage {
    PrepareScript,
    GetSources,
    ClearWorktree,
    RestoreCache,
    DownloadArtifacts,
    /// A step of the job by its position; the name is the step's in lower case.
    Step(usize, String),
    AfterScript,
    ArchiveCache {
        success: bool,
    },
    UploadArtifacts {
        success: bool,
    },
    CleanupFileVariables,
}

impl BuildStage {
    /// The runner's name, used in the log.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::PrepareScript => "prepare_script",
            Self::GetSources => "get_sources",
            Self::ClearWorktree => "clear_worktree",
            Self::RestoreCache => "restore_cache",
            Self::DownloadArtifacts => "download_artifacts",
            Self::Step(_, step) => return format!("step_{step}"),
            Self::AfterScript => "after_script",
            Self::ArchiveCache { success: true } => "archive_cache",
            Self::ArchiveCache { success: false } => "archive_cache_on_failure",
            Self::UploadArtifacts { success: true } => "upload_artifacts_on_success",
            Self::UploadArtifacts { success: false } => "upload_artifacts_on_failure",
            Self::CleanupFileVariables => "cleanup_file_variables",
        }
        .to_owned()
    }

    /// The name the driver is given: the custom executor still uses the old one for the script.
    pub(crate) fn argument(&self) -> String {
        match self {
            Self::Step(_, step) if step == "script" => "build_script".to_owned(),
            other => other.name(),
        }
    }

    /// The heading in the log.
    pub(crate) fn description(&self) -> String {
        match self {
            Self::PrepareScript => "Preparing environment",
            Self::GetSources => "Getting source from Git repository",
            Self::ClearWorktree => "Deleting all tracked and untracked files due to source fetch failure",
            Self::RestoreCache => "Restoring cache",
            Self::DownloadArtifacts => "Downloading artifacts",
            Self::Step(..) => {
                return format!("Executing \"{}\" stage of the job script", self.name());
            }
            Self::AfterScript => "Running after_script",
            Self::ArchiveCache { success: true } => "Saving cache for successful job",
            Self::ArchiveCache { success: false } => "Saving cache for failed job",
            Self::UploadArtifacts { success: true } => "Uploading artifacts for successful job",
            Self::UploadArtifacts { success: false } => "Uploading artifacts for failed job",
            Self::CleanupFileVariables => "Cleaning up project directory and file based variables",
        }
        .to_owned()
    }
}
