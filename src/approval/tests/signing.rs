//! Keys and signatures as ssh-keygen makes them, and as nobody should: each part can be another one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use p256::SecretKey;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use p256::elliptic_curve::rand_core::OsRng;
use sha2::{Digest, Sha256, Sha512};

/// How an SSHSIG is made.
pub(in super::super) struct Made<'m> {
    pub(in super::super) namespace: &'m str,
    pub(in super::super) message: &'m str,
    pub(in super::super) hash: &'m str,
    pub(in super::super) version: u32,
    pub(in super::super) reserved: &'m str,
    /// Flags of a security key, if it is one.
    pub(in super::super) security_key: Option<u8>,
}

impl<'m> Made<'m> {
    pub(in super::super) fn of(namespace: &'m str, message: &'m str) -> Self {
        Self { namespace, message, hash: "sha512", version: 1, reserved: "", security_key: None }
    }
}

pub(in super::super) struct TestKey(SigningKey);

fn string(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [&u32::try_from(bytes.len()).expect("short").to_be_bytes()[..], bytes].concat()
}

/// A number, without zeros before it but the one that says that it is positive.
fn mpint(bytes: &[u8]) -> Vec<u8> {
    let first = bytes.iter().position(|byte| *byte != 0).expect("not zero");
    let sign = if bytes[first] & 0x80 == 0 { &[][..] } else { &[0] };
    string([sign, &bytes[first..]].concat())
}

impl TestKey {
    pub(in super::super) fn new() -> Self {
        Self(SecretKey::random(&mut OsRng).into())
    }

    fn blob(&self, security_key: bool) -> Vec<u8> {
        let point = self.0.verifying_key().to_encoded_point(false);
        let (name, application) = if security_key {
            ("sk-ecdsa-sha2-nistp256@openssh.com", string("ssh:"))
        } else {
            ("ecdsa-sha2-nistp256", Vec::new())
        };
        [string(name), string("nistp256"), string(point.as_bytes()), application].concat()
    }

    /// A line of allowed_signers.
    pub(in super::super) fn line(&self, names: &str) -> String {
        format!("{names} ecdsa-sha2-nistp256 {}\n", STANDARD.encode(self.blob(false)))
    }

    /// The same of a security key.
    pub(in super::super) fn security_line(&self, names: &str) -> String {
        format!("{names} sk-ecdsa-sha2-nistp256@openssh.com {}\n", STANDARD.encode(self.blob(true)))
    }

    pub(in super::super) fn sign(&self, made: &Made<'_>) -> String {
        armor(&self.raw(made))
    }

    pub(in super::super) fn raw(&self, made: &Made<'_>) -> Vec<u8> {
        let digest = match made.hash {
            "sha256" => Sha256::digest(made.message).to_vec(),
            _ => Sha512::digest(made.message).to_vec(),
        };
        let signed =
            [b"SSHSIG".to_vec(), string(made.namespace), string(""), string(made.hash), string(digest)].concat();
        let (name, signed, trailer) = match made.security_key {
            None => ("ecdsa-sha2-nistp256", signed, Vec::new()),
            Some(flags) => {
                let trailer = vec![flags, 0, 0, 0, 7];
                let signed = [&Sha256::digest("ssh:")[..], &trailer, &Sha256::digest(signed)[..]].concat();
                ("sk-ecdsa-sha2-nistp256@openssh.com", signed, trailer)
            }
        };
        let signature: Signature = self.0.sign(&signed);
        let (r, s) = signature.split_bytes();
        let signature = [string(name), string([mpint(&r), mpint(&s)].concat()), trailer].concat();
        [
            b"SSHSIG".to_vec(),
            made.version.to_be_bytes().to_vec(),
            string(self.blob(made.security_key.is_some())),
            string(made.namespace),
            string(made.reserved),
            string(made.hash),
            string(signature),
        ]
        .concat()
    }
}

pub(in super::super) fn armor(raw: &[u8]) -> String {
    let text = STANDARD.encode(raw);
    let lines: Vec<&str> = text.as_bytes().chunks(70).map(|line| std::str::from_utf8(line).expect("ASCII")).collect();
    format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", lines.join("\n"))
}
