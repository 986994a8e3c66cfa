use crate::policy::Decision;
use crate::scheduler::slurm::SlurmOptions;

fn made(slurm: SlurmOptions) -> Decision {
    Decision {
        account: "anybody".to_owned(), //~ E0451
        uid: 1000, //~ E0451
        rule: String::new(), //~ E0451
        slurm, //~ E0451
    }
}
