//! Making an approval. The signature is made by `ssh-keygen -Y sign`, which knows agents, security keys and passphrases; no
//! private key is read here.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jiff::Timestamp;
use tempfile::NamedTempFile;

use super::{ApproveArgs, NotDone};
use crate::approval::{Approval, Signers, Statement, Subject, namespace, signed_by};
use crate::report::{one_line, unless_nobody_reads};

/// What the command line asks for, signed; the text of it, if no file is named.
pub(super) fn run(args: &ApproveArgs) -> Result<String, NotDone> {
    let (Some(gitlab), Some(project_id), Some(commit), Some(account), Some(expires), Some(issuer)) =
        (&args.gitlab, args.project_id, &args.commit, &args.account, args.expires, &args.issuer)
    else {
        return Err(NotDone::Input("say what is approved: --help shows how".to_owned())); // clap insists on all of them
    };
    let subject = Subject::new(gitlab, project_id, commit, account).map_err(|why| NotDone::Input(why.to_string()))?;
    let until = Timestamp::now().checked_add(expires).map_err(NotDone::failed)?;
    let statement = Statement::new(subject, until);
    let key = Key::find(args.key.as_deref())?;
    ask(&statement, issuer, &key, args.yes)?;
    let namespace = namespace(issuer);
    let armor = sign(&key, &namespace, &statement.message())?;
    let approval = Approval::new(statement, armor);
    // What is given away works: read and judged as the site will do it, but for whose key it is.
    let read = Approval::parse_all(&approval.text()).map_err(|why| NotDone::failed(format!("ssh-keygen: {why}")))?;
    let signed = read.iter().map(|approval| signed_by(approval, &namespace, &Signers::default()));
    let signed = signed
        .collect::<Result<Vec<_>, _>>()
        .map_err(|why| NotDone::failed(format!("the signature is of no use: {why}")))?;
    let by: Vec<String> = signed.into_iter().map(|(fingerprint, _)| fingerprint).collect();
    tell(&format!("signed with key {}\n", by.join(", ")))?;
    let Some(file) = &args.output else { return Ok(approval.text()) };
    let written = File::create_new(file).and_then(|mut file| file.write_all(approval.text().as_bytes()));
    written.map_err(|error| NotDone::failed(format!("{}: {error}", file.display())))?;
    Ok(String::new())
}

/// A key, as ssh-keygen finds it.
struct Key {
    path: PathBuf,
    /// How people know it.
    shown: String,
    /// The public half of one of the agent's, which ssh-keygen finds in a file, as long as this is.
    _public: Option<NamedTempFile>,
}

impl Key {
    /// That of the command line, else the only one of the agent: of several the wrong one might be taken.
    fn find(named: Option<&Path>) -> Result<Self, NotDone> {
        if let Some(path) = named {
            return Ok(Self { path: path.to_owned(), shown: path.display().to_string(), _public: None });
        }
        let help = "name a key with --key FILE (of a key in the agent its public half, such as ~/.ssh/id_ed25519.pub)";
        let listed = Command::new("ssh-add").arg("-L").stdin(Stdio::null()).stderr(Stdio::null()).output();
        let listed = listed.map_err(|error| NotDone::failed(format!("ssh-add cannot be started: {error}; {help}")))?;
        let text = String::from_utf8_lossy(&listed.stdout).into_owned();
        let keys: Vec<&str> = text.lines().filter(|_| listed.status.success()).collect();
        let [key] = keys.as_slice() else {
            let found = if keys.is_empty() {
                "there is no key in an SSH agent"
            } else {
                "there are several keys in the SSH agent"
            };
            return Err(NotDone::failed(format!("{found}; {help}")));
        };
        let public = tempfile::Builder::new().prefix("motmot-approve-").suffix(".pub").tempfile();
        let mut public = public.map_err(NotDone::failed)?;
        public.write_all(format!("{key}\n").as_bytes()).map_err(NotDone::failed)?;
        let comment = key.splitn(3, ' ').nth(2).unwrap_or_default();
        let shown = format!("{} (in the SSH agent)", one_line(comment));
        Ok(Self { path: public.path().to_owned(), shown, _public: Some(public) })
    }
}

/// Says what is signed, and waits for a yes.
fn ask(statement: &Statement, issuer: &str, key: &Key, is_sure: bool) -> Result<(), NotDone> {
    tell(&format!(
        "You are about to say that whatever this commit makes a job do may be done as this account:\n\n  site     {issuer}\n  {}\n  key      {}\n\n",
        statement.to_string().replace('\n', "\n  "),
        key.shown
    ))?;
    if is_sure {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(NotDone::Input("nobody can be asked here: say --yes if that is what you mean".to_owned()));
    }
    tell("Sign it? [y/N] ")?;
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(NotDone::failed)?;
    if matches!(line.trim(), "y" | "Y" | "yes") { Ok(()) } else { Err(NotDone::failed("nothing was signed")) }
}

/// On standard error: standard output is the approval.
fn tell(words: &str) -> Result<(), NotDone> {
    io::stderr().lock().write_all(words.as_bytes()).or_else(unless_nobody_reads).map_err(NotDone::failed)
}

fn sign(key: &Key, namespace: &str, message: &str) -> Result<String, NotDone> {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-Y", "sign", "-n", namespace, "-f"]).arg(&key.path);
    // It asks for a passphrase at the terminal, and says there when a security key is to be touched.
    let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = started.map_err(|error| NotDone::failed(format!("ssh-keygen cannot be started: {error}")))?;
    if let Some(mut stdin) = child.stdin.take() {
        // One line: it fits into the pipe.
        let _ = stdin.write_all(message.as_bytes());
    }
    let output = child.wait_with_output().map_err(NotDone::failed)?;
    if !output.status.success() {
        return Err(NotDone::failed("ssh-keygen has not signed; nothing was written"));
    }
    String::from_utf8(output.stdout).map_err(NotDone::failed)
}
