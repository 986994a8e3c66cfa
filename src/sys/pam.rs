//! PAM, as far as motmot asks it: the account phase (pam_acct_mgmt(3)), in which a site says who may begin a session now, and
//! the session phase (pam_open_session(3)), which surrounds it.
//!
//! The library is loaded when it is asked: building needs no header, and nobody else carries it. The modules run inside this
//! process, as they do in sshd(8), so this is for a driver that is root; others could not read what the modules read. The
//! session phase changes the process that it runs in (limits, audit, control group), and so has one of its own
//! ([`super::keeper`]).
#![allow(unsafe_code)] // C functions, found by name

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr::null_mut;

/// Where services are described (pam.conf(5)). Without a file there the library asks the service `other`, which is not what
/// anybody meant.
const SERVICES: [&str; 3] = ["/etc/pam.d", "/usr/lib/pam.d", "/usr/etc/pam.d"];

/// What modules such as pam_access(8) and pam_time(8) take for the terminal. Without one some of them give up.
const TERMINAL: &CStr = c"motmot";

/// How many words of the modules are kept.
const MOST_MESSAGES: usize = 8;
/// And how long each may be, in bytes.
const LONGEST: usize = 512;

/// Values of Linux-PAM's `_pam_types.h`, which never change.
const SUCCESS: c_int = 0;
const OPEN_ERR: c_int = 1;
const SYMBOL_ERR: c_int = 2;
const PERM_DENIED: c_int = 6;
const AUTH_ERR: c_int = 7;
const USER_UNKNOWN: c_int = 10;
const NEW_AUTHTOK_REQD: c_int = 12;
const ACCT_EXPIRED: c_int = 13;
const CONV_ERR: c_int = 19;
const ABORT: c_int = 26;
const MODULE_UNKNOWN: c_int = 28;
const ITEM_TTY: c_int = 3;
const STYLE_ERROR: c_int = 3;
const STYLE_INFO: c_int = 4;

#[repr(C)]
struct Message {
    style: c_int,
    text: *const c_char,
}

#[repr(C)]
struct Response {
    text: *mut c_char,
    code: c_int,
}

#[repr(C)]
struct Conversation {
    talk: extern "C" fn(c_int, *mut *const Message, *mut *mut Response, *mut c_void) -> c_int,
    data: *mut c_void,
}

type Handle = *mut c_void;

type Start = unsafe extern "C" fn(*const c_char, *const c_char, *const Conversation, *mut Handle) -> c_int;
type SetItem = unsafe extern "C" fn(Handle, c_int, *const c_void) -> c_int;
type Phase = unsafe extern "C" fn(Handle, c_int) -> c_int;
type Words = unsafe extern "C" fn(Handle, c_int) -> *const c_char;
type Environment = unsafe extern "C" fn(Handle) -> *mut *mut c_char;

/// The functions of the library.
struct Library {
    start: Start,
    set_item: SetItem,
    may_begin: Phase,
    open_session: Phase,
    close_session: Phase,
    environment: Environment,
    words: Words,
    end: Phase,
}

impl Library {
    fn load() -> Result<Self, String> {
        // SAFETY: a literal. The dynamic linker looks in the system's directories: the runner's environment is the
        // admin's, and variables of a job have a prefix in it.
        let library = unsafe { libc::dlopen(c"libpam.so.0".as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
        if library.is_null() {
            return Err("libpam.so.0 cannot be loaded; install the system's package of PAM".to_owned());
        }
        let find = |name: &CStr| {
            // SAFETY: the library has just been opened and is never closed; the name is a C string.
            let found = unsafe { libc::dlsym(library, name.as_ptr()) };
            if found.is_null() { Err(format!("libpam.so.0 has no {}", name.to_string_lossy())) } else { Ok(found) }
        };
        // SAFETY: the functions of these names have had these signatures in every release of Linux-PAM (pam_start(3),
        // pam_set_item(3), pam_acct_mgmt(3), pam_open_session(3), pam_getenvlist(3), pam_strerror(3), pam_end(3)); none of
        // the pointers is null.
        unsafe {
            Ok(Self {
                start: std::mem::transmute::<*mut c_void, Start>(find(c"pam_start")?),
                set_item: std::mem::transmute::<*mut c_void, SetItem>(find(c"pam_set_item")?),
                may_begin: std::mem::transmute::<*mut c_void, Phase>(find(c"pam_acct_mgmt")?),
                open_session: std::mem::transmute::<*mut c_void, Phase>(find(c"pam_open_session")?),
                close_session: std::mem::transmute::<*mut c_void, Phase>(find(c"pam_close_session")?),
                environment: std::mem::transmute::<*mut c_void, Environment>(find(c"pam_getenvlist")?),
                words: std::mem::transmute::<*mut c_void, Words>(find(c"pam_strerror")?),
                end: std::mem::transmute::<*mut c_void, Phase>(find(c"pam_end")?),
            })
        }
    }
}

/// A module says no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("PAM (service {service}) says: {}", [words].into_iter().chain(said).map(String::as_str).collect::<Vec<_>>().join("; "))]
pub struct PamRefusal {
    service: String,
    /// What the library calls it.
    words: String,
    /// What the modules said.
    said: Vec<String>,
}

/// Where the service is described, if it is.
pub fn service_file(service: &str) -> Option<std::path::PathBuf> {
    SERVICES.iter().map(|dir| Path::new(dir).join(service)).find(|path| path.is_file())
}

/// Whether the account may begin a session now, as the service says. The outer error: it could not be found out.
pub(super) fn ask(service: &str, name: &str) -> Result<Result<(), PamRefusal>, String> {
    let mut transaction = Transaction::begin(service, name)?;
    let may_begin = transaction.library.may_begin;
    match transaction.run(may_begin) {
        SUCCESS => Ok(Ok(())),
        PERM_DENIED | AUTH_ERR | USER_UNKNOWN | NEW_AUTHTOK_REQD | ACCT_EXPIRED => Ok(Err(transaction.refusal())),
        // A directory that does not answer, a module that is missing: that says nothing about the account.
        _ => {
            let PamRefusal { words, said, .. } = transaction.refusal();
            Err(if said.is_empty() { words } else { format!("{words}: {}", said.join("; ")) })
        }
    }
}

/// Whether the account phase of a service can be asked at all, of whomever: its file is there, and its modules can be loaded.
/// What they answer about this account does not matter.
///
/// # Errors
/// Words for the admin.
pub fn can_be_asked(service: &str, name: &str) -> Result<(), String> {
    let mut transaction = Transaction::begin(service, name)?;
    let may_begin = transaction.library.may_begin;
    match transaction.run(may_begin) {
        OPEN_ERR | SYMBOL_ERR | ABORT | MODULE_UNKNOWN => Err(transaction.refusal().to_string()),
        _ => Ok(()),
    }
}

/// The first file that the lines of a phase (`account`, `session`) of a service name and that is not there: another file of services,
/// or a module. Such a line fails for everybody, unless its control says that a module may be missing.
pub fn missing(service: &str, phase: &str) -> Option<String> {
    fn look(service: &str, phase: &str, depth: u32) -> Option<String> {
        let Some(file) = service_file(service) else {
            return Some(format!("the service {service}, which it includes"));
        };
        let text = std::fs::read_to_string(file).unwrap_or_default().replace("\\\n", " ");
        text.lines().filter_map(|line| line.split('#').next()).find_map(|line| {
            // What stands in brackets is one word. A `-` in front is about the system's log alone.
            let line = match (line.find('['), line.find(']')) {
                (Some(begin), Some(end)) if begin < end => {
                    let control = line[begin..end].replace(char::is_whitespace, ",");
                    format!("{}{control}] {}", &line[..begin], &line[end + 1..])
                }
                _ => line.to_owned(),
            };
            let line = line.trim_start().trim_start_matches('-');
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["@include", included, ..] if depth > 0 => look(included, phase, depth - 1),
                [kind, "include" | "substack", included, ..] if *kind == phase && depth > 0 => {
                    look(included, phase, depth - 1)
                }
                [kind, control, module, ..] if *kind == phase && !may_be_missing(control) && !is_module(module) => {
                    Some(format!("the module {module}"))
                }
                _ => None,
            }
        })
    }
    look(service, phase, 8)
}

/// Whether a missing module counts for nothing (pam.conf(5)).
fn may_be_missing(control: &str) -> bool {
    let ignores = |what: &str| control.contains(&format!("{what}=ignore"));
    control == "optional" || ignores("module_unknown") || (!control.contains("module_unknown=") && ignores("default"))
}

/// Whether there is such a module in some place where the library may look for it.
fn is_module(name: &str) -> bool {
    if name.starts_with('/') {
        return Path::new(name).exists();
    }
    let places = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"].map(Path::new);
    let multiarch = places.iter().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten();
    let below = multiarch.map(|entry| entry.path());
    places.iter().map(|dir| dir.to_path_buf()).chain(below).any(|dir| dir.join("security").join(name).exists())
}

/// A login session, open until [`close`](Self::close). Of the process that has opened it: by then that has the account's
/// limits, its number in the kernel's audit, its control group, and whatever else the modules of the service are for.
///
/// Only the session phase runs. Credentials (pam_setcred(3): tickets, groups) are for those who have shown a password.
pub(super) struct LoginSession(Transaction);

impl LoginSession {
    /// Opens one for the account, as the service says.
    ///
    /// # Errors
    /// Words for the admin. They mean nothing for the account: whether that may run jobs is asked in the account phase.
    pub(super) fn open(service: &str, name: &str) -> Result<Self, String> {
        let mut transaction = Transaction::begin(service, name)?;
        let open = transaction.library.open_session;
        match transaction.run(open) {
            SUCCESS => Ok(Self(transaction)),
            _ => Err(transaction.refusal().to_string()),
        }
    }

    /// The variables that modules have set for it, as they are.
    pub(super) fn environment(&self) -> Vec<(String, String)> {
        let mut variables = Vec::new();
        // SAFETY: the handle is that of a transaction which has not ended. The list is the caller's, and so is each string
        // in it; a null pointer is its end (pam_getenvlist(3)).
        unsafe {
            let list = (self.0.library.environment)(self.0.handle);
            if list.is_null() {
                return variables;
            }
            for index in 0.. {
                let entry = *list.add(index);
                if entry.is_null() {
                    break;
                }
                let pair = CStr::from_ptr(entry).to_str().ok().and_then(|text| text.split_once('='));
                variables.extend(pair.map(|(name, value)| (name.to_owned(), value.to_owned())));
                libc::free(entry.cast());
            }
            libc::free(list.cast());
        }
        variables
    }

    /// Closes it.
    pub(super) fn close(mut self) -> Result<(), String> {
        let close = self.0.library.close_session;
        match self.0.run(close) {
            SUCCESS => Ok(()),
            _ => Err(self.0.refusal().to_string()),
        }
    }
}

/// From pam_start(3) to pam_end(3).
struct Transaction {
    library: Library,
    handle: Handle,
    service: String,
    /// What modules have said in the phase that ran last. The library has a pointer to it.
    said: Box<RefCell<Vec<String>>>,
    /// What that phase came to.
    code: c_int,
}

impl Transaction {
    fn begin(service: &str, name: &str) -> Result<Self, String> {
        if service_file(service).is_none() {
            let file = format!("{}/{service}", SERVICES[0]);
            return Err(format!("there is no {file}; install it from packaging/pam.d, or set accounts.pam_service"));
        }
        let (Ok(c_service), Ok(c_name)) = (CString::new(service), CString::new(name)) else {
            return Err("a name with a null byte".to_owned());
        };
        let library = Library::load()?;
        let said = Box::new(RefCell::new(Vec::new()));
        let conversation = Conversation { talk, data: (&raw const *said).cast_mut().cast() };
        let mut handle: Handle = null_mut();
        // SAFETY: C strings, and a conversation, which the library copies; what that points to lives as long as the
        // transaction. The handle is only used if there is one.
        unsafe {
            let started =
                (library.start)(c_service.as_ptr(), c_name.as_ptr(), &raw const conversation, &raw mut handle);
            if started != SUCCESS || handle.is_null() {
                return Err(format!("pam_start failed with code {started}"));
            }
            (library.set_item)(handle, ITEM_TTY, TERMINAL.as_ptr().cast());
        }
        Ok(Self { library, handle, service: service.to_owned(), said, code: SUCCESS })
    }

    fn run(&mut self, phase: Phase) -> c_int {
        self.said.borrow_mut().clear();
        // SAFETY: a function of the library, and the handle of a transaction that has not ended.
        self.code = unsafe { phase(self.handle, 0) };
        self.code
    }

    /// The words for what the phase came to that ran last.
    fn refusal(&self) -> PamRefusal {
        // SAFETY: as above; the answer is a C string that stays (pam_strerror(3)).
        let words = text(unsafe { (self.library.words)(self.handle, self.code) });
        PamRefusal { service: self.service.clone(), words, said: self.said.borrow().clone() }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        // SAFETY: once, and nobody uses the handle any more.
        unsafe { (self.library.end)(self.handle, self.code) };
    }
}

/// What a module has to say is kept; what it asks is not answered: there is nobody at a terminal.
extern "C" fn talk(
    count: c_int,
    messages: *mut *const Message,
    answers: *mut *mut Response,
    data: *mut c_void,
) -> c_int {
    let Ok(count) = usize::try_from(count) else { return CONV_ERR };
    if count == 0 || count > 32 || messages.is_null() || answers.is_null() || data.is_null() {
        return CONV_ERR;
    }
    // SAFETY: `data` is what `begin` has given, and lives as long as the transaction; modules run in one thread.
    let said = unsafe { &*data.cast::<RefCell<Vec<String>>>() };
    let Ok(mut said) = said.try_borrow_mut() else { return CONV_ERR };
    for index in 0..count {
        // SAFETY: Linux-PAM passes an array of `count` pointers to messages (pam_conv(3)).
        let message = unsafe { (*messages.add(index)).as_ref() };
        match message {
            Some(message) if message.style == STYLE_ERROR || message.style == STYLE_INFO => {
                if said.len() < MOST_MESSAGES {
                    said.push(text(message.text));
                }
            }
            _ => return CONV_ERR,
        }
    }
    // SAFETY: the library frees this with free(3); empty answers are what messages that ask nothing get.
    unsafe {
        let empty = libc::calloc(count, size_of::<Response>()).cast::<Response>();
        if empty.is_null() {
            return CONV_ERR;
        }
        *answers = empty;
    }
    SUCCESS
}

/// A C string, in one line and not too long.
fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: not null, and a C string by the contract of whoever gave it.
    let bytes = unsafe { CStr::from_ptr(pointer) }.to_bytes();
    one_line(&bytes[..bytes.len().min(LONGEST)])
}

/// Words for people, without their line breaks.
pub(super) fn one_line(text: &[u8]) -> String {
    String::from_utf8_lossy(text).split_whitespace().collect::<Vec<_>>().join(" ")
}
