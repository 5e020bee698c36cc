# The first boot of an orch machine (Amazon Linux 2023), run by cloud-init as root; what is in front of this are settings:
# name, stack, region, log_group, host_key, idle_seconds. It may run again: what the machine has been told since is kept.
# Its end is told to CloudFormation: 0, or 1 with the line that failed on the console.
set -Eeuo pipefail
user=ec2-user home=/home/ec2-user

signal() { tries /opt/aws/bin/cfn-signal -e "$1" --stack "$stack" --resource Instance --region "$region"; }

failed() {
    trap - ERR
    [ $BASHPID = $$ ] || exit "$1" # the shell that waits for this one fails next
    echo "orch: the bootstrap failed at line $2: $3 (status $1)"
    signal 1 || true
    exit 1
}
trap 'failed $? $LINENO "$BASH_COMMAND"' ERR

tries() { # run a command, again if it fails, for about two minutes
    local pause
    for pause in 2 5 15 30 60; do
        "$@" && return
        echo "orch: failed, and is tried again in $pause s: $*"
        sleep "$pause"
    done
    "$@"
}

private() { install -d -o $user -g $user -m 700 "$@"; }

# The idle timer comes first: whatever fails below, the machine does not run, and cost, for ever.
instance=$(cat /var/lib/cloud/data/instance-id)
install -d -m 755 /etc/orch /usr/local/sbin
[ -s /etc/orch/idle_stop ] || echo "$idle_seconds" >/etc/orch/idle_stop
cat >/etc/orch/host <<X
name=$name
region=$region
log_group=$log_group
instance_id=$instance
X
cat >/usr/local/sbin/orch-idle <<'ORCH_IDLE'
@idle.py@
ORCH_IDLE
chmod 755 /usr/local/sbin/orch-idle
cat >/etc/systemd/system/orch-idle.service <<'X'
[Unit]
Description=orch: stop this machine if it is idle
[Service]
Type=oneshot
ExecStart=/usr/local/sbin/orch-idle
TimeoutStartSec=5min
KillMode=process
X
cat >/etc/systemd/system/orch-idle.timer <<'X'
[Unit]
Description=orch: see each minute whether this machine is idle
[Timer]
OnCalendar=minutely
AccuracySec=1s
[Install]
WantedBy=timers.target
X
systemctl daemon-reload
systemctl enable --now orch-idle.timer

# Jobs outlive logins, and the person's systemd starts what waits after a boot.
install -d -m 755 /etc/systemd/logind.conf.d
printf '[Login]\nKillUserProcesses=no\n' >/etc/systemd/logind.conf.d/orch.conf
systemctl reload-or-restart systemd-logind
loginctl enable-linger $user

private $home/logs $home/work $home/bin $home/.orch
[ -e $home/.orch/ended.log ] || install -o $user -g $user -m 600 /dev/null $home/.orch/ended.log
echo "e $home/logs - - - mM:30d" >/etc/tmpfiles.d/orch.conf

tries dnf -y install tmux git amazon-cloudwatch-agent

agent=/opt/aws/amazon-cloudwatch-agent
install -d -m 755 $agent/etc
cat >$agent/etc/orch.json <<X
{"agent": {"run_as_user": "root"},
 "logs": {"force_flush_interval": 5, "logs_collected": {"files": {"collect_list": [
  {"file_path": "$home/logs/*/[0-9]*.log", "publish_multi_logs": true,
   "log_group_name": "$log_group", "log_stream_name": "{instance_id}"},
  {"file_path": "$home/.orch/ended.log",
   "log_group_name": "$log_group", "log_stream_name": "{instance_id}/ended"}]}}}}
X
tries $agent/bin/amazon-cloudwatch-agent-ctl -a fetch-config -m ec2 -s -c file:$agent/etc/orch.json

# The laptop trusts this key, and no other.
key=/etc/ssh/ssh_host_ed25519_key.pub
tries test -s $key
tries aws ssm put-parameter --region "$region" --overwrite --type String --name "$host_key" \
    --value "$(cut -d' ' -f1,2 $key)"

touch /etc/orch/ready
signal 0
