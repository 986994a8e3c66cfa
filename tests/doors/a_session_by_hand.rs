use crate::session::record::SessionRecord; //~ E0603

fn edited(record: &mut SessionRecord) {
    record.decision.clone_from(&record.decision.clone());
}
