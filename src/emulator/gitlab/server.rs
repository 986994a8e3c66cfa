//! A GitLab just large enough for a driver: `GET /api/v4/job`, which tells a job who it is, and the keys of its id tokens.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::id_token::{self, InstanceKey};
use super::job::GitLabJob;
use crate::error::EmulatorError;

/// What the emulator's job API shall answer instead of the truth.
#[derive(Debug, Clone, Default)]
pub struct JobApi {
    /// Changes to the answer of `GET /api/v4/job`: a dotted path and a value, for instance `user.username`.
    pub changes: Vec<(String, Value)>,
    /// JobAnswer every request with this HTTP status instead.
    pub status: Option<u16>,
}

/// The GitLab of one job. It is there before the job, so that the driver can be told where it is.
#[derive(Debug)]
pub struct GitLabServer {
    url: String,
    own: Option<Own>,
}

/// The emulator's own: a socket that is listened to when the job begins.
#[derive(Debug)]
struct Own {
    socket: TcpListener,
    changes: Vec<(String, Value)>,
    status: Option<StatusCode>,
}

impl GitLabServer {
    /// The emulator's own, on a free port of 127.0.0.1.
    pub fn on_loopback(api: JobApi) -> Result<Self, EmulatorError> {
        let status = match api.status {
            None => None,
            Some(code) => Some(StatusCode::from_u16(code).map_err(|_| EmulatorError::HttpStatus(code))?),
        };
        let what = || EmulatorError::system("listen on 127.0.0.1");
        let socket = TcpListener::bind(("127.0.0.1", 0)).map_err(what())?;
        socket.set_nonblocking(true).map_err(what())?;
        let url = format!("http://{}", socket.local_addr().map_err(what())?);
        Ok(Self { url, own: Some(Own { socket, changes: api.changes, status }) })
    }

    /// One that somebody else runs; the variables of the job name it.
    pub fn elsewhere(url: impl Into<String>) -> Self {
        Self { url: url.into(), own: None }
    }

    /// Its address, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Answers for this job until the runtime ends. `None` for a GitLab that somebody else runs.
    pub(crate) fn serve(self, job: &GitLabJob, key: Option<&InstanceKey>) -> Result<Option<JobToken>, EmulatorError> {
        let Some(own) = self.own else {
            return Ok(None);
        };
        let mut body = describe(job, &self.url);
        for (path, value) in own.changes {
            put(&mut body, &path, value);
        }
        let revoked = Arc::new(AtomicBool::new(false));
        let answer =
            JobAnswer { token: job.token().to_owned(), body, status: own.status, revoked: Arc::clone(&revoked) };
        let socket =
            tokio::net::TcpListener::from_std(own.socket).map_err(EmulatorError::system("listen on 127.0.0.1"))?;
        let mut router = Router::new().route("/api/v4/job", get(tell_job)).with_state(Arc::new(answer));
        let members = Arc::new(Members { user_id: job.user_id, groups: job.groups.clone() });
        router = router.merge(
            Router::new()
                .route("/api/v4/groups/{group}", get(tell_group))
                .route("/api/v4/groups/{group}/members/all/{user}", get(tell_member))
                .with_state(members),
        );
        if let Some(key) = key {
            for (path, document) in [
                ("/.well-known/openid-configuration", id_token::discovery(&self.url)),
                ("/oauth/discovery/keys", key.published()),
            ] {
                router = router.route(path, get(async move || axum::Json(document.clone())));
            }
        }
        tokio::spawn(async move { axum::serve(socket, router).await });
        Ok(Some(JobToken { revoked }))
    }
}

/// The job's token, as far as this GitLab accepts it.
#[derive(Clone)]
pub(crate) struct JobToken {
    revoked: Arc<AtomicBool>,
}

impl JobToken {
    /// The job is canceled or over: from now on its token is worth nothing.
    pub(crate) fn revoke(&self) {
        self.revoked.store(true, Ordering::Relaxed);
    }
}

struct JobAnswer {
    token: String,
    body: Value,
    status: Option<StatusCode>,
    revoked: Arc<AtomicBool>,
}

/// Who is in which groups: one user, in these. Each other group is there, too.
struct Members {
    user_id: i64,
    groups: Vec<String>,
}

fn has_token(headers: &HeaderMap) -> bool {
    headers.get("PRIVATE-TOKEN").is_some_and(|token| !token.is_empty())
}

fn error(status: StatusCode) -> Response {
    (status, axum::Json(json!({"message": format!("{status}")}))).into_response()
}

async fn tell_group(Path(group): Path<String>, headers: HeaderMap) -> Response {
    if !has_token(&headers) {
        return error(StatusCode::UNAUTHORIZED);
    }
    axum::Json(json!({"id": 1, "full_path": group, "visibility": "private"})).into_response()
}

async fn tell_member(
    State(members): State<Arc<Members>>,
    Path((group, user)): Path<(String, i64)>,
    headers: HeaderMap,
) -> Response {
    if !has_token(&headers) {
        return error(StatusCode::UNAUTHORIZED);
    }
    // Who is in a group is in those below it.
    let is_in =
        |of: &String| group.strip_prefix(of.as_str()).is_some_and(|below| below.is_empty() || below.starts_with('/'));
    if user != members.user_id || !members.groups.iter().any(is_in) {
        return error(StatusCode::NOT_FOUND);
    }
    let member =
        json!({"id": user, "state": "active", "access_level": 30, "expires_at": null, "membership_state": "active"});
    axum::Json(member).into_response()
}

async fn tell_job(State(answer): State<Arc<JobAnswer>>, headers: HeaderMap) -> Response {
    if let Some(status) = answer.status {
        return (status, axum::Json(json!({"message": format!("{status}")}))).into_response();
    }
    let token = headers.get("JOB-TOKEN").map(axum::http::HeaderValue::as_bytes);
    if token != Some(answer.token.as_bytes()) || answer.revoked.load(Ordering::Relaxed) {
        return (StatusCode::UNAUTHORIZED, axum::Json(json!({"message": "401 Unauthorized"}))).into_response();
    }
    axum::Json(answer.body.clone()).into_response()
}

fn describe(job: &GitLabJob, url: &str) -> Value {
    let project = format!("{url}/{}", job.project_path);
    json!({
        "id": job.id(),
        "status": "running",
        "stage": job.ci_stage,
        "name": job.job_name,
        "ref": job.reference,
        "tag": job.tag,
        "coverage": null,
        "allow_failure": false,
        "created_at": "2026-01-01T00:00:00.000Z",
        "started_at": "2026-01-01T00:00:01.000Z",
        "finished_at": null,
        "user": {
            "id": job.user_id,
            "username": job.user_login,
            "name": job.user_login,
            "state": "active",
            "web_url": format!("{url}/{}", job.user_login),
        },
        "commit": {
            "id": job.sha,
            "short_id": job.sha.chars().take(8).collect::<String>(),
            "title": "simulated",
        },
        "pipeline": {
            "id": job.pipeline_id,
            "iid": 1,
            "project_id": job.project_id,
            "sha": job.sha,
            "ref": job.reference,
            "status": "running",
            "source": job.pipeline_source,
            "web_url": format!("{project}/-/pipelines/{}", job.pipeline_id),
        },
        "web_url": format!("{project}/-/jobs/{}", job.id()),
        "project": {"ci_job_token_scope_enabled": false},
        "runner": {
            "id": job.runner_id,
            "description": "simulated",
            "active": true,
            "paused": false,
            "is_shared": true,
            "runner_type": "instance_type",
            "name": null,
            "online": true,
            "status": "online",
        },
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
