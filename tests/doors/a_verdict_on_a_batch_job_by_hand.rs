use crate::launch::batch::result::{Judgement, Verdict};

fn success() -> Verdict {
    Verdict {
        judgement: Judgement::Success, //~ E0451
        words: String::new(), //~ E0451
    }
}
