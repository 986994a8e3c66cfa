use crate::evidence::JobFacts;
use crate::identity::Identity;

fn edited(identity: &mut Identity, others: JobFacts) {
    identity.facts = others; //~ E0616
}
