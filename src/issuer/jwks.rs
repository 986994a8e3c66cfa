//! The public document of keys.

use super::keys::KeyRing;

/// What verifiers fetch: a JWK set (RFC 7517, section 5) with the public parts of all keys, as indented JSON.
pub fn document(ring: &KeyRing) -> String {
    // A list of strings always has a JSON form.
    serde_json::to_string_pretty(&ring.jwks()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use jose::KeySet;

    use super::super::keys::{init, tests::*};
    use super::*;

    #[test]
    fn the_document_is_one_that_our_own_verifier_reads_and_holds_nothing_private() {
        let dir = place();
        let made = init(dir.path(), OWNER, now()).unwrap();
        let document = document(&KeyRing::load(dir.path(), OWNER).unwrap());
        let keys = KeySet::from_json(document.as_bytes()).unwrap();
        assert_eq!(keys.kids().collect::<Vec<_>>(), [&made.kid]);
        let value: serde_json::Value = serde_json::from_str(&document).unwrap();
        let mut names: Vec<_> = value["keys"][0].as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
    }
}
