use crate::policy::Decision;

fn made(another: Decision) -> Decision {
    Decision { account: "anybody".to_owned(), ..another } //~ E0451
}
