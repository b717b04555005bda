#!/usr/bin/env bash
# The tests marked `accept`: what needs distribution packages, root, a browser or minutes.
# Packages are installed only where their command is missing, so a second run needs no network.
set -euo pipefail
cd "$(dirname "$0")/.."

# command=package, for each command that a test marked `accept` calls.
needed=(
    curl=curl
    mount=mount
    umount=mount
    unshare=util-linux
    pg_createcluster=postgresql
    prometheus=prometheus
    promtool=prometheus
    ss=iproute2
    chromium=chromium
    systemd-analyze=systemd
    softhsm2-util=softhsm2
)

missing=()
for pair in ${needed[@]+"${needed[@]}"}; do
    command -v "${pair%%=*}" > /dev/null || missing+=("${pair#*=}")
done

if [ ${#missing[@]} -gt 0 ]; then
    if ! command -v apt-get > /dev/null; then
        echo "make accept needs these packages, and apt-get is not here to install them: ${missing[*]}" >&2
        exit 1
    fi
    as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    ${as_root[@]+"${as_root[@]}"} apt-get update -qq
    ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends "${missing[@]}"
fi

# First those that get on with each other, in one process for each core; then those that need the machine.
status=0
for which in "not alone" "alone"; do
    spread=(-n auto --dist loadfile)
    [ "$which" = "not alone" ] || spread=()
    found=0
    .venv/bin/python -m pytest tests -q -m "accept and not soak and $which" \
        ${spread[@]+"${spread[@]}"} "$@" || found=$?
    # 5 says that no test is chosen: nothing to show is not a failure.
    [ "$found" -eq 5 ] || [ "$found" -eq 0 ] || status=$found
done
exit "$status"
