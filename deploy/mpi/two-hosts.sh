#!/usr/bin/env bash
# Two hosts on one machine: network namespaces with names and addresses of their own and a cable between them. mpirun trains over it, and the losses are compared
# with those of one process on the same data. Root is needed for the namespaces; so are Open MPI and a built trainserve.
#   sudo deploy/mpi/two-hosts.sh [STEPS]
# Exit code 0: the losses are the same to 5 digits, and what the processes told each other went over the cable.
set -euo pipefail
cd "$(dirname "$0")/../.."
steps=${1:-30}
trainserve=${TRAINSERVE:-dotnet $PWD/artifacts/bin/TrainServe.Cli/release/trainserve.dll}
one=ts$$a two=ts$$b address_one=10.77.0.1 address_two=10.77.0.2
work=$(mktemp -d)
cleanup() {
  ip netns del "$one" 2> /dev/null || true
  ip netns del "$two" 2> /dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

ip netns add "$one"
ip netns add "$two"
ip link add "$one" netns "$one" type veth peer name "$two" netns "$two"
ip -n "$one" addr add "$address_one/24" dev "$one"
ip -n "$two" addr add "$address_two/24" dev "$two"
for host in "$one" "$two"; do ip -n "$host" link set "$host" up; ip -n "$host" link set lo up; done

# In place of ssh: mpirun calls it with a host and a command. A host has a name of its own, or MPI would take both for one and use shared memory.
cat > "$work/on-host" << SCRIPT
#!/bin/sh
case \$1 in $address_one) host=$one ;; $address_two) host=$two ;; *) echo "unknown host \$1" >&2; exit 1 ;; esac
shift
exec ip netns exec \$host unshare --uts sh -c "hostname \$host; \$*"
SCRIPT
chmod +x "$work/on-host"

for i in $(seq 300); do echo "Once upon a time $i cats sat on a mat, and $((i * 7 % 300)) dogs came to see them."; done > "$work/text.txt"
train() { # output
  echo pretrain --recipe models/recipes/smoke.yaml --data "$work/text.txt" --output "$work/$1" --threads 1 \
    --set "training.steps=$steps" --set training.dropout=0 --set training.micro_batch_rows=null --set training.precision=float32 --set validation.every_steps=10
}
losses() { sed -nE 's/.*"event":"train".*"step":([0-9]+).*"loss":([0-9.]+).*/\1 \2/p' "$work/$1/metrics.jsonl"; }

echo "one process:"
$trainserve $(train one) > "$work/one.log" || { cat "$work/one.log" >&2; exit 1; }
echo "two processes, one on each host:"
OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "$work/on-host" "$address_one" \
  mpirun --host "$address_one,$address_two" -np 2 --map-by node --bind-to none --mca plm_rsh_agent "$work/on-host" --mca btl tcp,self --mca pml ob1 \
  --mca btl_tcp_if_include 10.77.0.0/24 --mca oob_tcp_if_include 10.77.0.0/24 -x OMPI_ALLOW_RUN_AS_ROOT -x OMPI_ALLOW_RUN_AS_ROOT_CONFIRM --wdir "$PWD" \
  $trainserve $(train two) > "$work/two.log" || { cat "$work/two.log" >&2; exit 1; }
sent=$(ip netns exec "$one" cat "/sys/class/net/$one/statistics/tx_bytes")
paste -d ' ' <(losses one) <(losses two) | awk -v sent="$sent" '
  { if ($1 != $3) { print "the steps differ: " $0; bad = 1 } d = $2 - $4; d = d < 0 ? -d : d; if (d > worst) worst = d; last = $0 }
  END {
    split(last, f, " ")
    printf "step %d: loss %s with one process, %s with two; largest difference of %d steps %.1e; %.1f MB went over the cable\n", f[1], f[2], f[4], NR, worst, sent / 1e6
    exit bad || NR == 0 || worst > 1e-5 || sent < 1e6
  }'
