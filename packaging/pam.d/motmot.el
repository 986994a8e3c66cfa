# Who may begin a CI job: the account phase is asked once, when a job begins. Install as /etc/pam.d/motmot.
# For Red Hat Enterprise Linux and its kin; see motmot.debian for others.
account  required  pam_nologin.so
account  include   password-auth
# The session phase surrounds each stage with a script, if accounts.pam_session is true in motmot's configuration.
session  required  pam_loginuid.so
session  required  pam_limits.so
# In a slice of the account's own, where limits for user-.slice hold, with an XDG_RUNTIME_DIR. Each stage then waits for
# systemd-logind. (Debian: package libpam-systemd.)
# Not together with jobs.limits.memory, swap or cpu in control groups of version 2: every job would fail.
#session  optional  pam_systemd.so class=background
# Nothing else is ever asked.
auth     required  pam_deny.so
password required  pam_deny.so
