use jiff::Timestamp;

use crate::approval::Approver;

fn made(until: Timestamp) -> Approver {
    Approver {
        principal: "climate-maintainers".to_owned(), //~ E0451
        key: String::new(), //~ E0451
        until, //~ E0451
    }
}
