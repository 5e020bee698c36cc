"""What ``orch help agents`` prints: enough for a program to use orch without trying things out."""

TEXT = """\
orch runs commands as detached jobs: here, on machines reached by ssh, on ones that it makes at AWS, or in GitHub
Codespaces (cs help agents). A job outlives the program that started it, and every link to its host.

START    orch run NAME "COMMAND" --json         -> {"job": JOB, "created": true, "tasks": null}; returns at once
         orch run NAME --json -- PROGRAM ARG... the same, quoted for you
         orch run NAME - --json < FILE          COMMAND from standard input, for a long one
         --host HOST (default: default_host)  --env K=V  --no-tty (no terminal; for floods of output)
         --cwd DIR     default: here. On another host it is the home there; DIR and ~/DIR are below that
         --id KEY      repeat with the same key after any failure: still one job; another command: kind conflict
         --replace     cancel a live job of that name first; without it a live name is refused: kind name_in_use
         --mem 6G --mem-max 8G --cpus N --timeout 3h --retries N --retry-delay 10s --nice N --log-max 10G --stall 30m
         --after NAME  starts when NAME has completed; CANCELLED, with the reason, when it has not. May be repeated
         --array 0-9%3 a job for each number (ORCH_ARRAY_TASK), three at once; "tasks" says how many, "job" is the
                       first, their runs follow one another. NAME is then all of them for wait, cancel, rerun and
                       --after; logs, show, send and attach take one: NAME.7. With --wait --json: {"jobs": [JOB...]}
         A job that does not fit into the host's memory yet is PENDING; its reason says what it waits for.
CODE     --sync        (run, rerun) in a copy of the working tree here, uncommitted changes too
         orch diff NAME [NAME|.] [--stat]       between the code of two runs, or of a run and now
         orch sync --json                       only sends it.  orch jobs --json: what orch.toml defines
SECRETS  --secret NAME (run) or VARIABLE=NAME   set by: orch secret set NAME < FILE. *** in logs
LOOK     orch status [NAME...] [--all] --json   -> {"jobs": [JOB...], "hosts": [HOST...]}
         orch show NAME --json                  -> {"job": JOB, "why": text, "next": command, "autopsy": {...}, ...}
         of a failure: why in words; next, the command to type; autopsy: {"ended_by", "how", "first_error",
         "peak_processes", ...}. ended_by is one of itself outside person time_limit stall_limit memory_limit guard
         kernel host dependency unknown. Of any run: log_tail; attempts before this one; usage_curve
READ     orch logs NAME [--tail N] [--since 10m] [--grep RE]      the job's bytes on standard output
         orch logs NAME --new READER            only what READER has not seen; the way to poll
WAIT     orch wait NAME... [--timeout 10m] [--any] --json         -> {"jobs": [JOB...], "timed_out": false}
         exit status = the job's own; 128+n signal n; 124 TIMEOUT; 137 OUT_OF_MEMORY; 143 CANCELLED;
         255 lost (NODE_FAIL, PREEMPTED), --timeout reached, or orch itself failed
STOP     orch cancel NAME... [--grace 10s] --json                 -> {"jobs": [JOB...]}; all processes are dead then
TYPE     orch send NAME TEXT                    into the job's terminal, with Enter
AGAIN    orch rerun NAME [run's options] --json
RESULTS  orch pull NAME [PATH...] --json        files from below its directory; without PATH: from its $ORCH_OUT
         --to DIR (default: here)  --yes (write over what differs)  --log (keep its log and record here)
         run ... --wait --pull PATH             the same at its end
         orch push PATH... HOST:DIR --json      the other way
PORTS    orch ports NAME --json                 what it listens on; with 8080[:80]: 127.0.0.1:8080 here leads there
HOSTS    orch hosts --json                      -> {"hosts": [{"name", "state", "cpus", "idle_seconds", "error", ...}]}
         orch ssh HOST -- COMMAND               one command there at once, not a job; ends with its exit status
         orch up HOST --dry-run                 what a host at AWS would be and cost; --yes in its place makes it
         orch start HOST, orch stop HOST        `orch run` starts a stopped host by itself; idle ones stop themselves
         orch down HOST --yes                   deletes it, and all data on it
         orch repo add URL -H HOST              a clone in ~/work, where `git pull` works
         orch doctor [HOST] --json              -> {"hosts": [{"name", "checks": [{"name", "state", "mend", ...}]}]}
         orch sweep --json                      -> {"things": [...], ...}: all that orch made in the AWS account
         Jobs are found on whatever host they are; --host where two hosts have the name.

NAME is [A-Za-z0-9][A-Za-z0-9_-]{0,63}: the newest run of it. NAME.3 is the third run, NAME.3-7 are five.
JOB keys: id name run host state reason command cwd submitted_at started_at ended_at exit_code signal attempt retries
  due_at timeout_seconds nice cpus mem_request_bytes mem_request_learned mem_max_bytes mem_bytes mem_peak_bytes
  cpu_seconds log_path code after array_id array_task frozen waiting_for_input prompt stalled_seconds cost_usd
  mem_request_learned: nobody asked for mem_request_bytes, earlier runs of the name have taught them.
  due_at: the next attempt does not start before. after: the runs that have to complete first.
  code: {"store", "commit", "branch", "head", "changed"} of a run with --sync.
  Times are RFC 3339 in UTC; what is unknown is null; waiting_for_input true: answer prompt with orch send.
  stalled_seconds: for so long, half an hour or --stall, it has done nothing; reason says so.
States: PENDING RUNNING, then one of COMPLETED FAILED CANCELLED TIMEOUT OUT_OF_MEMORY NODE_FAIL PREEMPTED.
HOST keys: name provider launcher state mem_total_bytes mem_available_bytes cpus idle_seconds as_of error.
  idle_seconds: since the last job or command there; null while a job runs, waits, or is due to start.
  A host with an error did not answer: its jobs are shown as of as_of, and what they do now is unknown.
A cut link: logs -f, wait, run --follow and --wait go on by themselves until it is back. Of a submission that failed
with kind host it may be unknown whether it was made: repeat it with the same --id.

Exit status: 0 done; 1 refused or failed; 2 wrong usage; 3 a bug of orch; 4 not authorised; 130 interrupted.
With --json an error is {"error": {"kind", "message", "hint"}} on standard error. Kinds: usage not_found refused
name_in_use conflict host stopped not_authorised bug. The hint is the next command to try.
Nothing prompts without a terminal.
not_authorised: only a person can go on (a password, a passphrase, a host key); tell them the hint, orch ssh HOST.
"""
