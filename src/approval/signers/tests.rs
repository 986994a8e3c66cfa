use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJg2mcZmP4bHkzz03XRwA1+vZNclX3bnVELyOSzTdWtr";
const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC0ZBM2C3p30DqMKT/AKb3RVBMjElSa2Owu/vMhEpaHr";
const DSA: &str = "ssh-dss AAAAB3NzaC1kc3MAAACBAJFxFsQWNnTblM8ukW+TIkK3YQbaSD5s8L9MGXcrLLFhtvpklclswY4xVVGsrPA0ID9aNpy9VA0Rez5S7onIwMY3lNf4iyJZOQe2UnOKRt2Wr0/H50OvqCteQdVKT+nInL2zuyqkEv8IE9jEN+A/H1bRF26OF4Por5o2C7w3LWNXAAAAFQD1P8H3zNP/Q66tVXlOzy71wx2smQAAAIBA8kCXZdoQPi0trTSxMaXA31CKFA8lKbY/KlwdKeljTr5iwOXzSOAIcgcVdIEXBDUShV8at5uzd3l8Xhav0InOrHC0CxCgLnHLn28vUYdMCVh4/Uupi+u8AkzcFBsuk4co6VncZa65GL7XPWAx7KgpZBCUH/uzpUUpHwYJ/rguhAAAAIAn1HTjKdj81BhE19f7JDnxOHnSQHdMuu1E7u7M+x8YlLr9n8zBwqXe+HTkbo3SOkKdktLuHmAMeqwAF10yn6tMhbWHfkDjVWVNXkRcRrKCBgwNCbJ+BZ6ujxb/D46nM3V/v1bxZ+MHmmcSFeewJzMZEqVoLlFyFMKoKloL6rms7Q==";
const SMALL: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC4SrMmSTt7vNgQ2DEnORrorFAI3t7FTngWPFx/AsUMmnRBddMghgEjC0/wkaKVVYJ1+yvCRzgOrx1y/yC6m6q2WitpOT0RJyyNNJ4vdEdj1NfBBiCzvR2z09SmbBI8cmPS47dTq1zwzXjTiMOuWiQ5EmfbSslueZzPlgmT4D8Tbw==";
const NAMESPACE: &str = "motmot-approve@https://ci.hpc.example";

fn read(text: &str) -> Result<Signers, String> {
    Signers::parse(Path::new("/s"), text.as_bytes()).map_err(|error| error.to_string())
}

fn key() -> KeyData {
    PublicKey::from_openssh(KEY).expect("a key").key_data().clone()
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn asked(signers: &Signers, name: &str, now: &str) -> Result<String, Unapproved> {
    signers.principal(&key(), &[name.to_owned()], NAMESPACE, at(now)).map(str::to_owned)
}

const NOW: &str = "2026-11-27T12:00:00Z";

#[test]
fn a_key_speaks_for_the_names_of_its_lines_and_for_no_others() {
    let text = format!(
        "# approvers\n\narthur@hpc.example,climate {KEY} arthur's laptop\r\n  climate\t{OTHER}\nnight namespaces=\"git,{NAMESPACE}\" {KEY}\n"
    );
    let signers = read(&text).expect("a file");
    assert_eq!(signers.count(), 3);
    for name in ["arthur@hpc.example", "climate", "night"] {
        assert_eq!(asked(&signers, name, NOW), Ok(name.to_owned()));
    }
    for name in ["arthur", "Climate", "climate ", "", "arthur@hpc.example,climate", "clim\u{430}te", "*"] {
        assert_eq!(asked(&signers, name, NOW), Err(Unapproved::OtherApprover), "{name}");
        assert_eq!(signers.standing(name, NAMESPACE, at(NOW)), Err(Unapproved::UnknownKey), "{name}");
    }
    let nobody = read("").expect("a file");
    assert_eq!(asked(&nobody, "climate", NOW), Err(Unapproved::UnknownKey));
    assert_eq!(signers.principal(&key(), &[], NAMESPACE, at(NOW)), Err(Unapproved::OtherApprover));
}

#[test]
fn a_key_of_another_namespace_or_time_speaks_for_nobody() {
    let of = |options: &str| read(&format!("a {options} {KEY}")).expect("a file");
    let git = of("namespaces=\"git\"");
    assert_eq!(asked(&git, "a", NOW), Err(Unapproved::KeyNotForThis));
    assert_eq!(git.standing("a", NAMESPACE, at(NOW)), Err(Unapproved::KeyNotForThis));
    let from = of("valid-after=\"20261127120001Z\"");
    assert_eq!(asked(&from, "a", NOW), Err(Unapproved::KeyNotYet));
    assert_eq!(asked(&from, "a", "2026-11-27T12:00:01Z"), Ok("a".to_owned()));
    // A key is taken back by the time from which it is not valid.
    let until = of("VALID-BEFORE=\"202611271200Z\",valid-after=\"20260101Z\"");
    assert_eq!(asked(&until, "a", NOW), Err(Unapproved::KeyExpired));
    assert_eq!(asked(&until, "a", "2026-11-27T11:59:59Z"), Ok("a".to_owned()));
}

#[test]
fn what_makes_more_approvers_than_are_named_is_refused_with_its_line() {
    for (line, words) in [
        (format!("*@hpc.example {KEY}"), "pattern"),
        (format!("!a,b {KEY}"), "pattern"),
        (format!("a cert-authority {KEY}"), "certificate authority"),
        (format!("a namespaces=\"*\" {KEY}"), "pattern"),
        (format!("a valid-before=\"20270101\" {KEY}"), "in UTC, with the Z"),
        (format!("a valid-before=\"20271301Z\" {KEY}"), "in UTC, with the Z"),
        (format!("a valid-after=20270101Z {KEY}"), "without quotes"),
        (format!("a valid-after=\"20270101Z\",valid-after=\"20260101Z\" {KEY}"), "twice"),
        (format!("a no-touch-required {KEY}"), "unknown option"),
        (format!("a name\\\\s=\"x\" {KEY}"), "backslash"),
        (format!("@climate {KEY}"), "is a group"),
        (format!("a,,b {KEY}"), "visible ASCII"),
        (format!("clim\u{430}te {KEY}"), "visible ASCII"),
        (format!("\"a b\" {KEY}"), "visible ASCII"),
        ("a".to_owned(), "nothing but names"),
        ("a ssh-ed25519".to_owned(), "no public key"),
        ("a ssh-ed25519 AAAA".to_owned(), "no public key"),
        (KEY.to_owned(), "no public key"),
        // DSA, and RSA of 1024 bits.
        (format!("a {DSA}"), "nobody approves here"),
        (format!("a {SMALL}"), "nobody approves here"),
    ] {
        let error = read(&format!("# one\nb {OTHER}\n{line}\n")).expect_err(&line);
        assert!(error.starts_with("/s:3: ") && error.contains(words), "{error}");
    }
    assert!(Signers::parse(Path::new("/s"), b"a\xff b").expect_err("no text").to_string().contains("UTF-8"));
}

#[test]
fn rsa_keys_whose_signatures_nobody_verifies_are_refused_where_they_are_written() {
    let string = |bytes: &[u8]| [&u32::try_from(bytes.len()).expect("short").to_be_bytes()[..], bytes].concat();
    // A number of so many bits; the zero before it says that it is positive.
    let of_bits = |bits: usize| {
        let (zero, first) = if bits.is_multiple_of(8) { (&[0][..], 0x80) } else { (&[][..], 1 << (bits % 8 - 1)) };
        let number = [zero, &[first], &vec![1; bits.div_ceil(8) - 1]].concat();
        let blob = [string(b"ssh-rsa"), string(&[1, 0, 1]), string(&number)].concat();
        format!("a ssh-rsa {}", STANDARD.encode(blob))
    };
    for bits in [2048, 3072, 8191, 8192] {
        assert!(read(&of_bits(bits)).is_ok(), "{bits}");
    }
    for bits in [1024, 2047, 8193, 16384] {
        let error = read(&of_bits(bits)).expect_err("no good");
        assert!(error.contains("RSA of 2048 to 8192 bits"), "{bits}: {error}");
    }
}
