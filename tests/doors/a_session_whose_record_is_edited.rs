use crate::policy::Decision;
use crate::session::Session;

fn edited(session: &mut Session, decision: Decision) {
    session.record.decision = decision; //~ E0616
}
