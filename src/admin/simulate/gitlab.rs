//! A GitLab just large enough for a driver: `GET /api/v4/job`, which tells a job who it is.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::RunnerAccount;
use super::identity::Identity;
use super::{GitLab, SimulateError};

/// The running server.
pub(super) struct Server {
    url: String,
    answer: Arc<Answer>,
}

struct Answer {
    token: String,
    body: Value,
    status: Option<StatusCode>,
    revoked: AtomicBool,
}

impl Server {
    /// Listens on a free port of 127.0.0.1, until the runtime ends.
    pub(super) async fn start(identity: &Identity, settings: &GitLab) -> Result<Self, SimulateError> {
        let status = match settings.status {
            None => None,
            Some(code) => Some(
                StatusCode::from_u16(code)
                    .map_err(|_| SimulateError::Usage(format!("{code} is not an HTTP status")))?,
            ),
        };
        let socket = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .map_err(SimulateError::system("listen on 127.0.0.1"))?;
        let address = socket.local_addr().map_err(SimulateError::system("listen on 127.0.0.1"))?;
        let url = format!("http://{address}");
        let mut body = describe(identity, &url);
        for (path, value) in &settings.answers {
            put(&mut body, path, value.clone());
        }
        let answer =
            Arc::new(Answer { token: identity.token().to_owned(), body, status, revoked: AtomicBool::new(false) });
        let router = Router::new().route("/api/v4/job", get(job)).with_state(Arc::clone(&answer));
        tokio::spawn(async move { axum::serve(socket, router).await });
        Ok(Self { url, answer })
    }

    pub(super) fn url(&self) -> String {
        self.url.clone()
    }

    /// The job is canceled or over: from now on its token is worth nothing.
    pub(super) fn revoke(&self) {
        self.answer.revoked.store(true, Ordering::Relaxed);
    }

    /// The same as an action for later.
    pub(super) fn revoker(&self) -> impl Fn() + Send + 'static {
        let answer = Arc::clone(&self.answer);
        move || answer.revoked.store(true, Ordering::Relaxed)
    }
}

async fn job(State(answer): State<Arc<Answer>>, headers: HeaderMap) -> Response {
    if let Some(status) = answer.status {
        return (status, axum::Json(json!({"message": format!("{status}")}))).into_response();
    }
    let token = headers.get("JOB-TOKEN").map(axum::http::HeaderValue::as_bytes);
    if token != Some(answer.token.as_bytes()) || answer.revoked.load(Ordering::Relaxed) {
        return (StatusCode::UNAUTHORIZED, axum::Json(json!({"message": "401 Unauthorized"}))).into_response();
    }
    axum::Json(answer.body.clone()).into_response()
}

fn describe(identity: &Identity, url: &str) -> Value {
    let project = format!("{url}/{}", identity.project_path);
    json!({
        "id": identity.id(),
        "status": "running",
        "stage": identity.ci_stage,
        "name": identity.job_name,
        "ref": identity.reference,
        "tag": identity.tag,
        "coverage": null,
        "allow_failure": false,
        "created_at": "2026-01-01T00:00:00.000Z",
        "started_at": "2026-01-01T00:00:01.000Z",
        "finished_at": null,
        "user": {
            "id": identity.user_id,
            "username": identity.user_login,
            "name": identity.user_login,
            "state": "active",
            "web_url": format!("{url}/{}", identity.user_login),
        },
        "commit": {
            "id": identity.sha,
            "short_id": identity.sha.chars().take(8).collect::<String>(),
            "title": "simulated",
        },
        "pipeline": {
            "id": identity.pipeline_id,
            "iid": 1,
            "project_id": identity.project_id,
            "sha": identity.sha,
            "ref": identity.reference,
            "status": "running",
            "source": identity.pipeline_source,
            "web_url": format!("{project}/-/pipelines/{}", identity.pipeline_id),
        },
        "web_url": format!("{project}/-/jobs/{}", identity.id()),
        "project": {"ci_job_token_scope_enabled": false},
    })
}

/// Sets the member at a dotted path, with objects made on the way.
fn put(body: &mut Value, path: &str, value: Value) {
    let mut place = body;
    for name in path.split('.') {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[name];
    }
    *place = value;
}

/// The configuration file the driver is started with.
pub(super) struct ConfigCopy {
    path: PathBuf,
    directory: Option<tempfile::TempDir>,
}

impl ConfigCopy {
    /// The site's own file, unchanged.
    pub(super) fn none(path: &Path) -> Result<Self, SimulateError> {
        read(path)?;
        let path = std::path::absolute(path).map_err(SimulateError::system("find the current directory"))?;
        Ok(Self { path, directory: None })
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

/// A copy of the configuration, made in `temp`, in which the driver's GitLab is ours. Only this user
/// can read it, and the driver's account if that is another.
pub(super) fn private_config(
    path: &Path,
    url: &str,
    temp: &Path,
    account: Option<RunnerAccount>,
) -> Result<ConfigCopy, SimulateError> {
    let problem = |problem: String| SimulateError::Config { path: path.to_owned(), problem };
    let mut text = fs::read_to_string(path).map_err(|error| problem(error.to_string()))?;
    // In place, so that lines keep their numbers and messages lead to the right ones.
    let place = {
        let file = toml::de::DeTable::parse(&text).map_err(|error| problem(error.to_string()))?;
        let gitlab = file.get_ref().get("gitlab").and_then(|gitlab| gitlab.get_ref().get("url"));
        gitlab.map(toml::Spanned::span).ok_or_else(|| problem("`gitlab.url` is missing".to_owned()))?
    };
    text.replace_range(place, &toml::Value::from(url).to_string());
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
    if account.is_some() {
        // The file stays ours: a driver that changes user believes root's configuration only.
        fs::set_permissions(&copy, Permissions::from_mode(0o644)).map_err(what())?;
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).map_err(what())?;
    }
    Ok(ConfigCopy { path: copy, directory: Some(directory) })
}

/// Address of GitLab in the configuration, for the variables of the job.
pub(super) fn url_in(path: &Path) -> Result<String, SimulateError> {
    let config = read(path)?;
    let url = config.get("gitlab").and_then(|gitlab| gitlab.get("url")).and_then(toml::Value::as_str);
    Ok(url.unwrap_or("https://gitlab.invalid").trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::put;

    #[test]
    fn answers_can_be_changed_at_any_depth() {
        let mut body = json!({"id": 1, "user": {"id": 2}});
        put(&mut body, "id", json!(9));
        put(&mut body, "user.username", json!("mallory"));
        put(&mut body, "a.b.c", json!(null));
        assert_eq!(body, json!({"id": 9, "user": {"id": 2, "username": "mallory"}, "a": {"b": {"c": null}}}));
    }
}
