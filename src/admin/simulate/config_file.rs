//! The configuration file the stages are started with.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use motmot_emulator::IdToken;
use toml::de::DeValue;

use super::error::SimulateError;
use crate::evidence::settings::DEFAULT_VARIABLE;

/// The configuration file the stages are started with. A copy is gone when this is dropped.
pub(super) struct ConfigFile {
    path: PathBuf,
    directory: Option<tempfile::TempDir>,
}

impl ConfigFile {
    /// The site's own file, unchanged.
    pub(super) fn unchanged(path: &Path) -> Result<Self, SimulateError> {
        read(path)?;
        let path = std::path::absolute(path).map_err(SimulateError::system("find the current directory"))?;
        Ok(Self { path, directory: None })
    }

    /// A copy, made in `temp`, in which the driver's GitLab is at `url`. Only this user can read it, and the driver's
    /// account if that is another.
    pub(super) fn private_copy(
        path: &Path,
        name: Option<&str>,
        url: &str,
        temp: &Path,
        for_another_account: bool,
    ) -> Result<Self, SimulateError> {
        let problem = |problem: String| SimulateError::Config { path: path.to_owned(), problem };
        let mut text = fs::read_to_string(path).map_err(|error| problem(error.to_string()))?;
        // In place, so that lines keep their numbers and messages lead to the right ones.
        let changes = {
            let file = toml::de::DeTable::parse(&text).map_err(|error| problem(error.to_string()))?;
            let gitlab = file.get_ref().get("gitlab").and_then(|gitlab| match gitlab.get_ref() {
                DeValue::Array(all) => all.iter().map(toml::Spanned::get_ref).find(|one| is_called(one, name)),
                only => Some(only),
            });
            let url_of_it = gitlab.and_then(|gitlab| gitlab.get("url"));
            let place =
                url_of_it.map(toml::Spanned::span).ok_or_else(|| problem("`gitlab.url` is missing".to_owned()))?;
            // The copy is in another directory.
            let dir = std::path::absolute(path).map_err(|error| problem(error.to_string()))?;
            let dir = dir.parent().unwrap_or(Path::new("/"));
            let includes = file.get_ref().get("include").and_then(|include| include.get_ref().as_array());
            let includes = includes.into_iter().flatten().filter_map(|included| {
                Some((included.span(), dir.join(included.get_ref().as_str()?).to_string_lossy().into_owned()))
            });
            let mut changes: Vec<_> = includes.chain([(place, url.to_owned())]).collect();
            changes.sort_by_key(|(place, _)| std::cmp::Reverse(place.start));
            changes
        };
        for (place, value) in changes {
            text.replace_range(place, &toml::Value::from(value).to_string());
        }
        let what = || SimulateError::system("write a private copy of the configuration");
        // A NamedTempFile is 0600 by itself, a directory is not 0700.
        let directory = tempfile::Builder::new()
            .prefix("motmot-simulate")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(temp)
            .map_err(what())?;
        let copy = directory.path().join("config.toml");
        let mut file = tempfile::NamedTempFile::new_in(directory.path()).map_err(what())?;
        file.write_all(text.as_bytes()).map_err(what())?;
        file.persist(&copy).map_err(|error| what()(error.error))?;
        if for_another_account {
            // The file stays ours: a driver that changes user believes root's configuration only.
            fs::set_permissions(&copy, Permissions::from_mode(0o644)).map_err(what())?;
            fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).map_err(what())?;
        }
        Ok(Self { path: copy, directory: Some(directory) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the copy behind.
    pub(super) fn keep(self) {
        if let Some(directory) = self.directory {
            let _ = directory.keep();
        }
    }
}

fn read(path: &Path) -> Result<toml::Table, SimulateError> {
    let problem = |problem: String| SimulateError::Config { path: path.to_owned(), problem };
    let text = fs::read_to_string(path).map_err(|error| problem(error.to_string()))?;
    text.parse().map_err(|error: toml::de::Error| problem(error.to_string()))
}

fn is_called(gitlab: &DeValue<'_>, name: Option<&str>) -> bool {
    gitlab.get("name").and_then(|found| found.get_ref().as_str()) == name
}

/// The GitLab of this name, or the only one.
fn gitlab<'c>(config: &'c toml::Table, name: Option<&str>) -> Option<&'c toml::Value> {
    match config.get("gitlab")? {
        toml::Value::Array(all) => all.iter().find(|one| one.get("name").and_then(toml::Value::as_str) == name),
        only => Some(only),
    }
}

/// Address of GitLab in the configuration, for the variables of the job.
pub(super) fn gitlab_url(path: &Path, name: Option<&str>) -> Result<String, SimulateError> {
    let config = read(path)?;
    let url = gitlab(&config, name).and_then(|gitlab| gitlab.get("url")).and_then(toml::Value::as_str);
    Ok(url.unwrap_or("https://gitlab.invalid").trim_end_matches('/').to_owned())
}

/// The id token that a job needs under this configuration, as far as it says so; the driver itself judges it.
pub(super) fn id_token(path: &Path, name: Option<&str>) -> Result<Option<IdToken>, SimulateError> {
    let config = read(path)?;
    let gitlab = gitlab(&config, name);
    let text = |key: &str| gitlab.and_then(|gitlab| gitlab.get(key)).and_then(toml::Value::as_str);
    let variable = text("id_token_variable").unwrap_or(DEFAULT_VARIABLE).to_owned();
    Ok(text("id_token_audience").map(|audience| IdToken { variable, audience: audience.to_owned() }))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::ConfigFile;

    const TEXT: &str = "# a comment\n[gitlab]\nurl = \"https://gitlab.invalid\" # ours\nca_file = \"/x\"\n";

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn only_the_address_of_gitlab_is_another_and_only_the_stages_can_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let original = dir.path().join("config.toml");
        fs::write(&original, TEXT).unwrap();
        for (for_another_account, modes) in [(false, (0o600, 0o700)), (true, (0o644, 0o755))] {
            let copy = ConfigFile::private_copy(&original, None, "http://127.0.0.1:1", dir.path(), for_another_account)
                .unwrap();
            // What the driver says of its lines holds for the original.
            let expected = TEXT.replace("https://gitlab.invalid", "http://127.0.0.1:1");
            assert_eq!(fs::read_to_string(copy.path()).unwrap(), expected);
            assert_eq!((mode(copy.path()), mode(copy.path().parent().unwrap())), modes);
        }
    }

    #[test]
    fn a_copy_is_gone_afterwards_unless_it_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let original = dir.path().join("config.toml");
        fs::write(&original, TEXT).unwrap();
        let copy = || ConfigFile::private_copy(&original, None, "http://127.0.0.1:1", dir.path(), false).unwrap();
        let (gone, kept) = (copy(), copy());
        let paths = [gone.path().to_owned(), kept.path().to_owned()];
        drop(gone);
        kept.keep();
        assert_eq!(paths.map(|path| path.exists()), [false, true]);
        ConfigFile::unchanged(&original).unwrap().keep();
        assert_eq!(fs::read_to_string(&original).unwrap(), TEXT);
    }
}
