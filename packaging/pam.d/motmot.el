# Who may begin a CI job: the account phase is asked once, when a job begins. Install as /etc/pam.d/motmot.
# For Red Hat Enterprise Linux and its kin; see motmot.debian for others.
account  required  pam_nologin.so
account  include   password-auth
# Nothing else is ever asked.
auth     required  pam_deny.so
password required  pam_deny.so
session  required  pam_deny.so
