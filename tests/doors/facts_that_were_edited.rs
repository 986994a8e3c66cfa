use crate::identity::Identity;

fn edited(identity: &Identity) {
    let mut facts = identity.facts().clone();
    facts.user_login = "somebody-else".to_owned(); //~ E0616
}
