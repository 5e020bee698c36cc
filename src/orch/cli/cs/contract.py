"""What ``cs help agents`` prints: enough for a program to use cs without trying things out."""

TEXT = """\
cs runs commands as detached jobs in GitHub Codespaces, through gh. A job outlives the program that started it; its
codespace stays awake for as long as it lives, and stops itself half an hour after the last job or use.

START    cs run "COMMAND" --name NAME --yes --json   -> {"job": JOB, "created": true, "tasks": null}; returns at once
         cs run --name NAME --yes --json -- PROGRAM ARG...   the same, quoted for you
         cs run - --name NAME --yes --json < FILE            COMMAND from standard input, for a long one
         -c CODESPACE  GitHub's name of one, or OWNER/REPO. Otherwise that of `cd /workspaces/REPO` at the beginning of
                       COMMAND, else of the repository of the current directory, else the only one there is
         --yes         make it where there is none, and enlarge one that is too small: both cost money, and without
                       --yes both are refused. One that is stopped is started in any case
         --machine standard | heavy | xheavy (4, 8, 16 cores), or one of GitHub's names
         --cwd DIR     default: /workspaces/REPO. DIR and ~/DIR are below the home there
         --id KEY      repeat with the same key after any failure: still one job; another command: kind conflict
         --replace     cancel a live job of that name first; without it a live name is refused: kind name_in_use
         --env K=V --mem 6G --mem-max 8G --cpus N --timeout 3h --retries N --after NAME --array 0-9%3 --no-tty ...
         "remarks" of the answer, if any: what could not be ensured, as that the codespace may not stop itself
CODE     --sync        (run, rerun) in a copy of the working tree here, uncommitted changes too
         cs diff NAME [NAME|.] [--stat]         between the code of two runs, or of a run and now
         cs sync --json                         only sends it.  cs jobs --json: what orch.toml defines
LOOK     cs status [NAME...] [--all] --json     -> {"codespaces": [CODESPACE...], "free": {...}, "jobs": [JOB...],
                                                "hosts": [HOST...]}; wakes none, and asks each once a minute at most
         cs show NAME --json                    -> {"job": JOB, "why": text, "next": command, "autopsy": {...}, ...}
READ     cs logs NAME [--tail N] [--since 10m] [--grep RE]           the job's bytes on standard output
         cs logs NAME --new READER              only what READER has not seen; the way to poll
WAIT     cs wait NAME... [--timeout 10m] [--any] --json              -> {"jobs": [JOB...], "timed_out": false}
         exit status = the job's own; 128+n signal n; 124 TIMEOUT; 137 OUT_OF_MEMORY; 143 CANCELLED;
         255 lost (NODE_FAIL: its codespace stopped or was deleted), --timeout reached, or cs itself failed
STOP     cs cancel NAME... --json               -> {"jobs": [JOB...]}; all processes are dead then
TYPE     cs send NAME TEXT                      into the job's terminal, with Enter
AGAIN    cs rerun NAME [run's options] --json
RESULTS  cs pull NAME [PATH...] --json          files from below its directory; without PATH: from its $ORCH_OUT
         --to DIR  --yes (write over what differs)  --log (keep its log and record here: a codespace may be deleted)
         cs push PATH... CODESPACE:DIR --json   the other way
PORTS    cs ports NAME --json                   what it listens on; with 8080[:80]: 127.0.0.1:8080 here leads there
SPACES   cs create -R OWNER/REPO --yes --json   -> {"codespace": CODESPACE}; --branch, --machine, --mem
         cs ssh CODESPACE -- COMMAND            one command there at once, not a job; ends with its exit status
         cs start CODESPACE, cs stop CODESPACE [--force: also while jobs run]    its disk stays
         cs delete CODESPACE --yes [--force]    with all jobs, logs, and changes that are not pushed
         cs doctor [CODESPACE] --json           is all there that jobs need; what mends it
         cs init --yes                          writes .devcontainer/devcontainer.json as jobs need it
         cs secret set NAME [-R OWNER/REPO] < FILE   jobs see it as a variable, after the codespace's next start
         cs cost [--last] --json                what was used this month, what is still free

NAME is [A-Za-z0-9][A-Za-z0-9_-]{0,63}: the newest run of it. NAME.3 is the third run. Without --name it is made of the
repository and the program.
CODESPACE keys: name display_name repository branch state machine cpus mem_total_bytes storage_bytes
  idle_timeout_minutes retention_minutes expires_at created_at last_started_at idle_seconds can_stop hours_awake
  core_hours compute_usd disk_gb gb_months storage_usd. state is GitHub's: Available runs, Shutdown is stopped.
JOB and HOST keys, and more of what a job may be told: orch help agents. A job's "host" is its codespace's name.
States: PENDING RUNNING, then one of COMPLETED FAILED CANCELLED TIMEOUT OUT_OF_MEMORY NODE_FAIL.
What is unknown is null; times are RFC 3339 in UTC.

Exit status: 0 done; 1 refused or failed; 2 wrong usage; 3 a bug of cs; 4 not authorised; 130 interrupted.
With --json an error is {"error": {"kind", "message", "hint"}} on standard error. Kinds: usage not_found refused
name_in_use conflict host stopped not_authorised bug. The hint is the next command to try.
Nothing prompts without a terminal. not_authorised: only a person can go on (gh auth login); tell them the hint.
"""
