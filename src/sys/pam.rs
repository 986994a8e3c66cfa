//! PAM, as far as motmot asks it: the account phase (pam_acct_mgmt(3)), in which a site says who may begin a session now.
//!
//! The library is loaded when it is asked: building needs no header, and nobody else carries it. The modules run inside this
//! process, as they do in sshd(8), so this is for a driver that is root; others could not read what the modules read.
#![allow(unsafe_code)] // C functions, found by name

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
const PERM_DENIED: c_int = 6;
const AUTH_ERR: c_int = 7;
const USER_UNKNOWN: c_int = 10;
const NEW_AUTHTOK_REQD: c_int = 12;
const ACCT_EXPIRED: c_int = 13;
const CONV_ERR: c_int = 19;
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

/// The functions of the library.
struct Library {
    start: Start,
    set_item: SetItem,
    may_begin: Phase,
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
        // pam_set_item(3), pam_acct_mgmt(3), pam_strerror(3), pam_end(3)); none of the pointers is null.
        unsafe {
            Ok(Self {
                start: std::mem::transmute::<*mut c_void, Start>(find(c"pam_start")?),
                set_item: std::mem::transmute::<*mut c_void, SetItem>(find(c"pam_set_item")?),
                may_begin: std::mem::transmute::<*mut c_void, Phase>(find(c"pam_acct_mgmt")?),
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
    if service_file(service).is_none() {
        let file = format!("{}/{service}", SERVICES[0]);
        return Err(format!("there is no {file}; install it from packaging/pam.d, or set accounts.pam_service"));
    }
    let (Ok(c_service), Ok(c_name)) = (CString::new(service), CString::new(name)) else {
        return Err("a name with a null byte".to_owned());
    };
    let library = Library::load()?;
    let mut said: Vec<String> = Vec::new();
    let conversation = Conversation { talk, data: (&raw mut said).cast() };
    let mut handle: Handle = null_mut();
    // SAFETY: C strings and a conversation that live until the transaction ends; the handle is only used if there is one.
    let (code, words) = unsafe {
        let started = (library.start)(c_service.as_ptr(), c_name.as_ptr(), &raw const conversation, &raw mut handle);
        if started != SUCCESS || handle.is_null() {
            return Err(format!("pam_start failed with code {started}"));
        }
        (library.set_item)(handle, ITEM_TTY, TERMINAL.as_ptr().cast());
        let code = (library.may_begin)(handle, 0);
        let words = text((library.words)(handle, code));
        (library.end)(handle, code);
        (code, words)
    };
    match code {
        SUCCESS => Ok(Ok(())),
        PERM_DENIED | AUTH_ERR | USER_UNKNOWN | NEW_AUTHTOK_REQD | ACCT_EXPIRED => {
            Ok(Err(PamRefusal { service: service.to_owned(), words, said }))
        }
        // A directory that does not answer, a module that is missing: that says nothing about the account.
        _ => Err(if said.is_empty() { words } else { format!("{words}: {}", said.join("; ")) }),
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
    // SAFETY: `data` is what `ask` has given, which outlives the transaction, and nobody else holds it meanwhile.
    let said = unsafe { &mut *data.cast::<Vec<String>>() };
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
